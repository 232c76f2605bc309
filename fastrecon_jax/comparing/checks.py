"""Where runs do not compare: other parts, images, labels, draws, support images or settings; lines for people."""

from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import Any

import numpy as np

from fastrecon_jax.command_line.console import count
from fastrecon_jax.comparing.runs import Cell, Run
from fastrecon_jax.comparing.systems import Key, System
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

_LISTED = 4  # names in a line
# What decides a figure beside the method: the images as the encoder gets them, the maps' size, the score of an image.
_SETTINGS = (
    *("image_size", "crop_size", "tile", "dtype", "image_score", "support", "support_copies", "max_queries"),
    "version",
)
Sign = Hashable  # what must be equal


def warnings(systems: Sequence[System], metrics: Sequence[str]) -> list[str]:
    """All that a reader must know before he believes a difference; empty where there is nothing."""
    return [
        *_of_runs(_runs(systems)),
        *_parts(systems),
        *_draws(systems),
        *_images(systems),
        *_support(systems),
        *_settings(systems),
        *_undefined(systems, metrics),
    ]


def _runs(systems: Sequence[System]) -> list[Run]:
    return list({str(run.path): run for system in systems for run in system.runs}.values())


def _of_runs(runs: Sequence[Run]) -> list[str]:
    """Runs that are not whole, or mean nothing: a line for each way."""
    ways: dict[str, list[str]] = {}
    for run in runs:
        for line in _of_run(run):
            ways.setdefault(line, []).append(run.name)
    return [f"{_some(names)}: {line}" for line, names in ways.items()]


def _of_run(run: Run) -> Iterable[str]:
    config = run.config or {}
    done = {group.category for group in run.cells}
    left = [name for name in _list(config, "category") if name not in done]
    if left:
        yield f"not finished, no results of {_some(left)} yet."
    if partial := _list(config, "partial"):
        yield f"{_some(partial)} not complete; the figures are not those of the published set."
    if config.get("max_queries"):
        yield f"at most {config['max_queries']} test images a category (--max_queries), not all."
    if config.get("weights") == RANDOM:
        yield "the encoder's weights are random, the figures mean nothing."


def _list(config: Row, name: str) -> list[str]:
    value = config.get(name)
    return [str(entry) for entry in value] if isinstance(value, list) else []


def _parts(systems: Sequence[System]) -> list[str]:
    """Parts, and numbers of shots, that some have and others lack."""
    lacking: dict[tuple, list[str]] = {}
    absent: dict[tuple[str, ...], list[int]] = {}
    for shots in sorted({k for system in systems for k in system.shots()}):
        there = [system for system in systems if shots in system.shots()]
        every = list(dict.fromkeys(part for system in there for part in system.parts(shots)))
        for system in there:
            if left := tuple(part for part in every if part not in system.parts(shots)):
                lacking.setdefault((system.name, left, len(every)), []).append(str(shots))
        if others := tuple(system.name for system in systems if shots not in system.shots()):
            absent.setdefault(others, []).append(shots)
    found = [
        f"{name} lacks {_some(parts)} with {', '.join(shots)} shots: its mean is over {every - len(parts)} of "
        f"{count(every, 'part')} and does not compare; differences are over the parts in common."
        for (name, parts, every), shots in lacking.items()
    ]
    return found + [f"{_some(names)}: no results with {', '.join(map(str, k))} shots." for names, k in absent.items()]


def _draws(systems: Sequence[System]) -> list[str]:
    def sign(cells: dict[Key, Cell]) -> Sign:
        return tuple(key.seed for key in cells)

    def told(sign: Any) -> str:
        return "one without a seed" if sign == (None,) else f"draws {', '.join(map(str, sign))}"

    return _differing(
        systems,
        lambda key: (key.part, key.shots),
        sign,
        lambda of, apart: f"Draws differ {of}: {apart}. Where two have none in common, these are resampled apart.",
        told,
    )


def _images(systems: Sequence[System]) -> list[str]:
    def sign(cells: dict[Key, Cell]) -> Sign:
        return frozenset((cell.images, cell.labels.tobytes()) for cell in cells.values())

    def told(sign: Any) -> str:
        sizes = sorted({(len(names), int(np.frombuffer(labels, bool).sum())) for names, labels in sign})
        return " or ".join(f"{n} images, {bad} defective" for n, bad in sizes)

    return _differing(
        systems,
        lambda key: key.part,
        sign,
        lambda of, apart: (
            f"Test images or their labels differ {of}: {apart}. Differences of image metrics are over the "
            "images that both have with equal labels; metrics of pixels are not subtracted there."
        ),
        told,
    )


def _support(systems: Sequence[System]) -> list[str]:
    def sign(cells: dict[Key, Cell]) -> Sign:
        (cell,) = cells.values()
        return cell.support

    def told(sign: Any) -> str:
        return f"{_some(sorted(sign))}" if sign else "none"

    unknown = [
        system.name
        for system in systems
        if any(cell.support is None for cell in system.cells.values()) and system.cells
    ]
    found = _differing(systems, lambda key: key, sign, lambda of, apart: f"Support images differ {of}: {apart}.", told)
    if unknown and len(systems) > 1:
        found.append(
            f"Support images are unknown of {_some(unknown)}: there is no support.csv beside the scores, so draws of "
            "one seed may be other images."
        )
    return found


def _differing(
    systems: Sequence[System],
    of: Callable[[Key], Hashable],
    sign: Callable[[dict[Key, Cell]], Sign],
    line: Callable[[str, str], str],
    told: Callable[[Any], str],
) -> list[str]:
    """A line for each way in which systems fall apart, with the places where they do; unknown signs count as equal."""
    signs: dict[Any, dict[str, Sign]] = {}
    for system in systems:
        groups: dict[Any, dict[Key, Cell]] = {}
        for key, cell in system.cells.items():
            groups.setdefault(of(key), {})[key] = cell
        for place, cells in groups.items():
            if (found := sign(cells)) is not None:
                signs.setdefault(place, {})[system.name] = found
    ways: dict[tuple, list[Any]] = {}
    for place, own in signs.items():
        if len(set(own.values())) > 1:
            order = list(dict.fromkeys(own.values()))
            ways.setdefault(tuple((name, order.index(value)) for name, value in own.items()), []).append(place)
    lines = []
    for way, places in ways.items():
        own = signs[places[0]]
        groups = [[name for name, group in way if group == i] for i in range(len(set(own.values())))]
        apart = "; ".join(f"{_some(names)} {told(own[names[0]])}" for names in groups)
        lines.append(line(_where(places), apart))
    return lines


def _where(places: Sequence[Any]) -> str:
    """Such as `in bottle with 4 shots, draw 0, and in 12 more`."""
    place = places[0]
    part, *rest = (place,) if isinstance(place, str) else place
    text = f"in {part}" + (f" with {count(rest[0], 'shot')}" if rest else "")
    text += f", draw {rest[1]}" if len(rest) > 1 and rest[1] is not None else ""
    return text + (f", and in {len(places) - 1} more" if len(places) > 1 else "")


def _settings(systems: Sequence[System]) -> list[str]:
    found = []
    known = {system.name: _facts(system) for system in systems if all(run.config for run in system.runs)}
    for name in dict.fromkeys(name for facts in known.values() for name in facts):
        values: dict[str, list[str]] = {}
        for system, facts in known.items():
            if name in facts:
                values.setdefault(facts[name], []).append(system)
        if len(values) > 1:
            apart = "; ".join(f"{_some(names)} {value}" for value, names in values.items())
            found.append(f"The setting {name} differs: {apart}.")
    others = [system.name for system in systems if system.name not in known]
    if others and len(systems) > 1:
        found.append(f"Sizes of images, masks and other settings are unknown of {_some(others)}: another program.")
    return found


def _facts(system: System) -> dict[str, str]:
    facts: dict[str, list[str]] = {}
    for run in system.runs:
        config = run.config or {}
        for name in (name for name in _SETTINGS if name in config):
            facts.setdefault(name, []).append(_shown(config[name]))
        depths = config.get("bit_depth")
        for part, depth in depths.items() if isinstance(depths, dict) else ():
            facts.setdefault(f"bit_depth of {part}", []).append(_shown(depth))
    return {name: " and ".join(dict.fromkeys(values)) for name, values in facts.items()}


def _shown(value: Any) -> str:
    return (",".join(map(str, value)) if isinstance(value, list) else str(value)) or "default"


def _undefined(systems: Sequence[System], metrics: Sequence[str]) -> list[str]:
    """Parts that lack a metric which others of the system have."""
    ways: dict[tuple, list[str]] = {}
    for system in systems:
        groups = tables.grouped([{"part": key.part, "cell": cell} for key, cell in system.cells.items()], "part")
        own: dict[tuple[str, ...], list[str]] = {}
        for metric in metrics:
            lacking = tuple(
                part for (part,), same in groups.items() if any(row["cell"].metrics.get(metric) is None for row in same)
            )
            if lacking and len(lacking) < len(groups):
                own.setdefault(lacking, []).append(metric)
        for lacking, of in own.items():
            ways.setdefault((lacking, tuple(of)), []).append(system.name)
    return [
        f"{_some(names)}: {' and '.join(of)} not defined on {_some(lacking)}; means are over the other parts."
        for (lacking, of), names in ways.items()
    ]


def _some(names: Sequence[str]) -> str:
    if len(names) <= _LISTED + 1:
        return ", ".join(names)
    return f"{', '.join(names[:_LISTED])} and {len(names) - _LISTED} more"
