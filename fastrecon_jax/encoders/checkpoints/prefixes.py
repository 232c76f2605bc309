"""What training puts before the names of a network's tensors, such as `module.` or `model.backbone.`."""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np

# Wrappers that may stand beside other networks; what all names begin with, or more than half, needs no entry.
_KNOWN = ("module", "model", "_orig_mod", "backbone", "encoder", "net", "network", "encoder_q", "feature_extractor")
_DEEPEST = 6  # prefixes inside each other


def readings(tensors: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    """The networks that a checkpoint may hold: all its tensors as they are named, then those below a prefix.

    Args:
        tensors: arrays by name.

    Yields:
        A prefix, empty for the first, and the tensors whose names begin with it, without it; the longer a prefix, the
        later it comes.
    """
    level = [("", dict(tensors))]
    for _ in range(_DEEPEST):
        yield from level
        level = [(f"{before}{first}.", inner) for before, outer in level for first, inner in _below(outer)]


def _below(tensors: Mapping[str, np.ndarray]) -> Iterator[tuple[str, dict[str, np.ndarray]]]:
    groups: dict[str, dict[str, np.ndarray]] = {}
    for name, tensor in tensors.items():
        first, dot, rest = name.partition(".")
        if dot and rest:
            groups.setdefault(first, {})[rest] = tensor
    for first in sorted(groups, key=lambda first: _KNOWN.index(first) if first in _KNOWN else len(_KNOWN)):
        if first in _KNOWN or 2 * len(groups[first]) > len(tensors):
            yield first, groups[first]


def common(names: Sequence[str]) -> str:
    """The prefix that all names begin with, up to a dot; empty if there is none.

    Args:
        names: names of tensors.

    Returns:
        Such as `model.backbone.`.
    """
    parts = [name.split(".")[:-1] for name in names]
    shared: list[str] = []
    for column in zip(*parts, strict=False):
        if len(set(column)) > 1:
            break
        shared.append(column[0])
    return "".join(f"{part}." for part in shared)
