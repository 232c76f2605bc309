"""The CPU as several devices with a thread each, which do not wait for each other at every operation."""

import contextlib
import math
import os
from collections.abc import Iterator
from pathlib import Path

ONE, AUTO = "1", "auto"
HELP = (
    "devices into which a CPU is divided, each with its share of the threads, and over which batches are split: a "
    "number, or auto, one for each core that this process may use"
)
MOST = 256
RULE = f"it must be {AUTO}, or a number from 1 to {MOST}"
_THREADS = "NPROC"  # XLA reads from this variable how many threads its pool gets when the devices are made
_QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def allowed(wanted: str) -> bool:
    """Whether `divide` takes this."""
    return wanted == AUTO or (wanted.isdecimal() and wanted.isascii() and 1 <= int(wanted) <= MOST)


def cores() -> int:
    """How many cores this process may use, by its affinity and the quota of its control group; at least 1."""
    granted = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, int(min(granted, _quota())))


def _quota() -> float:
    """Cores that the control group grants, as version 2 or 1 of control groups writes it; infinite without one."""
    for file in _QUOTAS:
        with contextlib.suppress(OSError, ValueError):
            granted, *period = file.read_text(encoding="ascii").split()
            if granted in ("max", "-1"):
                return math.inf
            length = period[0] if period else file.with_name("cpu.cfs_period_us").read_text(encoding="ascii")
            return float(granted) / float(length)
    return math.inf


def divide(wanted: str, *, most: int) -> None:
    """Divide the CPU into devices, unless JAX has devices already or was asked for some by its own settings.

    Takes `auto` or a number, and the number of images in a batch, more devices than which would have nothing to do.
    """
    import jax  # not above: the help of the flag is read without it

    from fastrecon_jax.runtime import compiler

    available = cores()
    count = min(available, most) if wanted == AUTO else int(wanted)
    own = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if own or jax.config.jax_num_cpu_devices != -1:
        return
    try:
        jax.config.update("jax_num_cpu_devices", count)
    except RuntimeError:  # there are devices already
        return
    if count > 1:
        compiler.keep_memory(arenas=count + 2)
    with _threads(max(1, available // count)):
        jax.local_devices()


@contextlib.contextmanager
def _threads(number: int) -> Iterator[None]:
    before = os.environ.get(_THREADS)
    os.environ.setdefault(_THREADS, str(number))
    try:
        yield
    finally:
        if before is None:
            del os.environ[_THREADS]
