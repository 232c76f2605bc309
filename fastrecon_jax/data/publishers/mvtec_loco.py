"""MVTec LOCO AD: five arrangements of parts with structural anomalies and logical ones (too few, in the wrong place).

Each annotated defect of an image has a mask of its own, whose pixels have the value of its kind; `defects_config.json`
says of each kind how much of it must be found. Layout: the publisher's evaluation code and anomalib's `mvtec_loco.py`;
counts: inventories of the archive that others published, whose sums are those of the paper.
"""

import functools
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data import masks, saturation
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, matching
from fastrecon_jax.data.samples import GOOD, Category, Sample, from_file
from fastrecon_jax.errors import InputError

LOGICAL, STRUCTURAL = "logical_anomalies", "structural_anomalies"
FIGURES = ("auspro_05", "auspro_05_logical", "auspro_05_structural", "image_auroc_logical", "image_auroc_structural")
_CONFIG = "defects_config.json"
# Training, good test, logical and structural test images, validation images.
_NUMBERS = {
    "breakfast_box": (351, 102, 83, 90, 62),
    "juice_bottle": (335, 94, 142, 94, 54),
    "pushpins": (372, 138, 91, 81, 69),
    "screw_bag": (360, 122, 137, 82, 60),
    "splicing_connectors": (360, 119, 108, 85, 60),
}


def _holds(root: Path, category: str) -> bool:
    return files.is_dir(root / category / "train" / GOOD) and files.is_dir(root / category / "test" / LOGICAL)


def _union(paths: Sequence[Path]) -> bytes:
    """One PNG of all masks of an image, 255 where any marks something."""
    marked = [np.asarray(masks.decode(path.read_bytes(), str(path))) for path in paths]
    if len({mask.shape for mask in marked}) > 1:
        raise InputError(f"the masks in {paths[0].parent} are not of one size")
    data = io.BytesIO()
    Image.fromarray(np.max(marked, axis=0)).save(data, "PNG")
    return data.getvalue()


def _read_all(paths: Sequence[Path]) -> tuple[bytes, ...]:
    return tuple(path.read_bytes() for path in paths)


def _sample(folder: Path, path: Path, kind: str) -> Sample:
    sample = from_file(folder, path, defect=kind)
    if not sample.defective:
        return sample._replace(read_defects=tuple)
    place = folder / "ground_truth" / kind / path.stem
    own = matching(place, "*.png")
    if not own:
        raise InputError(f"defective image {path} has no mask: expected {place / '000.png'}")
    return sample._replace(
        read_mask=functools.partial(_union, own),
        read_defects=functools.partial(_read_all, own),
        files=(path, *own),
    )


def _open(root: Path, category: str) -> Category:
    folder = root / category
    train, validation = (
        tuple(_sample(folder, path, GOOD) for path in matching(folder / split / GOOD, "*.png"))
        for split in ("train", "validation")
    )
    test = [
        _sample(folder, path, kind)
        for kind in (GOOD, LOGICAL, STRUCTURAL)
        for path in matching(folder / "test" / kind, "*.png")
    ]
    return Category(
        category,
        train,
        tuple(test),
        has_masks=True,
        validation=validation,
        figures=FIGURES,
        saturation=saturation.read(folder / _CONFIG),
    )


PUBLISHER = Publisher(
    name="mvtec_loco",
    title="MVTec LOCO AD",
    layout="mvtec_loco_anomaly_detection.tar.xz, or folders CATEGORY/train/good, CATEGORY/validation/good, "
    f"CATEGORY/test, CATEGORY/ground_truth and the file CATEGORY/{_CONFIG}",
    homepage="https://www.mvtec.com/company/research/datasets/mvtec-loco",
    licence="CC BY-NC-SA 4.0",
    counts={
        name: Counts(train, good, logical + structural, validation)
        for name, (train, good, logical, structural, validation) in _NUMBERS.items()
    },
    archives=("mvtec_loco*.tar*", "{category}.tar*"),
    holds=_holds,
    open=_open,
    separate_masks=True,
)
