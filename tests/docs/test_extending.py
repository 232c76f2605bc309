"""docs/howto/extending.md as a reader would follow it: its files written, their tests run, its commands typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/howto/extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r'```python title="([\w.]+)"\n(.*?)```', PAGE, re.DOTALL))
COMMANDS = [line for block in re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """An empty folder with the page's files."""
    folder = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def run(folder, *arguments):
    """A command in the folder; its output."""
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_a_method_and_an_encoder_are_one_file_and_one_test_each():
    assert set(FILES) == {"deviation.py", "test_deviation.py", "patches.py", "test_patches.py"}


@pytest.mark.parametrize("name", ["deviation", "patches"])
def test_the_tests_of_the_page_pass(folder, name):
    told = run(folder, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-o", "addopts=", f"test_{name}.py", f"-p{name}")
    assert "2 passed" in told


def test_the_commands_of_the_page_run_in_order(folder):
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "python"
        told = run(folder, *arguments, *(["--max_queries=6"] if "eval" in command else []))
        assert "deviation" in told
