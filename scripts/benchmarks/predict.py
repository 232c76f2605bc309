"""The whole command predict, each time in a new process: with one device for all cores, and with one for each."""

import re
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import figures, options, photographs, processes
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import cpu

_TOLD = re.compile(r"([\d.]+) images/s")


def run() -> None:
    """Print images/s, seconds of the whole command, seconds for a single image, and peak memory."""
    numbers = command_line.integers("good", options.GOOD.value)
    for divided in options.DIVIDED.value:
        if not cpu.allowed(divided):
            raise InputError(f"--divided={divided} is not allowed: {cpu.RULE}")
    category = photographs.category(max(numbers))
    records = []
    with tempfile.TemporaryDirectory() as folder:
        tests = processes.written(category.test, Path(folder) / "test")
        one = processes.written(category.test[:1], Path(folder) / "one")
        for number in numbers:
            model = Path(folder) / f"{number}.safetensors"
            encoder = (f"--encoder={options.ENCODER.value}", f"--weights={options.WEIGHTS.value}")
            good = processes.written(category.train[:number], Path(folder) / f"good{number}")
            processes.command("fit", f"--images={good}", f"--model={model}", *encoder)
            records += _measured(model, number, (tests, one))
    figures.report(
        records,
        f"The whole command with --overlays=none, {len(category.test)} photographs of {category.name}, batches of "
        f"{options.BATCH_SIZE.value}, medians of {options.REPEATS.value} rounds in turn",
    )


def _measured(model: Path, number: int, images: Sequence[Path]) -> list[dict[str, Any]]:
    """A record for each division of the CPU, measured in turn; the first round fills the cache of programs."""
    found: dict[str, list[tuple[processes.Run, ...]]] = {divided: [] for divided in options.DIVIDED.value}
    for i in range(options.REPEATS.value + 1):
        for divided, of_divided in found.items():
            runs = tuple(_predict(model, folder, divided) for folder in images)
            if i:
                of_divided.append(runs)
    lines = []
    for divided, of_divided in found.items():
        speeds = [float(_TOLD.search(all_of_them.text)[1]) for all_of_them, _ in of_divided]
        lines.append(
            {
                "good images": number,
                "--cpu_devices": divided,
                "images/s": round(statistics.median(speeds), 1),
                "all, s": round(statistics.median(runs[0].seconds for runs in of_divided), 2),
                "one image, s": round(statistics.median(runs[1].seconds for runs in of_divided), 2),
                "peak, MiB": round(statistics.median(runs[0].memory for runs in of_divided)),
            }
        )
    return lines


def _predict(model: Path, images: Path, divided: str) -> processes.Run:
    with tempfile.TemporaryDirectory() as output:
        return processes.command(
            "predict",
            *(f"--model={model}", f"--images={images}", f"--output_dir={output}/results", f"--cpu_devices={divided}"),
            *(f"--batch_size={options.BATCH_SIZE.value}", f"--weights={options.WEIGHTS.value}", "--overlays=none"),
        )
