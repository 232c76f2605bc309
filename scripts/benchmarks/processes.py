"""Commands as users call them, each in a new process, and the folders of photographs that they take."""

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from fastrecon_jax.data import samples
from fastrecon_jax.errors import InputError


class Run(NamedTuple):
    """A command that is over: its seconds, its largest resident set in MiB, and what it printed."""

    seconds: float
    memory: float
    text: str


def command(*arguments: str) -> Run:
    """Run a command of ours; InputError with what it said where it fails."""
    return python("-m", "fastrecon_jax", *arguments)


def python(*arguments: str, python: str = "", environment: Mapping[str, str] = MappingProxyType({})) -> Run:
    """Run Python, by default this one, with these variables, too; InputError with what it said where it fails."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [python or sys.executable, *arguments],
            stdout=output,
            stderr=subprocess.STDOUT,
            env=os.environ | environment,
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise InputError(f"{shlex.join(arguments)} failed:\n{text}")
    return Run(seconds, usage.ru_maxrss / 1024, text)


def written(chosen: Sequence[samples.Sample], folder: Path) -> Path:
    """A folder with images as they are encoded."""
    folder.mkdir()
    for i, sample in enumerate(chosen):
        (folder / f"{i:04}{Path(sample.name).suffix}").write_bytes(samples.read(sample))
    return folder
