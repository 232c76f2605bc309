"""ELPV: electroluminescence photographs of solar cells with the probability of a defect, without masks."""

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data.publishers.publisher import Counts, Publisher, by_name, hold_out
from fastrecon_jax.data.samples import GOOD, Category, from_file
from fastrecon_jax.errors import InputError

_LABELS = "labels.csv"


def _holds(root: Path, category: str) -> bool:
    return files.is_file(root / _LABELS) and files.is_dir(root / "images")


def _rows(root: Path, category: str) -> list[tuple[str, float]]:
    """Names and probabilities of the cells of a kind, without the uncertain ones."""
    file, rows = root / _LABELS, []
    try:
        for line in file.read_text(encoding="utf-8-sig").splitlines():
            name, probability, kind = line.split()
            if kind == category and float(probability) in (0, 1):
                rows.append((name, float(probability)))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read, expected are lines PATH PROBABILITY KIND: {error}") from None
    return rows


def _open(root: Path, category: str) -> Category:
    """No official split: every fifth good image by name and all defective ones are the test set."""
    samples = by_name(
        [
            from_file(root, root / name, defect="defective" if probability == 1 else GOOD)
            for name, probability in _rows(root, category)
            if files.is_file(root / name)
        ]
    )
    train, good = hold_out([sample for sample in samples if not sample.defective])
    return Category(category, train, by_name([*good, *(sample for sample in samples if sample.defective)]), False)


def _expected(root: Path, category: str) -> Sequence[str]:
    return [name for name, _ in _rows(root, category)]


def _package() -> Path:
    """The folder of the installed package, which is not imported."""
    spec = importlib.util.find_spec("elpv_dataset")
    if spec is None or not spec.submodule_search_locations:
        raise InputError(
            "--dataset=elpv needs the package elpv-dataset: pip install -e '.[elpv]', or pass its folder or archive"
        )
    return Path(spec.submodule_search_locations[0]) / "data"


PUBLISHER = Publisher(
    name="elpv",
    title="ELPV",
    layout="the installed package elpv-dataset, the repository's zip, or a folder with labels.csv and images",
    homepage="https://github.com/zae-bayern/elpv-dataset",
    licence="CC BY-NC-SA 4.0",
    counts={"mono": Counts(471, 117, 313), "poly": Counts(736, 184, 402)},
    archives=("elpv*.zip", "elpv*.tar*"),
    holds=_holds,
    open=_open,
    expected=_expected,
    default=_package,
    masks=False,
    grey=frozenset({"mono", "poly"}),
)
