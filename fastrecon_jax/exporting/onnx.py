"""ONNX: one file for onnxruntime and whatever else reads it."""

import contextlib
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting.flat import flatten
from fastrecon_jax.exporting.packages import require

OPSET, IR_VERSION = 17, 8  # of 2022
INPUT = "image"
OUTPUTS = ("score", "map")


def export(inspect: Callable[..., Any], images: jax.ShapeDtypeStruct, facts: Mapping[str, str]) -> bytes:
    """Convert a function of images.

    Args:
        inspect: images (b, H, W, 3) to scores (b,) and maps (b, crop, crop); what it closes over goes into the file.
        images: their shape, b symbolic, and type.
        facts: kept in the file as its metadata.

    Returns:
        The file: input `image`, outputs `score` and `map`.

    Raises:
        InputError: jax2onnx is not installed or cannot convert the function.
    """
    converter = require("jax2onnx", extra="onnx")
    helper = require("onnx.helper", extra="onnx")
    try:
        with _quiet():
            model = converter.to_onnx(
                flatten(inspect, images),
                inputs=[images],
                model_name="fastrecon_jax",
                opset=OPSET,
                input_names=[INPUT],
                output_names=list(OUTPUTS),
            )
    except (NotImplementedError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"jax2onnx {metadata.version('jax2onnx')} cannot convert this part: {error}") from error
    model.ir_version = IR_VERSION  # jax2onnx states a newer one than the operations need
    helper.set_model_props(model, dict(facts))
    return model.SerializeToString()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence what jax2onnx and onnx_ir say about their own code."""
    logger = logging.getLogger("onnx_ir")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def load(file: Path) -> Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """Read a file that `export` made.

    Args:
        file: its path.

    Returns:
        Images (b, H, W, 3), uint8, to scores (b,) and maps (b, crop, crop), by onnxruntime on the CPU.

    Raises:
        InputError: onnxruntime is not installed.
    """
    runtime = require("onnxruntime", extra="onnx")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return lambda images: tuple(session.run(list(OUTPUTS), {INPUT: np.asarray(images)}))
