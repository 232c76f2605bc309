"""MPDD, metal parts defect detection: six categories in the layout of MVTec AD."""

from fastrecon_jax.data import folder
from fastrecon_jax.data.publishers.publisher import Counts, Publisher

PUBLISHER = Publisher(
    name="mpdd",
    title="MPDD",
    layout="MPDD.zip, or folders CATEGORY/train/good, CATEGORY/test and CATEGORY/ground_truth",
    homepage="https://github.com/stepanje/MPDD",
    licence="CC BY-NC-SA 4.0",
    counts={
        "bracket_black": Counts(289, 32, 47),
        "bracket_brown": Counts(185, 26, 51),
        "bracket_white": Counts(110, 30, 30),
        "connector": Counts(128, 30, 14),
        "metal_plate": Counts(54, 26, 71),
        "tubes": Counts(122, 32, 69),
    },
    archives=("mpdd*.zip", "mpdd*.tar*", "{category}.zip"),
    holds=folder.holds,
    open=folder.open_category,
)
