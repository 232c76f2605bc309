"""A production line for tests of `predict`: fitted parts, images of them, and what the command leaves."""

import csv
import json
import os

import numpy as np
from PIL import Image, ImageDraw

from fastrecon_jax.inspection import fit as fit_command
from fastrecon_jax.inspection import predict as predict_command
from fastrecon_jax.inspection.config import FitConfig, PredictConfig

TINY = {"encoder": "resnet18", "stages": ("layer1", "layer2"), "weights": "random", "image_size": 72, "crop_size": 64}
TINY |= {"resize": "crop"}
TINY |= {"method": "fastrecon"}  # random weights tell more of the discs in it than in the default
QUIET = len  # takes lines for people and says nothing


def picture(seed, *, part="disc", defective=False, size=(90, 80)):
    """A disc or a bar on a noisy ground, with a black square if it is defective."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(60, 80, (size[1], size[0], 3), dtype=np.uint8))
    pen, (x, y) = (
        ImageDraw.Draw(image),
        (int(side / 2 + shift) for side, shift in zip(size, rng.integers(-2, 3, 2), strict=True)),
    )
    if part == "disc":
        pen.ellipse((x - 25, y - 25, x + 25, y + 25), fill=(200, 190, 170))
    else:
        pen.rectangle((x - 40, y - 8, x + 40, y + 8), fill=(40, 90, 230))
    if defective:
        pen.rectangle((x - 2, y - 6, x + 10, y + 6), fill=(0, 0, 0))
    return image


def write(folder, count=3, *, start=100, **options):
    """PNG files of parts; returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(start, start + count):
        picture(seed, **options).save(folder / f"{seed:03}.png")
    return folder


def fit(folder, name="disc", *, count=5, **changes):
    """The file of a part."""
    images = write(folder / f"good {name}", count, start=0, part=name)
    model = folder / f"{name}.safetensors"
    fit_command.fit(FitConfig(images=str(images), model=str(model), **(TINY | changes)), tell=QUIET)
    return model


def predict(model, images, output, *, tell=QUIET, **options):
    """The exit code."""
    config = PredictConfig(model=str(model), images=str(images), output_dir=str(output), **options)
    return predict_command.predict(config, tell=tell)


def lines(output):
    """Rows of results.jsonl."""
    return [json.loads(line) for line in (output / "results.jsonl").read_text(encoding="utf-8").splitlines()]


def table(output):
    """Rows of results.csv."""
    with (output / "results.csv").open(newline="", encoding="utf-8") as opened:
        return list(csv.DictReader(opened))


def age(path, seconds=60):
    """Let a file have been written a while ago."""
    then = path.stat().st_mtime - seconds
    os.utime(path, (then, then))
