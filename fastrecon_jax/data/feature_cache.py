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
from fastrecon_jax.version import __version__

# Goes up with every change of decoding, preprocessing or an encoder that changes a feature.
FEATURES_VERSION = 1

Stages = tuple[Float[np.ndarray, "_ _ _"], ...]


class Entry(NamedTuple):
    """One image's features.

    Attributes:
        stages: (h_i, w_i, c_i) each.
        size: (width, height) of the image's file, in pixels: its mask is checked against it without decoding it again.
    """

    stages: Stages
    size: tuple[int, int]


class FeatureCache(NamedTuple):
    """A directory of entries.

    Attributes:
        directory: exists.
        identity: everything but the image that decides the features, as JSON.
    """

    directory: Path
    identity: bytes


def versions() -> dict[str, str]:
    """Versions of everything that decodes, preprocesses and encodes: a part of the name of every entry."""
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
    """Make the directory if it is not there, and remove what processes that were killed left half written in it.

    `identity` is what decides the features besides the image and `versions()`: encoder, hash of the weights, stages,
    type, preprocessing, platform. Entries of other identities may lie in the same directory.
    """
    files.make_directory(directory, f"--feature_cache={directory}")
    files.sweep(directory, f"*/{files.DRAFTS}")
    everything = {"identity": dict(identity), "versions": versions()}
    return FeatureCache(directory, json.dumps(everything, sort_keys=True).encode())


def key(cache: FeatureCache, data: bytes) -> str:
    """The name of an image's entry, hexadecimal, from the bytes of its encoded file."""
    return hashlib.sha256(cache.identity + hashlib.sha256(data).digest()).hexdigest()


def read(cache: FeatureCache, name: str) -> Entry | None:
    """The entry of that name, or None where there is none or it is damaged."""
    try:
        with safetensors.safe_open(_file(cache, name), framework="numpy") as entry:
            stages = tuple(entry.get_tensor(str(i)) for i in range(len(entry.keys())))
            metadata = entry.metadata()
        whole = Entry(stages, (int(metadata["width"]), int(metadata["height"])))
        return whole if metadata["sha256"] == _digest(whole) else None
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError):
        return None


def write(cache: FeatureCache, name: str, entry: Entry) -> None:
    """Add an entry, whole or not at all; InputError where it cannot be written."""
    file = _file(cache, name)
    width, height = entry.size
    metadata = {"width": str(width), "height": str(height), "sha256": _digest(entry)}
    files.make_directory(file.parent, f"--feature_cache: {file.parent}")
    files.write_arrays(file, {str(i): stage for i, stage in enumerate(entry.stages)}, metadata)


def _file(cache: FeatureCache, name: str) -> Path:
    return cache.directory / name[:2] / f"{name}.safetensors"


def _digest(entry: Entry) -> str:
    digest = hashlib.sha256(f"{entry.size}".encode())
    for stage in entry.stages:
        digest.update(f"{stage.dtype} {stage.shape}".encode())
        digest.update(np.ascontiguousarray(stage))
    return digest.hexdigest()
