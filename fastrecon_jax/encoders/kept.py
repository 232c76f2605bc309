"""Encoders as an earlier start built them: weights folded and in their forms, without Flax and the checkpoint's format.

What is kept is an encoder's weights and what is known of it. The module itself, of which nothing but a new trace has
need, is built from the checkpoint when it is asked for.
"""

import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from fastrecon_jax.encoders import checkpoints, registry
from fastrecon_jax.encoders.encoder import Encoder, Structure, build
from fastrecon_jax.encoders.registry import Registration
from fastrecon_jax.runtime import kept

_PURPOSE = "encoder"
_SETTLED = 2.0  # seconds since a file was written after which its times tell of every change
_FIELDS = ("name", "stages", "weights", "sha256", "dtype", "form", "options", "metadata")  # that are plain
_KNOWN = ("licence", "products", "inside")  # of the registration: what is asked of an encoder that is not traced


class Remembered(Registration):
    """What was registered under a name, looked up when more than a few facts are asked for."""

    def __init__(self, name: str, known: Mapping[str, Any]):
        self.__dict__.update(known, name=name)

    def __getattr__(self, attribute: str) -> Any:
        """An attribute that was not kept."""
        return getattr(registry.registration(self.__dict__["name"]), attribute)


def create(
    name: str,
    *,
    stages: Sequence[str] = (),
    weights: str = "",
    dtype: str = "float32",
    platform: str = "",
    options: Sequence[str] = (),
) -> Encoder:
    """An encoder with its weights, BatchNorm folded into the convolutions, built to the last stage asked for.

    Weights are taken if the names and shapes of their tensors fit. Those of `resnet50` (stride on the 3x3 convolution,
    torchvision) and `resnet50_v1` (on the first 1x1, keras-applications) are the same, so that a file of one loads as
    the other without complaint and gives poor figures: only its origin tells which it is.

    Args:
        name: one of `names()`.
        stages: names of the outputs; those nearest to strides of 8 and 16 by default.
        weights: path of a `.safetensors` or `.pth` file, `package://NAME`, `hf://OWNER/REPOSITORY`, or `random` (for
            tests only); the registered pretrained ones by default.
        dtype: what activations and weights are: `float32`; `tfloat32`, the same with the platform's own precision of
            products, which is TF32 on GPUs, bfloat16 on TPUs and float32 on CPUs; or `bfloat16`, where biases and
            depthwise kernels stay float32.
        platform: where it will run, `cpu`, `gpu` or `tpu`, which decides the form of its layers; by default that of
            the process.
        options: `NAME=VALUE` for each option of the encoder that the checkpoint is not to decide.

    Returns:
        The encoder.

    Raises:
        InputError: unknown name, stage, dtype or option; weights that cannot be read or belong to another network.
    """
    form = "fast" if (platform or jax.default_backend()) == "cpu" else "single"
    asked: dict[str, Any] = {
        "stages": tuple(stages),
        "weights": weights,
        "dtype": dtype,
        "form": form,
        "options": tuple(options),
    }
    where = os.path.abspath(weights) if weights and "://" not in weights else weights  # noqa: PTH100 (the path as it is)
    facts = (name, asked, where)
    found = kept.read(_PURPOSE, facts)
    if found is not None and _stamp(found["file"]) == found["stamp"]:
        structure = Structure(lambda: build(name, **asked)[0].structure.treedef)
        known = Remembered(name, found["known"])
        params = tuple(jax.device_put(list(found["params"])))
        return Encoder(params, registration=known, structure=structure, **found["plain"])
    begin = time.time()
    encoder, file = build(name, **asked)
    if file is not None and _lasts(encoder, weights, file, begin):
        kept.write(_PURPOSE, facts, _value(encoder, file))
    return encoder


def is_own(encoder: Encoder) -> bool:
    """Whether an encoder is the project's own, and not a user's.

    Args:
        encoder: any that `create` gave.

    Returns:
        True if its name decides what it computes as long as this program's files stay as they are.
    """
    return isinstance(encoder.registration, Remembered) or registry.is_own(encoder.name)


def _value(encoder: Encoder, file: Path) -> dict[str, Any]:
    return {
        "params": tuple(map(np.asarray, encoder.params)),
        "plain": {name: getattr(encoder, name) for name in _FIELDS},
        "known": {name: getattr(encoder.registration, name) for name in _KNOWN},
        "file": str(file),
        "stamp": _stamp(file),
    }


def _lasts(encoder: Encoder, weights: str, file: Path, begin: float) -> bool:
    """Whether the same weights would be found again as long as the file stays as it is.

    An encoder of a plugin may be another one next time, an address of the hub without a commit may name other weights,
    and a file that was written a moment ago may have changed since without another time.
    """
    origin = weights or encoder.registration.weights
    moves = origin.startswith(checkpoints.HUB) and not checkpoints.revision(origin)
    stamped = _stamp(file)
    return registry.is_own(encoder.name) and not moves and bool(stamped) and max(stamped[3:]) < 1e9 * (begin - _SETTLED)


def _stamp(file: str | Path) -> tuple[int, ...]:
    try:
        return kept.stamp(Path(file))
    except OSError:
        return ()
