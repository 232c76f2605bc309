"""VisA, visual anomaly: 12 objects, split as its `split_csv/1cls.csv` says."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastrecon_jax import files
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, by_name
from fastrecon_jax.data.samples import GOOD, Category, Sample, from_file
from fastrecon_jax.errors import InputError

_SPLIT = Path("split_csv") / "1cls.csv"
_COLUMNS = ("object", "split", "label", "image", "mask")


def _holds(root: Path, category: str) -> bool:
    return files.is_file(root / _SPLIT) and files.is_dir(root / category / "Data" / "Images")


def _rows(root: Path, category: str) -> list[dict[str, str]]:
    file = root / _SPLIT
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.DictReader(lines)
            if tuple(reader.fieldnames or ()) != _COLUMNS:
                raise InputError(f"{file} has the columns {reader.fieldnames}, expected are {', '.join(_COLUMNS)}")
            return [_whole(row, f"{file}, line {reader.line_num},") for row in reader if row["object"] == category]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{file} cannot be read: {error}") from None


def _whole(row: dict[str | None, Any], title: str) -> dict[str, str]:
    if tuple(row) != _COLUMNS or None in row.values():
        raise InputError(f"{title} does not have the {len(_COLUMNS)} columns {', '.join(_COLUMNS)}")
    if row["split"] not in ("train", "test"):
        raise InputError(f"{title} has the split {row['split']!r}: allowed are train, test")
    return row


def _sample(root: Path, category: str, row: dict[str, str]) -> Sample:
    path, defective = root / row["image"], row["label"] != "normal"
    mask = root / row["mask"]
    if defective and not (row["mask"] and files.is_file(mask)):
        raise InputError(f"defective image {path} has no mask: expected {mask}")
    return from_file(root / category, path, defect="anomaly" if defective else GOOD, mask=mask if defective else None)


def _open(root: Path, category: str) -> Category:
    """The images of the list that are there."""
    rows = [row for row in _rows(root, category) if files.is_file(root / row["image"])]
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
