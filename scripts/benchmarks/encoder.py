"""Our encoders against other programs: same network, weights and images, in turn, a process each."""

import contextlib
import importlib.util
import os
import pathlib
import pickle
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from benchmarks import engine, graph, options, timing
from fastrecon_jax import encoders
from fastrecon_jax.command_line.flags import integers
from fastrecon_jax.encoders import weights
from fastrecon_jax.encoders.encoder import normalise
from fastrecon_jax.errors import InputError

_TURN = 0.4  # seconds
_TOLERANCE = 1e-4  # of the largest value of a stage
_SCRIPTS = pathlib.Path(__file__).resolve().parents[1]


def run() -> None:
    """Print images/s, ratios and memory for each encoder, size of images and batch size."""
    names = _installed()
    sys.stdout.write(
        f"{timing.machine()}; images/s, medians of {options.REPEATS.value} turns of {_TURN} s; peak MiB\n\n"
    )
    rows = []
    for name in options.ENCODERS.value:
        for side in integers("image_sizes", options.IMAGE_SIZES.value):
            encoders.registration(name).check_size(side, side, f"--image_sizes={side}")
            for batch in integers("batches", options.BATCHES.value):
                rows.append([name, str(side), str(batch), *_row(name, side, batch, names)])
                sys.stderr.write(f"{' '.join(rows[-1])}\n")
    of_fastest = ["ours / fastest other"] if len(names) > 1 else []
    memory = [f"{other}, MiB" for other in names]
    header = ["encoder", "pixels", "batch", *names, *of_fastest, *memory, "largest difference"]
    sys.stdout.write(timing.table(header, rows))


def _installed() -> list[str]:
    """The programs that can be run; a line for each package that is missing."""
    wanted = [name for name in engine.ENGINES if name != "torch.compile" or options.TORCH_COMPILE.value]
    packages = {package for name in wanted for package in engine.PACKAGES.get(name, ())}
    missing = {package for package in packages if importlib.util.find_spec(package) is None}
    without = [name for name in wanted if missing.intersection(engine.PACKAGES.get(name, ()))]
    if missing:
        sys.stderr.write(f"without {', '.join(without)}: not installed: {', '.join(sorted(missing))}\n")
    return [name for name in wanted if name not in without]


def _row(name: str, side: int, batch: int, names: Sequence[str]) -> list[str]:
    """Cells: rates, the ratio to the fastest of the others, memory, and the largest difference from ours."""
    if encoders.registration(name).products:  # the layout of maps says nothing of tokens
        chosen = [other for other in names if other != "PyTorch channels_last"]
    else:
        chosen = list(names)
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as stack:
        onnx = any("onnx" in engine.PACKAGES.get(other, ()) for other in chosen)
        _write(pathlib.Path(folder), name, side, batch, onnx=onnx)
        processes = {other: stack.enter_context(_process(other, folder, name)) for other in chosen}
        largest = _largest(name, processes)
        seconds = {other: [] for other in chosen}
        for _ in range(options.REPEATS.value):
            for other, process in processes.items():
                seconds[other].append(float(_ask(process, f"turn {_TURN}")))
        memory = {other: f"{float(_ask(process, 'memory')):.0f}" for other, process in processes.items()}
    rates = {other: batch / statistics.median(turns) for other, turns in seconds.items()}
    others = [rates[other] for other in chosen if other != engine.OURS]
    ratio = [f"{rates[engine.OURS] / max(others):.2f}"] if others else []
    cells = [f"{rates[other]:.2f}" if other in rates else "" for other in names]
    return [*cells, *ratio, *(memory.get(other, "") for other in names), f"{largest:.0e}"]


def _largest(name: str, processes: Mapping[str, subprocess.Popen]) -> float:
    """The largest difference of a stage from ours, relative; an InputError above the tolerance."""
    stages = {other: np.load(_ask(process, "save")) for other, process in processes.items()}
    errors = {other: _difference(stages[engine.OURS], found) for other, found in stages.items() if other != engine.OURS}
    for other, error in errors.items():
        if not error <= _TOLERANCE:
            raise InputError(f"{other} does not compute what {name} does: a stage differs by {error:.1e}")
    return max(errors.values(), default=0.0)


def _write(folder: pathlib.Path, name: str, side: int, batch: int, *, onnx: bool) -> None:
    """What the processes read: images, and the network for those that are not ours."""
    entry = encoders.registration(name)
    images = np.random.default_rng(0).integers(0, 256, (batch, side, side, 3)).astype(np.uint8)
    np.save(folder / "images.npy", images)
    normalised = np.asarray(normalise(images, entry.mean, entry.std)).transpose(0, 3, 1, 2)
    np.save(folder / "normalised.npy", np.ascontiguousarray(normalised))
    stages = encoders.stages_of(name)
    made = graph.trace(entry.build(weights.Random(), stages), stages, side)
    (folder / "graph.pkl").write_bytes(pickle.dumps(made))
    if onnx:
        from benchmarks import onnx_network

        (folder / "encoder.onnx").write_bytes(onnx_network.file(made))


@contextlib.contextmanager
def _process(name: str, folder: str, encoder: str) -> Iterator[subprocess.Popen]:
    paths = [str(_SCRIPTS), str(_SCRIPTS.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.engine", name, folder, encoder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths)},
    ) as process:
        try:
            yield process
        finally:
            process.stdin.close()


def _ask(process: subprocess.Popen, command: str) -> str:
    try:
        process.stdin.write(f"{command}\n")
        process.stdin.flush()
    except BrokenPipeError:  # what it died of it has said itself; there is no answer
        return _dead(process)
    return process.stdout.readline().rstrip("\n") or _dead(process)


def _dead(process: subprocess.Popen) -> str:
    raise InputError(f"{process.args[3]} stopped with code {process.wait()}: see above")


def _difference(ours: np.lib.npyio.NpzFile, theirs: np.lib.npyio.NpzFile) -> float:
    """Of stages, relative to the largest value of each: ours (b, h, w, c), theirs (b, c, h, w) or tokens (b, n, c)."""
    largest = 0.0
    for key in ours.files:
        a, b = ours[key], theirs[key]
        b = b.transpose(0, 2, 3, 1) if b.ndim == 4 else b.reshape(a.shape)
        largest = max(largest, float(np.abs(a - b).max() / np.abs(a).max()))
    return largest
