"""Features kept on disk, so that another method or setting costs no pass of the encoder.

An entry's name is the SHA-256 of everything that decides its contents: the encoder, its weights, the preprocessing, the
versions of what computes and the bytes of the image. A wrong entry is therefore impossible, and nothing needs to be
invalidated.
"""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import flax
import jax
import jaxlib
import numpy as np
import PIL
import safetensors
from jaxtyping import Float

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.version import __version__

# Goes up with every change of decoding, preprocessing or an encoder that changes a feature.
FEATURES_VERSION = 1

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
        identity: everything but the image that decides the features, as JSON.
    """

    directory: Path
    identity: bytes


def versions() -> dict[str, str]:
    """Of everything that decodes, preprocesses and encodes: a part of the name of every entry.

    Returns:
        By name.
    """
    return {
        "features": str(FEATURES_VERSION),
        "fastrecon_jax": __version__,
        "flax": flax.__version__,
        "jax": jax.__version__,
        "jaxlib": jaxlib.__version__,
        "numpy": np.__version__,
        "pillow": PIL.__version__,
    }


def open_cache(directory: Path, identity: Mapping[str, Any]) -> FeatureCache:
    """Make the directory if it is not there, and clear it of what processes that were killed left half written.

    Args:
        directory: of the entries; it may hold those of other encoders and preprocessings too.
        identity: encoder, hash of the weights, stages, type, preprocessing, platform; as JSON. `versions()` are
            added to it.

    Returns:
        The cache.

    Raises:
        InputError: the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"--feature_cache={directory} cannot be made: {files.reason(error)}") from None
    files.sweep(directory, f"*/{files.DRAFTS}")
    everything = {"identity": dict(identity), "versions": versions()}
    return FeatureCache(directory, json.dumps(everything, sort_keys=True).encode())


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
    width, height = entry.size
    known = {"width": str(width), "height": str(height), "sha256": _digest(entry)}
    try:
        file.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise InputError(f"--feature_cache: {file} cannot be written: {files.reason(error)}") from None
    files.write_arrays(file, {str(i): stage for i, stage in enumerate(entry.stages)}, known)


def _file(cache: FeatureCache, name: str) -> Path:
    return cache.directory / name[:2] / f"{name}.safetensors"


def _digest(entry: Entry) -> str:
    digest = hashlib.sha256(f"{entry.size}".encode())
    for stage in entry.stages:
        digest.update(f"{stage.dtype} {stage.shape}".encode())
        digest.update(np.ascontiguousarray(stage))
    return digest.hexdigest()
