"""Magnetic tile defects: tiles photographed from above, five kinds of defects."""

from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, by_name, hold_out, matching
from fastrecon_jax.data.samples import GOOD, Category, Sample, from_file
from fastrecon_jax.errors import InputError

_GOOD = "MT_Free"
_DEFECTS = ("MT_Blowhole", "MT_Break", "MT_Crack", "MT_Fray", "MT_Uneven")


def _holds(root: Path, category: str) -> bool:
    return files.is_dir(root / _GOOD / "Imgs")


def _samples(root: Path, kind: str) -> list[Sample]:
    return [_sample(root, path, kind) for path in matching(root / kind / "Imgs", "*.jpg")]


def _sample(root: Path, path: Path, kind: str) -> Sample:
    defective, mask = kind != _GOOD, path.with_suffix(".png")
    if defective and not files.is_file(mask):
        raise InputError(f"defective image {path} has no mask: expected {mask}")
    defect = kind.removeprefix("MT_").lower() if defective else GOOD
    return from_file(root, path, defect=defect, mask=mask if defective else None)


def _open(root: Path, category: str) -> Category:
    """No official split: every fifth good image by name and all defective ones are the test set."""
    train, good = hold_out(_samples(root, _GOOD))
    defective = [sample for kind in _DEFECTS for sample in _samples(root, kind)]
    return Category(category, train, by_name([*good, *defective]), True)


def _expected(root: Path, category: str) -> Sequence[str]:
    return (_GOOD, *_DEFECTS)


PUBLISHER = Publisher(
    name="magnetic_tile",
    title="magnetic tile defects",
    layout="the repository's zip, or folders MT_Free, MT_Blowhole, MT_Break, MT_Crack, MT_Fray and MT_Uneven, each "
    "with Imgs/NAME.jpg and Imgs/NAME.png",
    homepage="https://github.com/abin24/Magnetic-tile-defect-datasets.",
    licence="free to use with citation (the repository's README; it names no licence)",
    counts={"magnetic_tile": Counts(762, 190, 392)},
    archives=("magnetic*.zip", "magnetic*.tar*"),
    holds=_holds,
    open=_open,
    expected=_expected,
    grey=frozenset({"magnetic_tile"}),
)
