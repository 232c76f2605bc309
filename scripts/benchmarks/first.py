"""The whole command predict for one image and for all, each time in a new process, beside a script of ONNX Runtime."""

import statistics
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks import figures, options, photographs, processes
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.errors import InputError

_SCRIPT = Path(__file__).with_name("onnx_script.py")
_KINDS = ("one image", "all images")
_WITHOUT = {"FASTRECON_COMPILATION_CACHE": "off"}


def run() -> None:
    """Print seconds with and without the cache of compiled programs, and of the script; in turn, medians."""
    (good_images,) = command_line.integers("good", options.GOOD.value[:1])
    category = photographs.category(good_images)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        good = processes.written(category.train[:good_images], folder / "good")
        images = [processes.written(category.test[:count], folder / f"{count}") for count in (1, len(category.test))]
        model, exported = folder / "part.safetensors", folder / "part.onnx"
        weights = f"--weights={options.WEIGHTS.value}"
        encoder = f"--encoder={options.ENCODER.value}"
        processes.command("fit", f"--images={good}", f"--model={model}", encoder, weights)
        ways: dict[str, Callable[[Path], list[str]]] = {
            "predict --overlays=none": lambda images: _predict(model, images, "--overlays=none"),
            "predict": lambda images: _predict(model, images),
            "predict, cache off": lambda images: _predict(model, images),
        }
        try:
            processes.command("export", f"--model={model}", f"--output={exported}", weights)
            ways["ONNX Runtime, a script"] = lambda images: _script(exported, images)
        except InputError as error:
            sys.stdout.write(f"no ONNX Runtime: {str(error).splitlines()[-1]}\n")
        records = _measured(ways, images)
    figures.report(
        records,
        f"The whole command in a new process, {good_images} good and {len(category.test)} test photographs of "
        f"{category.name}, seconds, medians of {options.REPEATS.value} rounds in turn",
    )


def _measured(ways: dict[str, Callable[[Path], list[str]]], images: list[Path]) -> list[dict[str, Any]]:
    """A record for each way; the first round, which fills the caches, does not count."""
    found: dict[str, list[list[float]]] = {name: [[] for _ in images] for name in ways}
    for i in range(options.REPEATS.value + 1):
        for name, way in ways.items():
            for seconds, folder in zip(found[name], images, strict=True):
                taken = _seconds(way(folder), _WITHOUT if "cache off" in name else {})
                if i:
                    seconds.append(taken)
    return [
        {"way": name}
        | {kind: round(statistics.median(of_kind), 2) for kind, of_kind in zip(_KINDS, of_way, strict=True)}
        for name, of_way in found.items()
    ]


def _seconds(arguments: list[str], environment: dict[str, str]) -> float:
    with tempfile.TemporaryDirectory() as output:
        places = [argument.replace("OUTPUT", output) for argument in arguments]
        return processes.python(*places, environment=environment).seconds


def _predict(model: Path, images: Path, *flags: str) -> list[str]:
    weights = f"--weights={options.WEIGHTS.value}"
    own = (f"--model={model}", f"--images={images}", "--output_dir=OUTPUT/results", weights)
    return ["-m", "fastrecon_jax.predict", *own, *flags]


def _script(exported: Path, images: Path) -> list[str]:
    return [str(_SCRIPT), str(exported), "OUTPUT/rows.csv", *map(str, sorted(images.iterdir()))]
