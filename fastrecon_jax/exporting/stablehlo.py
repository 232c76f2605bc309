"""StableHLO in the container of `jax.export`: one file for CPU, CUDA and TPU, weights and all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fastrecon_jax.exporting.packages import Loaded, require

PLATFORMS = ("cpu", "cuda", "tpu")


def export(inspect: Callable[..., Any], images: jax.ShapeDtypeStruct) -> bytes:
    """A file of a function and what it closes over; `images` tells their shape, with b symbolic, and type.

    It is called by `jax.export.deserialize(data).call(images)` in a program that has jax and flatbuffers and not this
    package. Later versions of jax read it for half a year at least. An InputError if flatbuffers is not installed.
    """
    require("flatbuffers", extra="export")
    exported = jax.export.export(jax.jit(lambda x: inspect(x)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def load(file: Path) -> Loaded:
    """Read a file that `export` made; an InputError if flatbuffers is not installed."""
    require("flatbuffers", extra="export")
    exported = jax.export.deserialize(bytearray(file.read_bytes()))
    (images,) = exported.in_avals

    def run(images):
        scores, maps = exported.call(images)
        return np.asarray(scores), np.asarray(maps)

    return Loaded(images.shape[1:], run)
