"""What an engine costs: photographs of the demo set through Ray's workers on this machine, and through no engine."""

import contextlib
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import psutil
from PIL import Image

from benchmarks import options, plan, timing
from fastrecon_jax import files
from fastrecon_jax.batch import Inspector
from fastrecon_jax.command_line import console
from fastrecon_jax.command_line.flags import integers
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import reading

_PART = "demo:gear"
_SIDE = 1024  # pixels
_FEW = 48  # images; what more of them take on top of these is the work without the start
_ALONE = "one process, no engine"
_SCRIPT = """
import sys
from fastrecon_jax.batch import Inspector
Inspector(sys.argv[1], threads=1, batch_size={batch})(sys.argv[2:])
"""

Way = Callable[[list[str]], None]


class _Cost(NamedTuple):
    """What a run took, in seconds: by the clock, and of all cores together."""

    clock: float
    cores: float


def run() -> None:
    """Print images/s, the start and what an image costs, for each number of workers; write them as figures if asked."""
    try:
        import ray
    except ModuleNotFoundError:
        raise InputError("--suite=scale needs Ray: run `pip install 'fastrecon_jax[ray]'`") from None
    workers, cores = integers("workers", options.WORKERS.value), len(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        part, paths = folder / "gear.safetensors", _photographs(folder / "images", options.IMAGES.value)
        # In a process of its own: Ray starts others from this one, in which JAX must have no threads then.
        command = ["fastrecon_jax.fit", f"--images={_PART}", f"--model={part}"]
        subprocess.run([sys.executable, "-m", *command], check=True, stdout=subprocess.DEVNULL)
        ray.init("local", num_cpus=max(*workers, cores), log_to_driver=False, include_dashboard=False)
        ways = {_ALONE: _alone(part)}
        ways |= {f"Ray, {console.count(n, 'worker')}": _with_ray(part, folder / "out", n) for n in workers}
        records = _measured(ways, paths)
        ray.shutdown()
    sys.stdout.write(f"{timing.machine()}, of which {cores} may be used; medians of {options.REPEATS.value} rounds\n\n")
    sys.stdout.write(timing.table(list(records[0]), [list(map(str, record.values())) for record in records]))
    if options.FIGURES.value:
        figures = _figures(records, workers, cores, len(paths))
        files.write_text(Path(options.FIGURES.value), json.dumps(figures, indent=2) + "\n")


def _photographs(folder: Path, count: int) -> list[str]:
    """So many files: the part's test photographs in turn, as JPEGs of a megapixel, which cameras make."""
    folder.mkdir()
    targets = [folder / f"{i:06}.jpg" for i in range(count)]
    sources = reading.find(_PART)
    for source, target in zip(sources, targets, strict=False):
        Image.open(source).convert("RGB").resize((_SIDE, _SIDE), Image.Resampling.BICUBIC).save(target, quality=90)
    for i, target in enumerate(targets[len(sources) :]):
        shutil.copyfile(targets[i % len(sources)], target)
    return list(map(str, targets))


def _alone(part: Path) -> Way:
    script = _SCRIPT.format(batch=options.BATCH_SIZE.value)
    one_thread = os.environ | {"NPROC": "1", "OMP_NUM_THREADS": "1"}

    def inspect(paths: list[str]) -> None:
        subprocess.run([sys.executable, "-c", script, str(part), *paths], check=True, env=one_thread)

    return inspect


def _with_ray(part: Path, out: Path, number: int) -> Way:
    from fastrecon_jax.batch import ray_data
    from fastrecon_jax.batch.cluster import Workers

    def inspect(paths: list[str]) -> None:
        shutil.rmtree(out, ignore_errors=True)
        inspector = Inspector(str(part), threads=1, batch_size=options.BATCH_SIZE.value)
        ray_data.inspect(inspector, paths, out, Workers("", number, 1, 0.0), tell=len)

    return inspect


def _measured(ways: dict[str, Way], paths: list[str]) -> list[dict[str, Any]]:
    counts = (_FEW, len(paths))
    found: dict[tuple[str, int], list[_Cost]] = {(way, count): [] for way in ways for count in counts}
    for way, inspect in ways.items():  # compiles, and is not counted
        _timed(way, inspect, paths[:_FEW])
    for _ in range(options.REPEATS.value):
        for way, inspect in ways.items():
            for count in counts:
                found[way, count].append(_timed(way, inspect, paths[:count]))
    medians = {key: _Cost(*map(statistics.median, zip(*costs, strict=True))) for key, costs in found.items()}
    alone = _work(medians, _ALONE, counts).cores
    return [_record(way, medians[way, _FEW], _work(medians, way, counts), alone) for way in ways]


def _timed(way: str, inspect: Way, paths: list[str]) -> _Cost:
    with _Meter() as meter:
        start = time.perf_counter()
        inspect(paths)
        cost = _Cost(time.perf_counter() - start, meter.total())
    sys.stderr.write(f"{way}, {len(paths)} images: {cost.clock:.1f} s, {cost.cores:.1f} s of all cores\n")
    return cost


class _Meter:
    """Seconds of all cores that this process and those that it started, Ray's too, take from here on.

    They are looked at ten times a second, since those that end take what they knew along.
    """

    def __enter__(self) -> "_Meter":
        self._before, self._end = self._look(), threading.Event()
        self._seen = dict(self._before)
        self._looking = threading.Thread(target=self._go_on, daemon=True)
        self._looking.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._end.set()
        self._looking.join()

    def total(self) -> float:
        """Until now."""
        self._seen |= self._look()
        return sum(seconds - self._before.get(process, 0.0) for process, seconds in self._seen.items())

    def _go_on(self) -> None:
        while not self._end.wait(0.1):
            self._seen |= self._look()

    @staticmethod
    def _look() -> dict[psutil.Process, float]:
        found = {}
        for process in [(own := psutil.Process()), *own.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                found[process] = sum(process.cpu_times()[:2])  # user and system
        return found


def _work(medians: dict[tuple[str, int], _Cost], way: str, counts: Sequence[int]) -> _Cost:
    """What one image more takes."""
    few, many = (medians[way, count] for count in counts)
    return _Cost(*((b - a) / (counts[1] - counts[0]) for a, b in zip(few, many, strict=True)))


def _record(way: str, few: _Cost, work: _Cost, alone: float) -> dict[str, Any]:
    return {
        "what": way,
        "images/s": round(1 / work.clock, 1),
        "start, s": round(few.clock - _FEW * work.clock, 1),
        "an image, ms of a core": round(1000 * work.cores, 1),
        "of which the engine": round(1000 * (work.cores - alone), 1),
        "a million, hours of a core": round(1000 * work.cores / 3.6, 1),
    }


def _figures(records: list[dict[str, Any]], workers: Sequence[int], cores: int, count: int) -> dict[str, Any]:
    """As docs/figures keeps them."""
    given = f"--repeats={options.REPEATS.value} --images={count} --workers={','.join(options.WORKERS.value)}"
    paid = records[max(i for i, number in enumerate([0, *workers]) if number <= cores)]
    return {
        "what": f"Ray against no engine: fastrecon+ on 4 good gears of the demo set, what {count} JPEGs of a megapixel "
        f"took more than {_FEW}, each worker with one thread, medians of {options.REPEATS.value} rounds in turn",
        "command": [f"python scripts/benchmark.py --suite=scale {given}"],
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{cores} CPU cores, shared with other work",
        "encoder": "efficientnet_lite0",
        "unit": "as the columns say",
        "layouts": {
            "table": {"columns": {name: f"{{{name}}}" for name in records[0]}},
            "plan": {"columns": {"": "{what}", "from": "{by}", "amount": "{amount}"}},
        },
        "records": [{"kind": "measured"} | record for record in records] + plan.rows(paid["an image, ms of a core"]),
    }
