"""A tiny engine and photographs of a part, for tests."""

import functools

import numpy as np
from PIL import Image, ImageDraw

from fastrecon_jax import methods
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.parts import photos
from fastrecon_jax.parts.engine import Recipe, open_engine

SIZES = Preprocessing(72, 64)


def settings(method="fastrecon", **values):
    return methods.create(method, values).settings


def recipe(method="fastrecon", **changes):
    known = {
        "encoder": "resnet18",
        "stages": ("layer1", "layer2"),
        "weights": "random",
        "weights_sha256": None,
        "dtype": "float32",
        "image_size": SIZES.image_size,
        "crop_size": SIZES.crop_size,
        "method": method,
        "settings": settings(method, **({"coreset_ratio": 0.1} if method in ("fastrecon", "patchcore") else {})),
        "image_score": "",
    }
    return Recipe(**(known | changes))


@functools.cache
def engine(method="fastrecon"):
    return open_engine(recipe(method))


def picture(seed, *, defective=False, size=(90, 80)):
    """A bright disc on a noisy ground; a defect is a black square on it."""
    rng = np.random.default_rng(seed)
    image = Image.fromarray(rng.integers(60, 80, (size[1], size[0], 3), dtype=np.uint8))
    draw, (x, y) = ImageDraw.Draw(image), rng.integers(-2, 3, 2)
    centre = size[0] / 2 + x, size[1] / 2 + y
    draw.ellipse((centre[0] - 25, centre[1] - 25, centre[0] + 25, centre[1] + 25), fill=(200, 190, 170))
    if defective:
        draw.rectangle((centre[0] - 2, centre[1] - 6, centre[0] + 10, centre[1] + 6), fill=(0, 0, 0))
    return image


def photo(seed, **options):
    return photos.load(picture(seed, **options), SIZES, name=f"{seed}.png")


def write(folder, count=4, *, start=0, **options):
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(start, start + count):
        picture(seed, **options).save(folder / f"{seed:03}.png")
    return folder
