"""Which training images are the support: the first ones, random draws, or a list in a file."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from fastrecon_jax.errors import InputError

FIRST = "first"
RANDOM = "random"


class Draw(NamedTuple):
    """The support images of one run.

    Attributes:
        seed: of the draw; None where nothing was drawn.
        indices: into the training images of the category.
    """

    seed: int | None
    indices: tuple[int, ...]


def draws(category: str, names: Sequence[str], *, shots: int, support: str, seeds: Sequence[int]) -> tuple[Draw, ...]:
    """The draws of a category.

    Args:
        category: its name.
        names: of its training images relative to the category, sorted, such as `train/good/000.png`.
        shots: k, images in a draw.
        support: `first` (by name), `random` (without replacement, one draw for each seed; the draw for more shots
            contains the draw for fewer), or the path of a file, see `read_list`.
        seeds: of the random draws.

    Returns:
        One draw for `first` or a file, otherwise one for each seed.

    Raises:
        InputError: the file cannot be read, names an image that is not there, or lists too few for the category.
    """
    if support == FIRST:
        return (Draw(None, tuple(range(shots))),)
    if support == RANDOM:
        return tuple(Draw(seed, _random(category, len(names), shots, seed)) for seed in seeds)
    return (Draw(None, _listed(category, names, shots, Path(support))),)


def _random(category: str, count: int, shots: int, seed: int) -> tuple[int, ...]:
    rng = np.random.default_rng([seed, zlib.crc32(category.encode())])
    return tuple(int(i) for i in rng.permutation(count)[:shots])


def _listed(category: str, names: Sequence[str], shots: int, file: Path) -> tuple[int, ...]:
    listed = [name for name in read_list(file) if name.startswith(f"{category}/")]
    if len(listed) < shots:
        raise InputError(f"{file} lists {len(listed)} images of {category}, --shots={shots} needs at least {shots}")
    index = {f"{category}/{name}": i for i, name in enumerate(names)}
    for name in listed:
        if name not in index:
            raise InputError(f"{file} lists {name}, which is not among the {len(names)} training images of {category}")
    return tuple(index[name] for name in listed[:shots])


def read_list(file: Path) -> list[str]:
    """A support list: one image a line as `CATEGORY/train/good/NAME.png`; the first k of a category are its k shots.

    Args:
        file: text; blank lines and lines that start with # are left out.

    Returns:
        The names in order.

    Raises:
        InputError: the file cannot be read, is not text, or lists a name twice.
    """
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines()]
    except OSError as error:
        raise InputError(
            f"support {str(file)!r} is neither {FIRST!r} nor {RANDOM!r} nor a file that can be read: {error.strerror}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"support list {file} is not a text file") from None
    names = [line for line in lines if line and not line.startswith("#")]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"support list {file} names {name} more than once")
    return names
