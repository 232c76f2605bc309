"""What a part's calibration promises beside what it keeps: false positives and detections on labelled test images.

    python scripts/calibration_table.py --data_dir=DATA --category=bottle --shots=1,2,4,8 --target_fpr=0.05,0.01

For each category, number of good images and random draw a part is fitted as `python -m fastrecon_jax.fit` does it, and
judges the test images. Good ones are those of the test set and the training images that were not drawn.
"""

import sys
from typing import NamedTuple

import numpy as np
from absl import flags
from jaxtyping import Bool, Float
from tqdm import tqdm

from fastrecon_jax import methods
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import datasets, samples, support
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.parts import fitting, inspector, limits
from fastrecon_jax.parts.engine import Engine, Recipe, open_engine
from fastrecon_jax.parts.photos import Photo

_DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, or all")
_SHOTS = flags.DEFINE_list("shots", ["4", "8"], "numbers of good images")
_RATES = flags.DEFINE_list("target_fpr", ["0.05", "0.01"], "false-positive rates asked for")
_DRAWS = flags.DEFINE_integer("draws", 10, "random draws of the good images", lower_bound=1)
_METHOD = flags.DEFINE_string("method", "fastrecon", "method")
_ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "weights of the encoder; by default its pretrained ones")


KINDS, VERDICTS = ("good", "defects"), ("defective", "or borderline")


class Photos(NamedTuple):
    """The preprocessed images of a category; labels are true for defective ones."""

    train: list[Photo]
    test: list[Photo]
    labels: Bool[np.ndarray, " n"]


def read(category: samples.Category, engine: Engine) -> Photos:
    """Preprocess all images of a category."""
    preprocessing = engine.recipe.preprocessing

    def load(sample: samples.Sample) -> Photo:
        picture = samples.load_image(sample, samples.read(sample), preprocessing)
        return Photo(sample.name, sample.name, *picture.size, picture.pixels)

    labels = np.array([sample.defective for sample in category.test])
    return Photos([load(s) for s in category.train], [load(s) for s in category.test], labels)


def judge(
    engine: Engine, photos: Photos, chosen: tuple[int, ...], rates: list[float]
) -> list[tuple[float, float, float, float]]:
    """Fit on the chosen training images and judge all others.

    Gives for each rate the shares of good images judged defective and at least borderline, then of defective ones.
    """
    fitted = fitting.fit(engine, [photos.train[i] for i in chosen], name="part", rate=rates[0]).part
    rest = [photo for i, photo in enumerate(photos.train) if i not in chosen]
    labels = np.concatenate([photos.labels, np.zeros(len(rest), bool)])
    pixels = np.stack([photo.pixels for photo in (*photos.test, *rest)])
    scores, _ = inspector.score(inspector.create(fitted, engine), pixels)
    shares = []
    for rate in rates:
        other = limits.at_rate(fitted.limits, rate)
        shares.append(_shares(scores, labels, other.threshold, other.borderline))
    return shares


def _shares(
    scores: Float[np.ndarray, " n"], labels: Bool[np.ndarray, " n"], threshold: float, borderline: float
) -> tuple[float, float, float, float]:
    good, bad = scores[~labels], scores[labels]
    return tuple(float(np.mean(some > limit)) for some in (good, bad) for limit in (threshold, borderline))


def main() -> None:
    """Measure and print the table."""
    try:
        shots, rates = [int(k) for k in _SHOTS.value], [float(rate) for rate in _RATES.value]
    except ValueError:
        raise InputError("--shots takes whole numbers and --target_fpr numbers, with commas between them") from None
    if min(shots) < 1 or not all(0 < rate < 1 for rate in rates):
        raise InputError("--shots must be at least 1, --target_fpr above 0 and below 1")
    settings = methods.registration(_METHOD.value).settings()
    recipe = Recipe(_ENCODER.value, (), _WEIGHTS.value, None, "float32", 256, 224, _METHOD.value, settings, "")
    engine = open_engine(recipe)
    dataset = datasets.open_dataset(_DATASET.value, _DATA_DIR.value)
    lines = [
        ["category", "good images", "asked for", *(f"{kind}: {verdict}" for kind in KINDS for verdict in VERDICTS)]
    ]
    for name in datasets.select(dataset, tuple(_CATEGORY.value)):
        category = dataset.open_category(name)
        samples.check(category, shots=max(shots))
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
