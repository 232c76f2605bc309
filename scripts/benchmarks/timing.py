"""Comparing in turn, medians, and tables of them."""

import os
import pathlib
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

import jax


def in_turn(
    parts: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    at_least: float = 0.0,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Run the parts one after the other, round by round, after one round that does not count.

    Args:
        parts: by name; each does its work and waits for its end.
        repeats: rounds that count.
        at_least: seconds of a turn: the part runs once without being timed, so that caches and threads are its own
            again, and then as often as fits, of which the mean is taken. By default a turn is one call.
        clock: says the seconds; `time.process_time` says those of all cores together, which other programs change less.

    Returns:
        Seconds of each part in each round.
    """
    found = {name: [] for name in parts}
    for i in range(repeats + 1):
        for name, part in parts.items():
            if at_least and i:
                part()
            start, calls = clock(), 0
            while calls == 0 or (i and clock() - start < at_least):
                part()
                calls += 1
            if i:
                found[name].append((clock() - start) / calls)
    return found


def medians(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """The median of each part.

    Args:
        found: seconds, from `in_turn`.

    Returns:
        Seconds by name.
    """
    return {name: statistics.median(values) for name, values in found.items()}


def machine() -> str:
    """The machine, for the first line of every table.

    Returns:
        Processors and devices.
    """
    devices = jax.devices()
    return f"{os.cpu_count()} x {_processor()}, {len(devices)} x {devices[0].device_kind}, jax {jax.__version__}"


def _processor() -> str:
    info = pathlib.Path("/proc/cpuinfo")
    names = (
        [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table.

    Args:
        header: of the columns.
        rows: of cells.

    Returns:
        Its lines.
    """
    lines = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
