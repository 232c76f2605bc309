"""Features kept on disk, so that another method or setting costs no pass of the encoder.

An entry's name is the SHA-256 of everything that decides its contents: the encoder, its weights, the preprocessing and
the bytes of the image. A wrong entry is therefore impossible, and nothing needs to be invalidated.
"""

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy
from jaxtyping import Float

from fastrecon_jax.errors import InputError

Stages = tuple[Float[np.ndarray, "_ _ _"], ...]


class Entry(NamedTuple):
    """Of one image.

    Attributes:
        stages: (h_i, w_i, c_i) each.
        size: of the image's file, (width, height) in pixels: without decoding it again, its mask is checked against it.
    """

    stages: Stages
    size: tuple[int, int]


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


def read(cache: FeatureCache, name: str) -> Entry | None:
    """An entry.

    Args:
        cache: to read from.
        name: from `key`.

    Returns:
        The entry, or None where there is none or it is damaged.
    """
    try:
        with safetensors.safe_open(_file(cache, name), framework="numpy") as entry:
            stages = tuple(entry.get_tensor(str(i)) for i in range(len(entry.keys())))
            known = entry.metadata()
        found = Entry(stages, (int(known["width"]), int(known["height"])))
        return found if known["sha256"] == _digest(found) else None
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None


def write(cache: FeatureCache, name: str, entry: Entry) -> None:
    """Add an entry, whole or not at all.

    Args:
        cache: to write to.
        name: from `key`.
        entry: of the image.

    Raises:
        InputError: it cannot be written.
    """
    file = _file(cache, name)
    beside = file.with_suffix(f".{os.getpid()}")
    tensors = {str(i): np.ascontiguousarray(stage) for i, stage in enumerate(entry.stages)}
    width, height = entry.size
    known = {"width": str(width), "height": str(height), "sha256": _digest(entry)}
    data = safetensors.numpy.save(tensors, known)
    try:
        file.parent.mkdir(exist_ok=True)
        beside.write_bytes(data)
        beside.replace(file)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise InputError(f"--feature_cache: {file} cannot be written: {error.strerror}") from None


def _file(cache: FeatureCache, name: str) -> Path:
    return cache.directory / name[:2] / f"{name}.safetensors"


def _digest(entry: Entry) -> str:
    digest = hashlib.sha256(f"{entry.size}".encode())
    for stage in entry.stages:
        digest.update(f"{stage.dtype} {stage.shape}".encode())
        digest.update(np.ascontiguousarray(stage))
    return digest.hexdigest()
