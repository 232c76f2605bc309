"""MVTec AD 2: eight kinds of objects and materials under changing light, two of its test sets without labels.

Layout and counts: the publisher's utilities for its evaluation server (`MVTecAD2_public_code_utils`, which counts the
private images), anomalib's `mvtecad2.py`, and inventories of the archive that others published.
"""

from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, matching
from fastrecon_jax.data.samples import GOOD, UNKNOWN, Category, Sample, from_file
from fastrecon_jax.errors import InputError

PRIVATE = ("test_private", "test_private_mixed")
FIGURES = ("aupro_05", "seg_f1")
_DEFECT = "bad"
_COUNTS = {
    "can": Counts(412, 72, 90, 46, 2 * 321),
    "fabric": Counts(387, 66, 90, 43, 2 * 314),
    "fruit_jelly": Counts(263, 20, 60, 37, 2 * 255),
    "rice": Counts(313, 42, 90, 35, 2 * 277),
    "sheet_metal": Counts(137, 24, 90, 19, 2 * 142),
    "vial": Counts(291, 35, 105, 41, 2 * 276),
    "wallplugs": Counts(293, 60, 90, 33, 2 * 232),
    "walnuts": Counts(432, 60, 90, 48, 2 * 228),
}


def _holds(root: Path, category: str) -> bool:
    return files.is_dir(root / category / "train" / GOOD) and files.is_dir(root / category / "test_public")


def _defective(folder: Path, path: Path) -> Sample:
    mask = folder / "test_public" / "ground_truth" / _DEFECT / f"{path.stem}_mask.png"
    if not files.is_file(mask):
        raise InputError(f"defective image {path} has no mask: expected {mask}")
    return from_file(folder, path, defect=_DEFECT, mask=mask)


def _open(root: Path, category: str) -> Category:
    """The public test set is the one that is measured."""
    folder = root / category
    train, validation, good, bad = (
        matching(folder / place, "*.png")
        for place in (f"train/{GOOD}", f"validation/{GOOD}", f"test_public/{GOOD}", f"test_public/{_DEFECT}")
    )
    private = [path for split in PRIVATE for path in matching(folder / split, "*.png")]
    return Category(
        category,
        tuple(from_file(folder, path) for path in train),
        (*(_defective(folder, path) for path in bad), *(from_file(folder, path) for path in good)),
        has_masks=True,
        validation=tuple(from_file(folder, path) for path in validation),
        private=tuple(from_file(folder, path, defect=UNKNOWN) for path in private),
        figures=FIGURES,
    )


def _expected(root: Path, category: str) -> Sequence[str]:
    """The private images, which are numbered from 000."""
    half = _COUNTS[category].private // 2
    return [
        f"{category}/{split}/{i:03d}_{light}.png"
        for split, light in zip(PRIVATE, ("regular", "mixed"), strict=True)
        for i in range(half)
    ]


PUBLISHER = Publisher(
    name="mvtec_ad_2",
    title="MVTec AD 2",
    layout="mvtec_ad_2.tar.gz, CATEGORY.tar.gz, or folders CATEGORY/train/good, CATEGORY/validation/good, "
    "CATEGORY/test_public, CATEGORY/test_private and CATEGORY/test_private_mixed",
    homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad-2",
    licence="CC BY-NC-SA 4.0",
    counts=dict(_COUNTS),
    archives=("mvtec_ad_2*.tar*", "{category}.tar*"),
    holds=_holds,
    open=_open,
    expected=_expected,
    grey=frozenset({"sheet_metal", "vial", "wallplugs"}),
)
