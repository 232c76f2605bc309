"""One share of the images for each of several processes that know nothing of each other: `--shard=3/8`."""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place

_SHARD = re.compile(r"(\d{1,9})/(\d{1,9})")
_FOLDER = re.compile(r"shard-(\d+)-of-(\d+)")


class Shard(NamedTuple):
    """A share of the images.

    Attributes:
        number: which one, from 1.
        of: how many there are.
    """

    number: int
    of: int

    @property
    def folder(self) -> str:
        """The folder of its results, in the output directory of all."""
        return f"shard-{self.number}-of-{self.of}"

    @property
    def flag(self) -> str:
        """As the user writes it."""
        return f"--shard={self.number}/{self.of}"


def parse(text: str) -> Shard | None:
    """What `--shard` says, None where it is empty; InputError for anything but I/N from 1/N to N/N."""
    if not text:
        return None
    found = _SHARD.fullmatch(text)
    shard = Shard(*map(int, found.groups())) if found else Shard(0, 0)
    if not 1 <= shard.number <= shard.of:
        raise InputError(
            f"--shard={text} is not allowed: it must be I/N, from 1/8 to 8/8 for 8 of them (SLURM: --array=1-8)"
        )
    return shard


def from_folder(name: str) -> Shard | None:
    """The shard whose results a folder of that name holds; None for other folders."""
    found = _FOLDER.fullmatch(name)
    return Shard(*map(int, found.groups())) if found else None


def share(shard: Shard, paths: Sequence[Place]) -> list[Place]:
    """The images of a shard: a run of neighbours, so that pictures which repeat the one before are found as ever."""
    start, end = ((number * len(paths)) // shard.of for number in (shard.number - 1, shard.number))
    return list(paths[start:end])


def facts(shard: Shard, paths: Sequence[str]) -> dict[str, str]:
    """What all runs of a shard have in common: which one it is, and the images of all shards together."""
    hashed = hashlib.sha256()
    for path in paths:
        hashed.update(f"{path}\0".encode())
    return {"shard": f"{shard.number}/{shard.of}", "images": f"{len(paths)} images, {hashed.hexdigest()[:16]}"}
