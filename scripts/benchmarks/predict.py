"""The whole command predict, each time in a new process: with one device for all cores, and with one for each."""

import os
import re
import shlex
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks import options, timing
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import datasets, samples
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import cpu

_TOLD = re.compile(r"([\d.]+) images/s")


class _Run(NamedTuple):
    """A command that is over: its seconds, its largest resident set in MiB, and what it printed."""

    seconds: float
    memory: float
    text: str


def run() -> None:
    """Print images/s, seconds of the whole command, seconds for a single image, and peak memory."""
    numbers = command_line.integers("good", options.GOOD.value)
    for divided in options.DIVIDED.value:
        if not cpu.allowed(divided):
            raise InputError(f"--divided={divided} is not allowed: {cpu.RULE}")
    dataset = datasets.open_dataset(options.DATASET.value, options.DATA_DIR.value)
    category = dataset.open_category(options.CATEGORY.value or dataset.categories[0])
    if max(numbers) > len(category.train):
        raise InputError(
            f"--good={max(numbers)} is not possible: {category.name} has {len(category.train)} good images"
        )
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        tests = written(category.test, Path(folder) / "test")
        one = written(category.test[:1], Path(folder) / "one")
        for number in numbers:
            model = Path(folder) / f"{number}.safetensors"
            encoder = (f"--encoder={options.ENCODER.value}", f"--weights={options.WEIGHTS.value}")
            good = written(category.train[:number], Path(folder) / f"good{number}")
            command("fit", f"--images={good}", f"--model={model}", *encoder)
            rows += _measured(model, number, (tests, one))
    head = ["good images", "--cpu_devices", "images/s", "all, s", "one image, s", "peak, MiB"]
    sys.stdout.write(
        f"{timing.machine()}; {options.ENCODER.value}, {category.name}, {len(category.test)} images, batches of "
        f"{options.BATCH_SIZE.value}, medians of {options.REPEATS.value}\n\n{timing.table(head, rows)}"
    )


def _measured(model: Path, number: int, images: Sequence[Path]) -> list[list[str]]:
    """A line for each division of the CPU, measured in turn; the first round fills the cache of programs."""
    found: dict[str, list[tuple[_Run, ...]]] = {divided: [] for divided in options.DIVIDED.value}
    for i in range(options.REPEATS.value + 1):
        for divided, of_divided in found.items():
            runs = tuple(_predict(model, folder, divided) for folder in images)
            if i:
                of_divided.append(runs)
    lines = []
    for divided, of_divided in found.items():
        speeds = [float(_TOLD.search(all_of_them.text)[1]) for all_of_them, _ in of_divided]
        figures = (
            f"{statistics.median(speeds):.1f}",
            *(f"{statistics.median(runs[j].seconds for runs in of_divided):.2f}" for j in (0, 1)),
            f"{statistics.median(runs[0].memory for runs in of_divided):.0f}",
        )
        lines.append([str(number), divided, *figures])
    return lines


def _predict(model: Path, images: Path, divided: str) -> _Run:
    with tempfile.TemporaryDirectory() as output:
        return command(
            "predict",
            *(f"--model={model}", f"--images={images}", f"--output_dir={output}/results", f"--cpu_devices={divided}"),
            *(f"--batch_size={options.BATCH_SIZE.value}", f"--weights={options.WEIGHTS.value}", "--overlays=none"),
        )


def command(*arguments: str) -> _Run:
    """Run a command; InputError with what it said where it fails."""
    with tempfile.TemporaryFile("w+") as output:
        start = time.perf_counter()
        process = subprocess.Popen(
            [sys.executable, "-m", "fastrecon_jax", *arguments], stdout=output, stderr=subprocess.STDOUT
        )
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        text = output.read()
    if process.returncode:
        raise InputError(f"{shlex.join(arguments)} failed:\n{text}")
    return _Run(seconds, usage.ru_maxrss / 1024, text)


def written(chosen: Sequence[samples.Sample], folder: Path) -> Path:
    """A folder with images as they are encoded."""
    folder.mkdir()
    for i, sample in enumerate(chosen):
        (folder / f"{i:04}{Path(sample.name).suffix}").write_bytes(samples.read(sample))
    return folder
