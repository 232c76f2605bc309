"""KolektorSDD, the Kolektor surface-defect data set: photographs of commutators' surfaces, most of them good."""

from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import masks
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, hold_out, matching
from fastrecon_jax.data.samples import GOOD, Category, Sample, from_file
from fastrecon_jax.errors import InputError

_ITEMS = tuple(f"kos{i:02d}" for i in range(1, 51))


def _holds(root: Path, category: str) -> bool:
    return any(files.is_file(root / item / "Part0.jpg") for item in _ITEMS)


def _sample(root: Path, path: Path) -> Sample:
    """An image is defective where its mask, which every image has, marks anything."""
    mask = path.with_name(f"{path.stem}_label.bmp")
    try:
        defective = masks.decode(mask.read_bytes(), str(mask)).getbbox() is not None
    except FileNotFoundError:
        raise InputError(f"image {path} has no mask: expected {mask}") from None
    except OSError as error:
        raise InputError(f"mask {mask} cannot be read: {files.reason(error)}") from None
    return from_file(root, path, defect="defect" if defective else GOOD, mask=mask if defective else None)


def _open(root: Path, category: str) -> Category:
    """No official split for one class: every fifth good image by name and all defective ones are the test set."""
    samples = [_sample(root, path) for item in _ITEMS for path in matching(root / item, "Part*.jpg")]
    train, _ = hold_out([sample for sample in samples if not sample.defective])
    kept = {sample.name for sample in train}
    return Category(category, train, tuple(sample for sample in samples if sample.name not in kept), True)


def _expected(root: Path, category: str) -> Sequence[str]:
    return _ITEMS


PUBLISHER = Publisher(
    name="kolektor_sdd",
    title="KolektorSDD",
    layout="KolektorSDD.zip, or folders kos01 to kos50, each with PartN.jpg and PartN_label.bmp",
    homepage="https://www.vicos.si/resources/kolektorsdd/",
    licence="CC BY-NC-SA 4.0",
    counts={"kolektor_sdd": Counts(278, 69, 52)},
    archives=("kolektorsdd*.zip", "kolektorsdd*.tar*"),
    holds=_holds,
    open=_open,
    expected=_expected,
    grey=frozenset({"kolektor_sdd"}),
)
