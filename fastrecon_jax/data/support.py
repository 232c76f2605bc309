"""Which training images are the support: the first ones, random draws, or a list in a file."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastrecon_jax.data import support_list

FIRST = "first"
RANDOM = "random"


class Draw(NamedTuple):
    """The support images of one run.

    Attributes:
        seed: the draw's, or the number of its round in a list; None for the first images or a list without rounds.
        indices: which training images of the category.
    """

    seed: int | None
    indices: tuple[int, ...]


def draws(
    dataset: str, category: str, names: Sequence[str], *, shots: int, support: str, seeds: Sequence[int]
) -> tuple[Draw, ...]:
    """The draws of a category: one for `first`, otherwise one for each seed or each round of a list.

    Args:
        dataset: name of the data set.
        category: name of the category.
        names: its training images relative to the category, sorted, such as `train/good/000.png`.
        shots: k, images in a draw.
        support: `first` (by name), `random` (without replacement, one draw for each seed; the draw for more shots
            contains the draw for fewer), or the path of a list.
        seeds: those of the random draws.

    Raises:
        InputError: the list cannot be used, see `support_list.read`.
    """
    if support == FIRST:
        return (Draw(None, tuple(range(shots))),)
    if support == RANDOM:
        return tuple(Draw(seed, _random(category, len(names), shots, seed)) for seed in seeds)
    return tuple(Draw(*listed) for listed in support_list.read(Path(support), dataset, category, names, shots))


def _random(category: str, count: int, shots: int, seed: int) -> tuple[int, ...]:
    rng = np.random.default_rng([seed, zlib.crc32(category.encode())])
    return tuple(int(i) for i in rng.permutation(count)[:shots])
