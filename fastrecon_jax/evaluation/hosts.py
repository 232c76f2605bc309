"""Several processes, one or more on each host, that evaluate together through `jax.distributed`.

Each computes with its own devices alone. It takes a share of the categories, or of the test images where there are
fewer categories than processes. What it has finished it leaves as a file in the output directory, which all processes
must see; process 0 gathers the files into the results. The files that a run left when it died serve the next one, with
any number of processes: those of categories always, those of images where the same images are a share again.
"""

import atexit
import collections
import contextlib
import faulthandler
import json
import os
import secrets
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from jax.experimental import multihost_utils

from fastrecon_jax import files
from fastrecon_jax.data import samples
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import figures, results, setup, share_file, shares
from fastrecon_jax.evaluation import run as single
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.figures import Measured
from fastrecon_jax.evaluation.results import Results
from fastrecon_jax.evaluation.setup import Setup
from fastrecon_jax.runtime import devices

_START = 120  # seconds in which all processes must have started
_SILENCE = 30  # seconds without a heartbeat after which jax takes a process for dead and ends the others
_LAG = 60.0  # seconds after which one host sees what another has written: network file systems cache
_LOOK = 0.5  # seconds between two looks at the output directory

Parts = dict[int, slice]  # by process, in order: which of a category's test images it scores
Step = TypeVar("Step")


class _TogetherError(InputError):
    """A mistake that all processes know of, so that all end by themselves."""


def run(config: EvalConfig, *, tell: single.Tell) -> Path | None:
    """Evaluate together with other processes; gives the directory of the results in process 0, None in the others."""
    with contextlib.ExitStack() as end, _joined(config, tell):
        first = jax.process_index() == 0
        opened = _everywhere(lambda: setup.open_setup(config))
        directory, finished, token = _everywhere(lambda: _begin(opened, end))
        facts = [str(directory), sorted(results.finished(finished)), setup.shared_settings(opened), token]
        place, done, common, token, dataset = _broadcast([*facts, opened.dataset.name])
        opened = opened._replace(dataset=opened.dataset._replace(name=dataset))  # a folder may have another name here
        directory = directory if first else Path(config.output_dir or place)
        _everywhere(lambda: _check(opened, directory, common, token))
        if first:
            single.introduce(opened, directory, finished, tell, processes=jax.process_count())
        work = [category for category in opened.categories if category.name not in done]
        finished = _evaluate_all(opened, directory, finished, work, tell)
        if first:
            return single.conclude(directory, finished, tell)
        _wait(lambda: _token(directory) != token)  # process 0 removes it at the end
        return None


@contextlib.contextmanager
def _joined(config: EvalConfig, tell: single.Tell) -> Iterator[None]:
    """Meet the other processes before jax sees its devices, and end together with them."""
    named = {}
    if config.coordinator_address:
        named = {name: getattr(config, name) for name in ("coordinator_address", "num_processes", "process_id")}
        named["cluster_detection_method"] = "deactivate"
    tell(f"waiting up to {_START} s for the other processes; --distributed=off runs this one alone\n")
    jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM from ending the process
    try:
        jax.distributed.initialize(**named, initialization_timeout=_START, heartbeat_timeout_seconds=_SILENCE)
    except (RuntimeError, ValueError, OSError) as error:
        reason = " ".join(str(error).split())
        ways = "pass --coordinator_address, --num_processes and --process_id, or --distributed=off for this one alone"
        raise InputError(f"the processes cannot meet, {ways}: {reason}") from None
    faulthandler.disable()  # where jax ends this process because another one died, its own message is long enough
    try:
        _check_devices()
        yield
    except _TogetherError:
        jax.distributed.shutdown()
        raise
    except BaseException as error:
        # jax would wait for the others at the exit, and they wait for this one: let it miss the heartbeats instead.
        code = 130 if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, InputError) else 1
        atexit.register(_leave, code)
        raise
    jax.distributed.shutdown()


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _check_devices() -> None:
    """Refuse processes with different numbers of devices, which no collective operation of jax spans."""
    counts = collections.Counter(device.process_index for device in jax.devices())
    if len(set(counts.values())) > 1:
        listed = ", ".join(f"process {i} has {counts[i]}" for i in sorted(counts))
        raise _TogetherError(f"the processes need the same number of devices each: {listed}")


def _everywhere(step: Callable[[], Step]) -> Step:
    """What a step gives in this process, once it has succeeded in all; where it fails in one, all end."""
    result, error = None, None
    try:
        result = step()
    except InputError as raised:
        error = raised
    with _connected():
        flags = multihost_utils.process_allgather(np.array([error is not None], np.int32))
    failed = flags.ravel().nonzero()[0]
    if error is not None:
        raise _TogetherError(str(error)) from error
    if len(failed):
        raise _TogetherError(f"process {', '.join(map(str, failed))} cannot take part, its own message says why")
    return result


def _broadcast(facts: Any) -> Any:
    """What process 0 gives, in every process; passed on as JSON."""
    data = np.frombuffer(json.dumps(facts).encode(), np.uint8)
    with _connected():
        length = int(multihost_utils.broadcast_one_to_all(np.int32(len(data))))
        return json.loads(multihost_utils.broadcast_one_to_all(np.resize(data, length)).tobytes())


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    """A collective operation, which fails at once where another process has died."""
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        reason = " ".join(str(error).split())
        raise InputError(f"another process has died or cannot be reached: {reason}") from None


def _begin(opened: Setup, end: contextlib.ExitStack) -> tuple[Path, Results, str]:
    """In process 0: the directory, locked, the results so far, and a word by which the others know the directory."""
    if jax.process_index() != 0:
        return Path(), Results({}, [], []), ""
    directory, finished = single.begin(opened, end)
    files.make_directory(directory / results.SHARES)
    token = secrets.token_hex(8)
    files.write_text(directory / results.SHARES / "run", token)
    return directory, finished, token


def _check(opened: Setup, directory: Path, common: dict[str, Any], token: str) -> None:
    """Refuse a process that was started differently from process 0, or sees another output directory."""
    own = setup.shared_settings(opened)
    differing = [name for name in common | own if common.get(name) != own.get(name)]
    if differing:
        changes = "; ".join(f"{name} is {own.get(name)!r}, there {common.get(name)!r}" for name in differing)
        raise InputError(f"this process was started differently from process 0: {changes}")
    if not _wait(lambda: _token(directory) == token, seconds=_LAG):
        raise InputError(
            f"--output_dir={directory}: process {jax.process_index()} does not see there what process 0 writes; the "
            "directory must lie on a file system that all processes share"
        )


def _token(directory: Path) -> str:
    try:
        return (directory / results.SHARES / "run").read_text()
    except OSError:
        return ""


def _wait(ready: Callable[[], bool], *, seconds: float = float("inf")) -> bool:
    """Look until something is there, or time is over; jax ends this process if another one dies meanwhile."""
    end = time.monotonic() + seconds
    while not ready():
        if time.monotonic() > end:
            return False
        time.sleep(_LOOK)
    return True


def divide(sizes: Sequence[int], processes: int, batch_size: int) -> list[Parts]:
    """Divide categories among processes; the result follows from the arguments, so nobody has to be asked.

    With as many categories as processes or more, each belongs to one process: the largest are given away first, each to
    the process that has least to do. With fewer, the processes of a category divide its test images, in whole batches
    so that each image is computed beside the same others as in a single process.

    Args:
        sizes: number of test images of each category.
        processes: how many there are.
        batch_size: images in a batch.

    Returns:
        For each category the images of its processes; the first process puts their shares together.
    """
    largest_first = sorted(range(len(sizes)), key=lambda i: (-sizes[i], i))
    if len(sizes) >= processes:
        owners, work = [0] * len(sizes), [0] * processes
        for i in largest_first:
            owners[i] = work.index(min(work))
            work[owners[i]] += sizes[i]
        return [{owner: slice(0, size)} for owner, size in zip(owners, sizes, strict=True)]
    members = [1] * len(sizes)
    for _ in range(processes - len(sizes) if sizes else 0):
        members[max(largest_first, key=lambda i: sizes[i] / members[i])] += 1
    starts = np.cumsum([0, *members]).tolist()
    return [_parts(sizes[i], range(starts[i], starts[i + 1]), batch_size) for i in range(len(sizes))]


def _parts(size: int, team: range, batch_size: int) -> Parts:
    """Whole batches for each process of a team, as even as they can be; a process may get none."""
    batches = -(-size // batch_size)
    ends = [min(batches * (i + 1) // len(team) * batch_size, size) for i in range(len(team))]
    parts = zip(team, [0, *ends], ends, strict=False)
    return {process: slice(start, end) for process, start, end in parts if start < end}


def _evaluate_all(
    opened: Setup, directory: Path, finished: Results, work: Sequence[samples.Category], tell: single.Tell
) -> Results:
    """This process's share of the work; process 0 then waits for the rest."""
    index, names = jax.process_index(), [category.name for category in work]
    sizes = [len(scoring.queries(category, opened.config)) for category in work]
    batch_size = devices.rounded(opened.programs.mesh, opened.config.batch_size)
    for category, parts in zip(work, divide(sizes, jax.process_count(), batch_size), strict=True):
        measured = _evaluate(opened, directory, category, parts) if index in parts else None
        if index == 0:
            finished = single.record(directory, finished, measured, tell) if measured else finished
            finished = _gather(directory, finished, names, tell)
        elif measured:
            single.save_sheets(directory, measured)
            results.leave(directory, category.name, measured.rows, measured.scores)
    while index == 0 and not results.finished(finished).issuperset(names):
        time.sleep(_LOOK)
        finished = _gather(directory, finished, names, tell)
    return finished


def _evaluate(opened: Setup, directory: Path, category: samples.Category, parts: Parts) -> Measured | None:
    """Score this process's part of a category; the first process puts the parts together and measures."""

    def file(part: slice) -> Path:
        return directory / results.SHARES / f"{category.name}_{part.start}-{part.stop}.safetensors"

    index = jax.process_index()
    if len(parts) > 1 and files.exists(file(parts[index])):  # of a run that died
        share = share_file.read(file(parts[index]))
    else:
        share = single.score(opened, category, parts[index], progress=index == 0)
        if len(parts) > 1:
            share_file.write(file(parts[index]), share)
    if index != next(iter(parts)):
        return None
    others = [file(part) for process, part in parts.items() if process != index]
    _wait(lambda: all(map(files.exists, others)))
    return figures.measure(opened, category, shares.joined([share, *map(share_file.read, others)]))


def _gather(directory: Path, finished: Results, names: Sequence[str], tell: single.Tell) -> Results:
    """The results with those that other processes have left meanwhile, on the disk too."""
    gathered = results.gather(directory, finished, names)
    new = results.finished(gathered) - results.finished(finished)
    if new:
        results.write(directory, gathered)
        tell(figures.lines([row for row in gathered.rows if row["category"] in new]))
    return gathered
