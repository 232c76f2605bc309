"""Packages that only exporting needs, imported where they are used."""

import importlib
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np

from fastrecon_jax.errors import InputError


class Loaded(NamedTuple):
    """An exported file that runs.

    Attributes:
        image_shape: (height, width, 3) of the images that it takes.
        run: images (b, height, width, 3), uint8, to scores (b,) and maps (b, crop, crop).
    """

    image_shape: tuple[int, ...]
    run: Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def require(name: str, *, extra: str) -> ModuleType:
    """Import a package; an InputError names the extra that installs it where it is missing."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f'exporting needs {error.name}, which is not installed: run `pip install -e ".[{extra}]"`'
        raise InputError(message) from None
