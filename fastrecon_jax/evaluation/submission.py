"""Anomaly maps of private test images, in the form that the publisher's evaluation server takes.

    DIRECTORY/anomaly_images/CATEGORY/test_private/000_regular.tiff               float16, of the photograph's size
    DIRECTORY/anomaly_images_thresholded/CATEGORY/test_private/000_regular.png    0 and 255
    DIRECTORY.tar.gz                                                              both, once all categories are there

The form is that of MVTec's utilities for MVTec AD 2 (`check_and_prepare_data_for_upload.py`), which check a directory.
"""

import functools
import importlib.util
import io
import math
import tarfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.data import samples
from fastrecon_jax.data.publishers import PUBLISHERS
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import figures, full_size, prescribed
from fastrecon_jax.evaluation.setup import Setup, of_category
from fastrecon_jax.evaluation.shares import Share

MAPS, THRESHOLDED = "anomaly_images", "anomaly_images_thresholded"
_AT_ONCE = 64  # maps in memory
_LEAST, _MOST = 2.0**-3, 2.0**15  # largest scores that float16 holds well: it ends at 65504


def check(setup: Setup, finished: set[str]) -> None:
    """Refuse a submission that cannot be made, before anything is computed; nothing where none is asked for.

    InputError where tifffile is not installed, where there are no private images, several methods, numbers of shots or
    draws, maps of a part of each photograph, or categories that were finished before without their maps.
    """
    config = setup.config
    if not config.submission:
        return
    if importlib.util.find_spec("tifffile") is None:
        raise InputError("--submission needs tifffile: run `pip install 'fastrecon_jax[submission]'`")
    without = [category.name for category in setup.categories if not category.private]
    if without:
        raise InputError(f"--submission={config.submission} is not possible: {without[0]} has no private test images")
    draws = [len(of_shots) for draws in setup.draws.values() for of_shots in draws.values()]
    if len(setup.programs.methods) > 1 or len(config.shots) > 1 or max(draws) > 1:
        raise InputError(f"--submission={config.submission} needs one --method, one number of --shots and one draw")
    if config.crop_size != config.image_size:
        raise InputError(
            f"--submission={config.submission} needs maps of whole photographs: pass --crop_size={config.image_size} "
            f"like --image_size"
        )
    missing = [
        category.name
        for category in setup.categories
        if category.name in finished
        and not all(files.is_file(_files(Path(config.submission), category, sample)[0]) for sample in category.private)
    ]
    if missing:
        raise InputError(
            f"{', '.join(missing)} was finished before without the maps of --submission={config.submission}: choose "
            "another --output_dir"
        )


def write(setup: Setup, category: samples.Category, share: Share, tell: Callable[[str], object]) -> None:
    """Write the maps of the private images of a category; InputError where they cannot be written."""
    directory = Path(setup.config.submission)
    config, _ = of_category(setup, category)
    (key,) = scoring.keys(setup.programs, setup.draws[category.name])
    parts = scoring.parts(category, setup.config)
    first, last = len(parts.tested), len(parts.tested) + len(parts.validation)
    scored = functools.partial(figures.scored_images, setup, category, share, key, 0)
    threshold = prescribed.threshold(scored(slice(first, last)), config.preprocessing) if parts.validation else None
    # A map is an average of patch scores: none of its values is larger.
    scale = _scale(share.scored[key].patches[0, last:])
    for start in range(last, last + len(parts.private), _AT_ONCE):
        private = scored(slice(start, start + _AT_ONCE))
        for sample, scores in full_size.maps(private.samples, private.maps, config.preprocessing, 0.0):
            maps, thresholded = _files(directory, category, sample)
            _write(maps, _tiff((scores * np.float32(scale)).astype(np.float16)))
            if threshold is not None:
                _write(thresholded, _png(scores > threshold))
    said = f", multiplied by {scale:g} to fit float16" if scale != 1 else ""
    without = "" if threshold is not None else "; none is thresholded, since there are no validation images"
    tell(f"{shown(category.name)}: {len(parts.private)} maps are in {shown(directory)}{said}{without}\n")


def conclude(setup: Setup, tell: Callable[[str], object]) -> None:
    """Pack the directory, once all categories of the data set are in it; say which are not yet."""
    directory = Path(setup.config.submission)
    wanted = {name: counts.private for name, counts in PUBLISHERS[setup.dataset.name].counts.items() if counts}
    wanted |= {category.name: len(category.private) for category in setup.categories}
    maps, thresholded = (
        {name: sorted((directory / kind / name).rglob(f"*{ending}")) for name in wanted}
        for kind, ending in ((MAPS, ".tiff"), (THRESHOLDED, ".png"))
    )
    missing = [name for name, number in wanted.items() if len(maps[name]) < number]
    if missing:
        tell(f"not packed yet: {shown(directory)} has not all maps of {', '.join(map(shown, missing))}\n")
        return
    paths = [path for kind in (maps, thresholded) for of_category in kind.values() for path in of_category]
    archive = directory.with_name(f"{directory.name}.tar.gz")
    with files.draft(archive) as file, tarfile.open(fileobj=file, mode="w:gz", compresslevel=1) as packed:
        for path in paths:
            packed.add(path, Path(directory.name) / path.relative_to(directory))
    tell(f"{len(paths)} files are packed for the evaluation server: {shown(archive)}\n")


def _scale(scores: Float[np.ndarray, "n h w"]) -> float:
    """1, or the power of two that brings the largest score to where float16 tells scores apart; ranks stay."""
    largest = float(np.abs(scores).max())
    if largest == 0 or _LEAST <= largest <= _MOST:
        return 1.0
    return 2.0 ** -math.floor(math.log2(largest))


def _files(directory: Path, category: samples.Category, sample: samples.Sample) -> tuple[Path, Path]:
    name = Path(category.name) / sample.name
    return directory / MAPS / name.with_suffix(".tiff"), directory / THRESHOLDED / name.with_suffix(".png")


def _write(file: Path, data: bytes) -> None:
    files.make_directory(file.parent)
    files.write(file, data)


def _tiff(scores: Float[np.ndarray, "H W"]) -> bytes:
    """A map as TIFF, compressed without loss; Pillow writes none of float16."""
    import tifffile

    data = io.BytesIO()
    # Higher levels take twice the time and save 5 %.
    how = {"compression": "zlib", "compressionargs": {"level": 1}, "rowsperstrip": len(scores)}
    tifffile.imwrite(data, scores, photometric="minisblack", metadata=None, software=False, **how)
    return data.getvalue()


def _png(found: np.ndarray) -> bytes:
    data = io.BytesIO()
    Image.fromarray(found.astype(np.uint8) * 255).save(data, "PNG")
    return data.getvalue()
