"""A running demo, and photographs to upload."""

import contextlib
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import demo

ROOT = pathlib.Path(__file__).resolve().parents[2]
_WATCHED = """
import runpy, sys
log = open(sys.argv.pop(1), "a")
def watch(event, arguments):
    if event in ("socket.getaddrinfo", "socket.connect"):
        print(event, arguments, file=log, flush=True)
sys.addaudithook(watch)
sys.argv[0] = "fastrecon_jax.demo"
runpy.run_module("fastrecon_jax.demo", run_name="__main__", alter_sys=True)
"""


@pytest.fixture(scope="session")
def boards(tmp_path_factory):
    """Files: three good capsules and a dented one, larger than the page shows them."""
    directory = tmp_path_factory.mktemp("uploads")
    kinds = [("train", "good", i) for i in range(3)] + [("test", "misprint", 5)]
    files = [directory / f"{kind} &<{i}>.png" for _, kind, i in kinds]
    for file, (split, kind, i) in zip(files, kinds, strict=True):
        Image.fromarray(demo.photograph("capsule", split, kind, i)).resize((800, 600)).save(file)
    return files


@pytest.fixture(scope="session")
def bad_files(tmp_path_factory):
    """Uploads that are refused, by what is wrong with them."""
    directory = tmp_path_factory.mktemp("bad")
    files = {name: directory / f"{name}.png" for name in ("text", "empty", "cut", "large", "postscript")}
    files["text"].write_text("no image at all")
    files["empty"].touch()
    files["postscript"].write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\nshowpage\n")
    Image.fromarray(np.zeros((64, 64, 3), np.uint8)).save(files["cut"])
    files["cut"].write_bytes(files["cut"].read_bytes()[:70])
    Image.new("1", (3000, 3000)).save(files["large"])  # more pixels than the demo of the tests takes
    return files


class Demo:
    """A process that serves the demo.

    Attributes:
        process: running.
        url: of the page.
        temporary: where the process puts temporary files, empty before it.
        connections: a log of what the process looked up and connected to.
    """

    def __init__(self, directory, *flags, **variables):
        self.temporary, self.connections = directory / "tmp", directory / "connections"
        self.temporary.mkdir()
        environment = os.environ | {"TMPDIR": str(self.temporary)} | variables
        command = [sys.executable, "-c", _WATCHED, str(self.connections), "--port=0", *flags]
        self.process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        self.said = ""
        for line in self.process.stdout:
            self.said += line
            if found := re.search(r"the demo is on (\S+)", line):
                self.url = found[1]
                return
        raise AssertionError(f"the demo did not start:\n{self.said}")

    def end(self):
        """Ask it to end, and give its exit code."""
        if self.process.poll() is None:
            self.process.terminate()
        with contextlib.suppress(ValueError):
            self.said += self.process.communicate(timeout=60)[0]
        return self.process.returncode


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """The demo with the flags that the tests of its page and its API share."""
    pytest.importorskip("gradio", reason="needs Gradio, the extra demo")
    demo = Demo(tmp_path_factory.mktemp("demo"), "--max_upload_mb=3", "--max_pixels=4000000", "--max_images=4")
    yield demo
    demo.end()
