"""VisA, visual anomaly: 12 objects, split as its `split_csv/1cls.csv` says."""

import csv
from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax.data.publishers.publisher import Counts, Publisher, by_name
from fastrecon_jax.data.samples import Category, Sample
from fastrecon_jax.errors import InputError

_SPLIT = Path("split_csv") / "1cls.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")


def _holds(root: Path, category: str) -> bool:
    return (root / _SPLIT).is_file() and (root / category / "Data" / "Images").is_dir()


def _rows(root: Path, category: str) -> list[dict[str, str]]:
    file = root / _SPLIT
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            reader = csv.DictReader(lines)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise InputError(f"{file} has the columns {reader.fieldnames}, expected are {', '.join(_COLUMNS)}")
            return [row for row in reader if row["object"] == category]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read: {error}") from None


def _sample(root: Path, category: str, row: dict[str, str]) -> Sample:
    path, defective = root / row["image"], row["label"] != "normal"
    mask = root / row["mask"]
    if defective and not (row["mask"] and mask.is_file()):
        raise InputError(f"defective image {path} has no mask: expected {mask}")
    return Sample(
        name=path.relative_to(root / category).as_posix(),
        path=str(path),
        defective=defective,
        defect="anomaly" if defective else "good",
        read=path.read_bytes,
        read_mask=mask.read_bytes if defective else None,
    )


def _open(root: Path, category: str) -> Category:
    """The images of the list that are there."""
    rows = [row for row in _rows(root, category) if (root / row["image"]).is_file()]
    train = [_sample(root, category, row) for row in rows if row["split"] == "train"]
    test = [_sample(root, category, row) for row in rows if row["split"] == "test"]
    return Category(category, by_name(train), by_name(test), True)


def _expected(root: Path, category: str) -> Sequence[str]:
    return [row["image"] for row in _rows(root, category)]


PUBLISHER = Publisher(
    name="visa",
    title="VisA",
    layout="VisA.tar (or VisA_20220922.tar), or a folder with split_csv/1cls.csv, OBJECT/Data/Images and "
    "OBJECT/Data/Masks",
    homepage="https://github.com/amazon-science/spot-diff",
    licence="CC BY 4.0",
    counts={
        "candle": Counts(900, 100, 100),
        "capsules": Counts(542, 60, 100),
        "cashew": Counts(450, 50, 100),
        "chewinggum": Counts(453, 50, 100),
        "fryum": Counts(450, 50, 100),
        "macaroni1": Counts(900, 100, 100),
        "macaroni2": Counts(900, 100, 100),
        "pcb1": Counts(904, 100, 100),
        "pcb2": Counts(901, 100, 100),
        "pcb3": Counts(905, 101, 100),
        "pcb4": Counts(904, 101, 100),
        "pipe_fryum": Counts(450, 50, 100),
    },
    archives=("visa*.tar*", "visa*.zip"),
    holds=_holds,
    open=_open,
    expected=_expected,
)
