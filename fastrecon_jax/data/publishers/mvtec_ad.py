"""MVTec AD: 15 categories of textures and objects."""

from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax.data import folder
from fastrecon_jax.data.publishers.publisher import Counts, Publisher

_COUNTS = {
    "bottle": Counts(209, 20, 63),
    "cable": Counts(224, 58, 92),
    "capsule": Counts(219, 23, 109),
    "carpet": Counts(280, 28, 89),
    "grid": Counts(264, 21, 57),
    "hazelnut": Counts(391, 40, 70),
    "leather": Counts(245, 32, 92),
    "metal_nut": Counts(220, 22, 93),
    "pill": Counts(267, 26, 141),
    "screw": Counts(320, 41, 119),
    "tile": Counts(230, 33, 84),
    "toothbrush": Counts(60, 12, 30),
    "transistor": Counts(213, 60, 40),
    "wood": Counts(247, 19, 60),
    "zipper": Counts(240, 32, 119),
}


def _expected(root: Path, category: str) -> Sequence[str]:
    """The good images; they are numbered from 000."""
    train, good, *_ = _COUNTS[category]
    return [f"{category}/train/good/{i:03d}.png" for i in range(train)] + [
        f"{category}/test/good/{i:03d}.png" for i in range(good)
    ]


PUBLISHER = Publisher(
    name="mvtec_ad",
    title="MVTec AD",
    layout="mvtec_anomaly_detection.tar.xz, CATEGORY.tar.xz, or folders CATEGORY/train/good, CATEGORY/test and "
    "CATEGORY/ground_truth",
    homepage="https://www.mvtec.com/company/research/datasets/mvtec-ad",
    licence="CC BY-NC-SA 4.0",
    counts=_COUNTS,
    # Not mvtec*: MVTec AD 2 and LOCO lie beside it.
    archives=("mvtec_anomaly*.tar*", "mvtec.tar*", "mvtec_ad.tar*", "mvtec-ad.tar*", "{category}.tar*"),
    holds=folder.holds,
    open=folder.open_category,
    expected=_expected,
    grey=frozenset({"grid", "screw", "zipper"}),
)
