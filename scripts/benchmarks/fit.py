"""The whole commands fit and extend, each time in a new process, for different numbers of good photographs."""

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks import figures, options, photographs, processes
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import samples
from fastrecon_jax.errors import InputError

_COMMANDS = ("fit", "extend")


def run() -> None:
    """Print seconds and peak memory of `fit`, and of `extend` by the second half; write them as figures if asked."""
    numbers = command_line.integers("good", options.GOOD.value)
    if min(numbers) < 2:
        raise InputError("--good must be 2 or more: a part is extended by the second half of the photographs")
    category = photographs.category(max(numbers))
    found: dict[tuple[int, str], list[processes.Run]] = {(n, name): [] for n in numbers for name in _COMMANDS}
    # The first round fills the cache of programs.
    for i in range(options.REPEATS.value + 1):
        for number in numbers:
            for name, of_command in _both(category.train[:number]).items():
                found[number, name] += [of_command] * (i > 0)
    records = [_record(number, name, runs) for (number, name), runs in found.items()]
    what = f"The whole commands, fastrecon+, photographs of {category.name}, medians of {options.REPEATS.value} rounds"
    figures.report(records, what)


def _both(good: list[samples.Sample]) -> dict[str, processes.Run]:
    """A part of all photographs, and one of the first half that the others are added to."""
    half = len(good) // 2
    encoder = (f"--encoder={options.ENCODER.value}", f"--weights={options.WEIGHTS.value}")
    with tempfile.TemporaryDirectory() as name:
        folder, whole, part = Path(name), Path(name) / "whole.safetensors", Path(name) / "part.safetensors"
        every, first, more = (
            processes.written(some, folder / kind)
            for kind, some in (("every", good), ("first", good[:half]), ("more", good[half:]))
        )
        fitted = processes.command("fit", f"--images={every}", f"--model={whole}", *encoder)
        processes.command("fit", f"--images={first}", f"--model={part}", *encoder)
        extended = processes.command("extend", f"--images={more}", f"--model={part}", encoder[1])
    return {"fit": fitted, "extend": extended}


def _record(number: int, name: str, runs: list[processes.Run]) -> dict[str, Any]:
    return {
        "good images": number,
        "command": name if name == "fit" else f"extend, {number // 2} by {number - number // 2}",
        "s": round(statistics.median(run.seconds for run in runs), 1),
        "peak, MiB": round(statistics.median(run.memory for run in runs)),
    }
