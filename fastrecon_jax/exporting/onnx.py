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
from fastrecon_jax.exporting.packages import Loaded, require

OPSET, IR_VERSION = 17, 8  # of 2022
INPUT = "image"
OUTPUTS = ("score", "map")


def export(inspect: Callable[..., Any], images: jax.ShapeDtypeStruct, facts: Mapping[str, str]) -> bytes:
    """A file with the input `image` and the outputs `score` and `map`, of a function and what it closes over.

    `images` tells their shape, with b symbolic, and type; `facts` become the file's metadata. An InputError is raised
    where jax2onnx is not installed or cannot convert the function.
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


def load(file: Path) -> Loaded:
    """Read a file that `export` made, to be run by onnxruntime on the CPU; an InputError if that is not installed."""
    runtime = require("onnxruntime", extra="onnx")
    session = runtime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (image,) = session.get_inputs()
    return Loaded(tuple(image.shape[1:]), lambda images: tuple(session.run(list(OUTPUTS), {INPUT: np.asarray(images)})))
