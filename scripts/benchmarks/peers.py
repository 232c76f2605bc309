"""Whole programs side by side: PatchCore of anomalib, ours, and our default, on the same encoder and photographs."""

import re
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks import figures, options, photographs, processes
from fastrecon_jax.command_line import flags as command_line

_TOLD = re.compile(r"([\d.]+) images/s")
_OURS = ("patchcore", "fastrecon+")
_THEIRS = Path(__file__).with_name("anomalib_patchcore.py")

Command = Callable[[str, Path], processes.Run]  # of `fit` or `predict`, and a folder of photographs


class _Round(NamedTuple):
    """What a program took once: for its fit, for all photographs, and for one of them."""

    fit: processes.Run
    all_of_them: processes.Run
    one: processes.Run


def run() -> None:
    """Print seconds, images/s and memory of each program, measured in turn; write them as figures if asked."""
    (good,) = command_line.integers("good", options.GOOD.value[:1])
    category = photographs.category(good)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        chosen = {"good": category.train[:good], "all": category.test, "one": category.test[:1]}
        images = {kind: processes.written(some, folder / kind) for kind, some in chosen.items()}
        programs = {f"anomalib's patchcore{_version()}": _theirs(folder / "model.ckpt")}
        programs |= {method: _ours(method, folder / f"{method}.safetensors") for method in _OURS}
        found: dict[str, list[_Round]] = {program: [] for program in programs}
        # The first round fills caches, of programs and of the disk.
        for i in range(options.REPEATS.value + 1):
            for program, command in programs.items():
                fitted = command("fit", images["good"])
                measured = _Round(fitted, command("predict", images["all"]), command("predict", images["one"]))
                found[program] += [measured] * (i > 0)
    records = [_record(program, rounds) for program, rounds in found.items()]
    figures.report(
        records,
        f"Whole programs, each command a process: {good} good and {len(category.test)} test photographs of "
        f"{category.name}; our fits calibrate thresholds, too; medians of {options.REPEATS.value} rounds in turn",
    )


def _version() -> str:
    text = processes.python("-c", "import anomalib; print(anomalib.__version__)", python=options.PEER_PYTHON.value).text
    return f" {text.split()[-1]}"


def _theirs(file: Path) -> Command:
    def command(task: str, images: Path) -> processes.Run:
        given = (str(_THEIRS), task, str(images), str(file), options.ENCODER.value, str(options.BATCH_SIZE.value))
        return processes.python(*given, python=options.PEER_PYTHON.value)

    return command


def _ours(method: str, file: Path) -> Command:
    weights, batch = f"--weights={options.WEIGHTS.value}", f"--batch_size={options.BATCH_SIZE.value}"

    def command(task: str, images: Path) -> processes.Run:
        given = (f"--images={images}", f"--model={file}", weights)
        if task == "fit":
            return processes.command(
                "fit", *given, f"--method={method}", f"--encoder={options.ENCODER.value}", "--resize=crop"
            )
        with tempfile.TemporaryDirectory() as output:
            return processes.command("predict", *given, batch, f"--output_dir={output}/results", "--overlays=none")

    return command


def _record(program: str, rounds: list[_Round]) -> dict[str, Any]:
    def median(figure: Callable[[_Round], float], digits: int = 1) -> float:
        return round(statistics.median(map(figure, rounds)), digits)

    return {
        "program": program,
        "fit, s": median(lambda measured: measured.fit.seconds),
        "fit, MiB": round(median(lambda measured: measured.fit.memory)),
        "images/s": median(lambda measured: float(_TOLD.search(measured.all_of_them.text)[1])),
        "all, s": median(lambda measured: measured.all_of_them.seconds),
        "one image, s": median(lambda measured: measured.one.seconds),
        "predict, MiB": round(median(lambda measured: measured.all_of_them.memory)),
    }
