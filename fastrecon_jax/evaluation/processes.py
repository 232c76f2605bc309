"""Several processes, one or more a host, that evaluate together through jax.distributed.

Each computes with its own devices alone; what passes between them goes through the key-value store of process 0, which
is also where they say that they live. A process that fails says why, and one that dies is missed after `SILENCE`
seconds: in both cases all others end with a line of error. Where process 0 itself dies, which keeps the store, jax ends
the others at once, with its own message.
"""

import atexit
import contextlib
import faulthandler
import importlib.util
import json
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax._src import distributed  # jax has no public name for the client of the key-value store

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import rendezvous

START = 300  # seconds that processes wait for each other at the start
SILENCE = 20.0  # seconds after which a process that says nothing is taken for dead
_JAX_SILENCE = 40  # the same for jax, whose message is longer
_GRACE = 2.0  # seconds in which the others read why process 0 ends
_PIECE = 16 << 20  # bytes of a value in the store
_SLURM = ("SLURM_JOB_ID", "SLURM_STEP_NODELIST", "SLURM_NTASKS", "SLURM_PROCID", "SLURM_LOCALID")
_STOP, _BEATS, _END = "fastrecon/stop", "fastrecon/beats", "end"


class Group(NamedTuple):
    """This process among the others.

    Attributes:
        index: of this process, from 0; process 0 writes the results.
        count: of all processes.
        client: of the key-value store; None for a process alone.
    """

    index: int = 0
    count: int = 1
    client: Any = None


@contextlib.contextmanager
def joined(coordinator: str, count: int, index: int, *, tell: Callable[[str], object]) -> Iterator[Group]:
    """Meet the other processes, if there are any, and end together with them; call it before jax sees its devices.

    Args:
        coordinator: HOST:PORT of process 0; empty for a process alone or on a cluster that jax knows.
        count: number of processes; 0 to find out on SLURM and TPU pods, where others are this process alone.
        index: of this process; -1 likewise.
        tell: takes the line about who is waited for.

    Yields:
        The group, of this process alone where there are no others.

    Raises:
        InputError: the others cannot be met.
    """
    group = _meet(coordinator, count, index, tell)
    if group.client is None:
        yield group
        return
    leaving = threading.Event()
    watch = threading.Thread(target=_watch, args=(group, leaving), daemon=True)
    watch.start()
    try:
        yield group
        broadcast(group, _END, str)
    except BaseException as error:
        leaving.set()
        _fail(group, error)
        raise
    leaving.set()
    watch.join()
    jax.distributed.shutdown()


def _meet(coordinator: str, count: int, index: int, tell: Callable[[str], object]) -> Group:
    if count == 1 or not (coordinator or _on_cluster()):
        return Group()
    if coordinator:
        tell(f"process {index} of {count} waits up to {START} s for the others at {coordinator}\n")
        rendezvous.meet(coordinator, count, index, seconds=START)
        named = {"coordinator_address": coordinator, "num_processes": count, "process_id": index}
        named["cluster_detection_method"] = "deactivate"
    else:
        tell(
            f"waiting up to {START} s for the other processes of this cluster; --num_processes=1 runs this one alone\n"
        )
        named = {}
    jax.config.update("jax_enable_preemption_service", False)  # it would keep SIGTERM from ending the process
    try:
        jax.distributed.initialize(**named, initialization_timeout=START, heartbeat_timeout_seconds=_JAX_SILENCE)
    except (RuntimeError, ValueError, OSError) as error:
        place = (
            f"--coordinator={coordinator}" if coordinator else "this cluster (--num_processes=1 runs this one alone)"
        )
        raise InputError(f"the processes cannot meet at {place}: {error}") from None
    faulthandler.disable()  # where jax aborts because process 0 died, its own message is long enough
    state = distributed.global_state
    return Group(state.process_id, state.num_processes, state.client) if state.num_processes > 1 else Group()


def _on_cluster() -> bool:
    """Whether this is one of several tasks of SLURM or hosts of a TPU pod, which jax.distributed asks for the rest."""
    if all(name in os.environ for name in _SLURM):
        return os.environ["SLURM_NTASKS"].isdigit() and int(os.environ["SLURM_NTASKS"]) > 1
    hosts = os.environ.get("TPU_PROCESS_ADDRESSES") or os.environ.get("TPU_WORKER_HOSTNAMES")
    if hosts is not None:
        return "," in hosts
    has_tpu = Path("/dev/accel0").exists() or Path("/dev/vfio/0").exists()
    return has_tpu and "TPU_SKIP_MDS_QUERY" not in os.environ and importlib.util.find_spec("libtpu") is not None


def broadcast(group: Group, name: str, make: Callable[[], str]) -> str:
    """What process 0 knows, on every process.

    Args:
        group: from `joined`.
        name: of it, used once.
        make: gives it; called by process 0 alone.

    Returns:
        It.
    """
    if group.index:
        return receive(group, name, keep=True).decode()
    text = make()
    if group.client is not None:
        send(group, name, text.encode())
    return text


def agree(group: Group, facts: Mapping[str, Any]) -> None:
    """Refuse processes that were started differently.

    Args:
        group: from `joined`.
        facts: that must be the same everywhere, as JSON holds them.

    Raises:
        InputError: they are not those of process 0.
    """
    known = json.loads(broadcast(group, "facts", lambda: json.dumps(facts)))
    differing = [key for key in known | facts if known.get(key) != facts.get(key)]
    if differing:
        changes = "; ".join(f"{key} is {facts.get(key)!r}, there {known.get(key)!r}" for key in differing)
        raise InputError(f"this process was started otherwise than process 0: {changes}")


def send(group: Group, name: str, data: bytes) -> None:
    """Leave something for another process.

    Args:
        group: from `joined`.
        name: of it, used once.
        data: it.
    """
    starts = range(0, len(data), _PIECE)
    with _connected():
        for i, start in enumerate(starts):
            group.client.key_value_set_bytes(f"fastrecon/{name}/{i}", data[start : start + _PIECE])
        group.client.key_value_set(f"fastrecon/{name}/pieces", str(len(starts)))


def receive(group: Group, name: str, *, wait: bool = True, keep: bool = False) -> bytes | None:
    """What another process left.

    Args:
        group: from `joined`.
        name: of it.
        wait: until it is there; otherwise look.
        keep: leave it there, for others.

    Returns:
        It; None if it is not there.
    """
    with _connected():
        pieces = _get(group, f"fastrecon/{name}/pieces", 1.0 if wait else 0.001)
        while wait and pieces is None:
            pieces = _get(group, f"fastrecon/{name}/pieces", 1.0)
        if pieces is None:
            return None
        keys = [f"fastrecon/{name}/{i}" for i in range(int(pieces))]
        data = b"".join(group.client.blocking_key_value_get_bytes(key, 60_000) for key in keys)
        if not keep:
            group.client.key_value_delete(f"fastrecon/{name}")
        return data


def _get(group: Group, key: str, seconds: float) -> str | None:
    """A value, or None if it is not there in time."""
    try:
        return group.client.blocking_key_value_get(key, max(1, int(1000 * seconds)))
    except jax.errors.JaxRuntimeError as error:
        if "DEADLINE_EXCEEDED" in str(error):
            return None
        raise


@contextlib.contextmanager
def _connected() -> Iterator[None]:
    try:
        yield
    except jax.errors.JaxRuntimeError as error:
        raise InputError(f"process 0 cannot be reached: {error}; the same command takes it up") from None


def _watch(group: Group, leaving: threading.Event) -> None:
    """Say that this process lives, and end it when another one failed or died."""
    now = time.monotonic()
    heard = {str(i): ("", now) for i in range(1, group.count)}
    while not leaving.is_set():
        try:
            # Not key_value_increment: with jax 0.10.2 the store then hung for all.
            group.client.key_value_set(f"{_BEATS}/{group.index}", str(time.monotonic()), allow_overwrite=True)
            stop = _get(group, _STOP, 1.0)
            if stop is None and group.index == 0:
                stop = _missing(group, heard)
        except jax.errors.JaxRuntimeError:
            stop = _reason(0, "it has died or cannot be reached; the same command takes it up", 1)
        if stop is not None and not leaving.is_set():
            _end(group, stop)


def _missing(group: Group, heard: dict[str, tuple[str, float]]) -> str | None:
    """Publishes which process has been silent for too long, if one has."""
    now = time.monotonic()
    for key, beats in group.client.key_value_dir_get(_BEATS):
        index = key.rsplit("/", 1)[-1]
        if index in heard and heard[index][0] != beats:
            heard[index] = (beats, now)
    silent = [index for index, (_, since) in heard.items() if now - since > SILENCE]
    if not silent:
        return None
    stop = _reason(silent[0], "it has died or cannot be reached; the same command takes it up", 1)
    group.client.key_value_set(_STOP, stop, allow_overwrite=True)
    return stop


def _reason(index: int | str, text: str, code: int) -> str:
    return json.dumps({"text": f"process {index}: {' '.join(text.split())}", "code": code})


def _end(group: Group, stop: str) -> None:
    """End this process at once, whatever it computes; process 0, whose store the others read, last."""
    known = json.loads(stop)
    sys.stdout.flush()
    sys.stderr.write(f"error: {known['text']}\n")
    sys.stderr.flush()
    if group.index == 0:
        time.sleep(_GRACE)
    os._exit(known["code"])


def _fail(group: Group, error: BaseException) -> None:
    """Tell the others why this process ends, and see to it that it does not wait for them then, as jax would."""
    code = 130 if isinstance(error, KeyboardInterrupt) else 2 if isinstance(error, InputError) else 1
    text = "interrupted" if isinstance(error, KeyboardInterrupt) else str(error) or type(error).__name__
    with contextlib.suppress(jax.errors.JaxRuntimeError):
        group.client.key_value_set(_STOP, _reason(group.index, text, code))
    if group.index == 0:
        time.sleep(_GRACE)
    atexit.register(_leave, code)


def _leave(code: int) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
