"""Data sets prepared by the TFDS builders, read as array_record without TensorFlow."""

import functools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fastrecon_jax import files
from fastrecon_jax.data.samples import GOOD, UNKNOWN, Category, Sample
from fastrecon_jax.data.saturation import Saturation
from fastrecon_jax.errors import InputError


def find(directory: Path, name: str) -> dict[str, Path]:
    """The newest version of each prepared category in TFDS's `data_dir`, `directory/name/CATEGORY/VERSION`, sorted.

    Empty where nothing is prepared; InputError where it cannot be listed.
    """
    newest = {}
    for category in _folders(directory / name):
        versions = [path for path in _folders(category) if files.is_file(path / "dataset_info.json")]
        if versions:
            newest[category.name] = max(versions, key=_version)
    return newest


def open_category(directory: Path) -> Category:
    """The images of a prepared category, from the directory of one version; none is read.

    Its samples give the very bytes that were published. InputError where the builders of this project did not write it.
    """
    index, sources = _index(directory), _sources(directory)
    records = tuple(path for path in files.children(directory) if "array_record" in path.name)
    splits = {split: _split(directory, index, split, sources.get(split, ()), records) for split in index["splits"]}
    return Category(
        index["category"],
        splits["train"],
        splits["test"],
        index["has_masks"],
        index["partial"],
        validation=splits.get("validation", ()),
        private=splits.get("private", ()),
        figures=tuple(index.get("figures", ())),
        saturation=tuple(Saturation(*kind) for kind in index.get("saturation", ())),
    )


def _split(
    directory: Path, index: dict[str, Any], split: str, source: Any, records: tuple[Path, ...]
) -> tuple[Sample, ...]:
    names = index["splits"][split]
    if len(source) != len(names):
        raise InputError(f"{directory} is damaged: its {split} split does not hold {len(names)} images; remove it")
    masked, separate = index["has_masks"] and split == "test", bool(index.get("saturation"))
    groups = index.get("groups", {}).get(split) or [""] * len(names)
    listed = []
    for i, (name, defect) in enumerate(names):
        field = functools.partial(_field, source, i, directory)
        sample = _sample(directory, records, field, name, defect, masked)._replace(group=groups[i])
        if separate and sample.read_mask:
            sample = sample._replace(read_defects=functools.partial(field, "masks"))
        listed.append(sample)
    return tuple(listed)


def is_partial(directory: Path) -> bool:
    """Whether a prepared category, in the directory of one version, lacks something of what was published."""
    return _index(directory)["partial"]


def _index(directory: Path) -> dict[str, Any]:
    try:
        index = json.loads((directory / "metadata.json").read_text(encoding="utf-8"))
        if {"category", "has_masks", "partial", "splits"} <= index.keys():
            return index
    except (OSError, ValueError, AttributeError):
        pass
    raise InputError(
        f"{directory} was not prepared by scripts/prepare_data.py: its metadata.json lacks the image names"
    )


def _sources(directory: Path) -> dict[str, Any]:
    import tensorflow_datasets as tfds  # here, so that only those who read prepared data wait for it

    encoded = {"image": tfds.decode.SkipDecoding(), "mask": tfds.decode.SkipDecoding()}
    try:
        return tfds.builder_from_directory(directory).as_data_source(decoders=encoded)
    except (OSError, ValueError, RuntimeError, NotImplementedError) as error:
        raise InputError(f"{directory} cannot be read, prepare it again as array_record: {error}") from None


def _sample(
    directory: Path, records: tuple[Path, ...], field: Callable[[str], Any], name: str, defect: str, masked: bool
) -> Sample:
    defective = defect not in (GOOD, UNKNOWN)
    return Sample(
        name=name,
        path=f"{directory}/{name}",
        defective=defective,
        defect=defect,
        read=functools.partial(field, "image"),
        read_mask=functools.partial(field, "mask") if defective and masked else None,
        files=records,
    )


def _field(source: Any, i: int, directory: Path, name: str) -> Any:
    try:
        return source[i][name]
    except (OSError, ValueError, RuntimeError, IndexError) as error:
        raise InputError(f"image {i} of {directory} cannot be read, prepare it again: {error}") from None


def _folders(directory: Path) -> list[Path]:
    if not files.is_dir(directory):
        return []
    return [
        path
        for path in files.children(directory)
        if not files.is_hidden(path) and not path.name.startswith("incomplete") and files.is_dir(path)
    ]


def _version(directory: Path) -> tuple[int, ...]:
    return tuple(int(part) for part in directory.name.split(".") if part.isdigit())
