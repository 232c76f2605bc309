"""How much of a defect must be found, as MVTec LOCO's `defects_config.json` says it for each kind of defect."""

from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.errors import InputError

_KEYS = ("defect_name", "pixel_value", "saturation_threshold", "relative_saturation")


class Saturation(NamedTuple):
    """One kind of defect.

    Attributes:
        name: of the kind.
        value: of the pixels that mark it in a mask, 1 to 255.
        threshold: number of pixels that count as all of it, or the share of its own.
        relative: whether the threshold is a share.
    """

    name: str
    value: int
    threshold: float
    relative: bool

    def area(self, pixels: int) -> int:
        """Of a defect of so many pixels how many, once found, count as all; at least 1.

        A share is rounded down and a number is at most that of the defect, as in the publisher's evaluation code.
        """
        return max(int(self.threshold * pixels) if self.relative else min(int(self.threshold), pixels), 1)


def read(file: Path) -> tuple[Saturation, ...]:
    """The kinds of defects that a file lists; InputError where it cannot be read or is of another form."""
    listed = files.read_json(file)
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{file} holds no list of kinds of defects")
    kinds = tuple(_kind(file, entry) for entry in listed)
    if len({kind.value for kind in kinds}) < len(kinds):
        raise InputError(f"{file} gives two kinds of defects the same pixel_value")
    return kinds


def _kind(file: Path, entry: Any) -> Saturation:
    if not isinstance(entry, dict) or not entry.keys() >= set(_KEYS):
        raise InputError(f"{file}: expected are entries with {', '.join(_KEYS)}, there is {entry!r}")
    name, value, threshold, relative = (entry[key] for key in _KEYS)
    number = type(threshold) in (int, float) and threshold > 0
    allowed = isinstance(relative, bool) and number and (threshold <= 1 if relative else threshold >= 1)
    if not isinstance(name, str) or type(value) is not int or not 1 <= value <= 255 or not allowed:
        raise InputError(
            f"{file}: {entry!r} is not possible; pixel_value is from 1 to 255, and saturation_threshold a number of "
            "pixels from 1 or, where relative_saturation is true, a share above 0 and up to 1"
        )
    return Saturation(name, value, threshold, relative)
