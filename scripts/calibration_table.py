"""What a part's calibration promises beside what it keeps: verdicts on labelled test images and on empty frames.

    python scripts/calibration_table.py --data_dir=DATA --category=bottle --shots=1,2,4,8 --target_fpr=0.05,0.01

For each category, number of good images and random draw a part is fitted as `python -m fastrecon_jax.fit` does it, and
judges the test images. Good ones are those of the test set and the training images that were not drawn. Empty frames
and halves are those of `empty_frames`, made from two good images that were not drawn; noise, stripes and a gradient, of
which no part knows, are among the empty ones.
"""

import functools
import sys
from typing import NamedTuple

import as_fitted
import numpy as np
from absl import flags
from jaxtyping import Bool, UInt8
from tqdm import tqdm

from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import datasets, samples, support
from fastrecon_jax.data.geometry import RESIZES
from fastrecon_jax.detector import Inspection
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.parts import empty_frames, fitting, inspector, limits, verdicts
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.limits import Limits
from fastrecon_jax.parts.photos import Photo

_DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, or all")
_SHOTS = flags.DEFINE_list("shots", ["4", "8"], "numbers of good images")
_RATES = flags.DEFINE_list("target_fpr", ["0.05", "0.01"], "false-positive rates asked for")
_DRAWS = flags.DEFINE_integer("draws", 10, "random draws of the good images", lower_bound=1)
_METHOD = flags.DEFINE_string("method", FitConfig.method, "method")
_ENCODER = flags.DEFINE_string("encoder", FitConfig.encoder, "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "weights of the encoder; by default its pretrained ones")
_RESIZE = flags.DEFINE_enum("resize", FitConfig.resize, RESIZES, "what of the images is inspected")

KINDS, VERDICTS = ("good", "defects", "empty frames", "halves"), ("defective", "or borderline")
_HALF = "half"  # what the names of frames with half a part end in
_EMPTIED = 2  # good images, not drawn, of which empty frames are made


class Photos(NamedTuple):
    """The preprocessed images of a category; labels are true for defective ones."""

    train: list[Photo]
    test: list[Photo]
    labels: Bool[np.ndarray, " n"]


def read(category: samples.Category, engine: Engine) -> Photos:
    """Preprocess all images of a category."""
    labels = np.array([sample.defective for sample in category.test])
    train, test = ([as_fitted.load(sample, engine) for sample in some] for some in (category.train, category.test))
    return Photos(train, test, labels)


def frames(good: list[Photo]) -> tuple[UInt8[np.ndarray, "n H W 3"], UInt8[np.ndarray, "m H W 3"]]:
    """Pictures that show no part, and others that show half of one."""
    made = [pair for photo in good for pair in empty_frames.make(photo.pixels[None]).items()]
    halves = [frame for name, frame in made if name.endswith(_HALF)]
    empty = [frame for name, frame in made if not name.endswith(_HALF)]
    height, width, _ = good[0].pixels.shape
    noise = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    across = np.broadcast_to(np.linspace(0, 255, width)[None, :, None], (height, width, 3))
    stripes = np.where(np.arange(width)[None, :, None] // 8 % 2, 255, 0) * np.ones((height, 1, 3))
    return np.stack([*empty, noise, across.astype(np.uint8), stripes.astype(np.uint8)]), np.stack(halves)


def judge(engine: Engine, photos: Photos, chosen: tuple[int, ...], rates: list[float]) -> list[list[float]]:
    """Fit on the chosen training images and judge all others, and frames without the part.

    Gives for each rate the shares judged defective and at least borderline of each of `KINDS`.
    """
    fitted = fitting.fit(engine, [photos.train[i] for i in chosen], name="part", rate=rates[0]).part
    rest = [photo for i, photo in enumerate(photos.train) if i not in chosen]
    good = [photo for photo, bad in zip(photos.test, photos.labels, strict=True) if not bad]
    groups = (
        np.stack([photo.pixels for photo in (*good, *rest)]),
        np.stack([photo.pixels for photo, bad in zip(photos.test, photos.labels, strict=True) if bad]),
        *frames((rest or good)[:_EMPTIED]),
    )
    measure = functools.partial(inspector.measure, inspector.create(fitted, engine))
    found = [measure(pixels) for pixels in groups]
    at_rates = [limits.at_rate(fitted.limits, rate) for rate in rates]
    return [[share for one in found for share in _shares(one, limit)] for limit in at_rates]


def _shares(found: Inspection, of: Limits) -> tuple[float, float]:
    """Of photographs, the shares of defective and of not good ones."""
    missing = [None] * len(found.score) if found.missing is None else found.missing.tolist()
    decided = [verdicts.decide(of, *one).verdict for one in zip(found.score.tolist(), missing, strict=True)]
    return decided.count(verdicts.DEFECTIVE) / len(decided), 1 - decided.count(verdicts.GOOD) / len(decided)


def main() -> None:
    """Measure and print the table."""
    try:
        shots, rates = [int(k) for k in _SHOTS.value], [float(rate) for rate in _RATES.value]
    except ValueError:
        raise InputError("--shots takes whole numbers and --target_fpr numbers, with commas between them") from None
    if min(shots) < 1 or not all(0 < rate < 1 for rate in rates):
        raise InputError("--shots must be at least 1, --target_fpr above 0 and below 1")
    dataset = datasets.open_dataset(_DATASET.value, _DATA_DIR.value)
    lines = [
        ["category", "good images", "asked for", *(f"{kind}: {verdict}" for kind in KINDS for verdict in VERDICTS)]
    ]
    for name in datasets.select(dataset, tuple(_CATEGORY.value)):
        category = dataset.open_category(name)
        samples.check(category, shots=max(shots))
        engine = as_fitted.open_category_engine(
            category, method=_METHOD.value, encoder=_ENCODER.value, weights=_WEIGHTS.value, resize=_RESIZE.value
        )
        photos = read(category, engine)
        for k in shots:
            names, seeds = [sample.name for sample in category.train], range(_DRAWS.value)
            draws = support.draws(dataset.name, name, names, shots=k, support=support.RANDOM, seeds=seeds)
            shown = tqdm(draws, desc=f"{name} {k}", disable=None, leave=False)
            shares = np.array([judge(engine, photos, draw.indices, rates) for draw in shown])
            for i, rate in enumerate(rates):
                lines.append(
                    [name, str(k), f"{100 * rate:g} %", *(f"{100 * x:.1f}" for x in shares[:, i].mean(axis=0))]
                )
    sys.stdout.write(
        f"{_METHOD.value}, {engine.encoder.name} ({engine.encoder.weights}), mean of {_DRAWS.value} draws, percent\n\n"
        f"{tables.markdown(lines)}"
    )


if __name__ == "__main__":
    command_line.run(main)
