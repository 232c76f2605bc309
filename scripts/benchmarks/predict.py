"""The whole command predict, each time in a new process: with one device for all cores, and with one for each."""

import re
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from benchmarks import options, processes, timing
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import datasets
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import cpu

_TOLD = re.compile(r"([\d.]+) images/s")


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
        tests = processes.written(category.test, Path(folder) / "test")
        one = processes.written(category.test[:1], Path(folder) / "one")
        for number in numbers:
            model = Path(folder) / f"{number}.safetensors"
            encoder = (f"--encoder={options.ENCODER.value}", f"--weights={options.WEIGHTS.value}")
            good = processes.written(category.train[:number], Path(folder) / f"good{number}")
            processes.command("fit", f"--images={good}", f"--model={model}", *encoder)
            rows += _measured(model, number, (tests, one))
    head = ["good images", "--cpu_devices", "images/s", "all, s", "one image, s", "peak, MiB"]
    sys.stdout.write(
        f"{timing.machine()}; {options.ENCODER.value}, {category.name}, {len(category.test)} images, batches of "
        f"{options.BATCH_SIZE.value}, medians of {options.REPEATS.value}\n\n{timing.table(head, rows)}"
    )


def _measured(model: Path, number: int, images: Sequence[Path]) -> list[list[str]]:
    """A line for each division of the CPU, measured in turn; the first round fills the cache of programs."""
    found: dict[str, list[tuple[processes.Run, ...]]] = {divided: [] for divided in options.DIVIDED.value}
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


def _predict(model: Path, images: Path, divided: str) -> processes.Run:
    with tempfile.TemporaryDirectory() as output:
        return processes.command(
            "predict",
            *(f"--model={model}", f"--images={images}", f"--output_dir={output}/results", f"--cpu_devices={divided}"),
            *(f"--batch_size={options.BATCH_SIZE.value}", f"--weights={options.WEIGHTS.value}", "--overlays=none"),
        )
