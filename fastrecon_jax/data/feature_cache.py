"""Features kept on disk, so that another method or setting costs no pass of the encoder.

An entry's name is the SHA-256 of everything that decides its contents: the encoder, its weights, the preprocessing and
the bytes of the image. A wrong entry is therefore impossible, and nothing needs to be invalidated.
"""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float

from fastrecon_jax.errors import InputError

Stages = tuple[Float[np.ndarray, "_ _ _"], ...]


class FeatureCache(NamedTuple):
    """A directory of entries.

    Attributes:
        directory: that exists.
        identity: everything but the image that decides the features.
    """

    directory: Path
    identity: bytes


def open_cache(directory: Path, identity: Mapping[str, Any]) -> FeatureCache:
    """Make the directory if it is not there.

    Args:
        directory: of the entries; it may hold those of other encoders and preprocessings too.
        identity: encoder, hash of the weights, stages, type, preprocessing, versions; as JSON.

    Returns:
        The cache.

    Raises:
        InputError: the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--feature_cache={directory} cannot be made: {error.strerror}") from None
    return FeatureCache(directory, json.dumps(identity, sort_keys=True).encode())


def key(cache: FeatureCache, data: bytes) -> str:
    """Name of the entry of an image.

    Args:
        cache: whose identity counts.
        data: the encoded image file.

    Returns:
        Hexadecimal digits.
    """
    return hashlib.sha256(cache.identity + hashlib.sha256(data).digest()).hexdigest()


def read(cache: FeatureCache, name: str) -> Stages | None:
    """An entry.

    Args:
        cache: to read from.
        name: from `key`.

    Returns:
        The stages of one image, (h_i, w_i, c_i) each, or None where there is no entry or it is damaged.
    """
    try:
        with safetensors.safe_open(_file(cache, name), framework="numpy") as entry:
            stages = tuple(entry.get_tensor(str(i)) for i in range(len(entry.keys())))
            return stages if entry.metadata()["sha256"] == _digest(stages) else None
    except (OSError, safetensors.SafetensorError, KeyError, TypeError):
        return None


def write(cache: FeatureCache, name: str, stages: Sequence[Float[np.ndarray, "_ _ _"]]) -> None:
    """Add an entry, whole or not at all.

    Args:
        cache: to write to.
        name: from `key`.
        stages: of one image, (h_i, w_i, c_i) each.

    Raises:
        InputError: it cannot be written.
    """
    file = _file(cache, name)
    beside = file.with_suffix(f".{os.getpid()}")
    stages = tuple(np.ascontiguousarray(stage) for stage in stages)
    data = safetensors.numpy.save({str(i): stage for i, stage in enumerate(stages)}, {"sha256": _digest(stages)})
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_bytes(data)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"--feature_cache: {file} cannot be written: {error.strerror}") from None


def _file(cache: FeatureCache, name: str) -> Path:
    return cache.directory / name[:2] / f"{name}.safetensors"


def _digest(stages: Stages) -> str:
    digest = hashlib.sha256()
    for stage in stages:
        digest.update(f"{stage.dtype} {stage.shape}".encode())
        digest.update(np.ascontiguousarray(stage))
    return digest.hexdigest()
