"""StableHLO in the container of `jax.export`: one file for CPU, CUDA and TPU, weights and all."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fastrecon_jax.exporting.packages import require

PLATFORMS = ("cpu", "cuda", "tpu")


def export(inspect: Callable[..., Any], images: jax.ShapeDtypeStruct) -> bytes:
    """Serialise a function of images.

    The file is called by `jax.export.deserialize(data).call(images)` in a program that has jax and flatbuffers and not
    this package. Later versions of jax read it for half a year at least.

    Args:
        inspect: images (b, H, W, 3) to scores (b,) and maps (b, crop, crop); what it closes over goes into the file.
        images: their shape, b symbolic, and type.

    Returns:
        The file.

    Raises:
        InputError: flatbuffers is not installed.
    """
    require("flatbuffers", extra="export")
    exported = jax.export.export(jax.jit(lambda x: inspect(x)), platforms=PLATFORMS)(images)
    return bytes(exported.serialize())


def load(file: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Read a file that `export` made.

    Args:
        file: its path.

    Returns:
        Images (b, H, W, 3), uint8, to scores (b,) and maps (b, crop, crop).

    Raises:
        InputError: flatbuffers is not installed.
    """
    require("flatbuffers", extra="export")
    exported = jax.export.deserialize(bytearray(file.read_bytes()))

    def run(images):
        scores, maps = exported.call(images)
        return np.asarray(scores), np.asarray(maps)

    return run
