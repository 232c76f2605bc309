"""The formats together: write a fitted part, run what was written, compare."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax import composition
from fastrecon_jax.encoders import registry
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting import onnx, stablehlo
from fastrecon_jax.methods import Method

FORMATS = ("stablehlo", "onnx")
LARGEST = 2_000_000_000  # bytes; protobuf and flatbuffers end at 2 GiB
# Seen: up to 5e-6, and 2e-4 for SPADE, where rounding decides between two rows of the bank that are almost as near.
_ROUNDING, _ROUNDING_OF_CHOICES = 1e-4, 1e-3

Images = UInt8[np.ndarray, "b H W 3"]
Results = tuple[Float[np.ndarray, " b"], Float[np.ndarray, "b crop crop"]]


class Differences(NamedTuple):
    """How far a file's results are from the program's.

    Attributes:
        score: largest difference of an image score, as a share of the largest score.
        map: largest difference of a map's pixel, as a share of the range of all maps.
    """

    score: float
    map: float


def tolerance(method: str) -> float:
    """Up to which differences are rounding in float32.

    Args:
        method: its name.

    Returns:
        A limit for `Differences`.
    """
    return _ROUNDING_OF_CHOICES if method == "spade" else _ROUNDING


def export(
    kind: str,
    encoder: registry.Encoder,
    method: Method,
    arrays: composition.Arrays,
    *,
    crop_size: int,
    image_size: int,
    image_score: str = "",
    sigma: float = 4.0,
    height: int,
    width: int,
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """A fitted part as one file: photographs (b, height, width, 3), uint8, to scores (b,) and maps (b, crop, crop).

    Args:
        kind: one of `FORMATS`.
        encoder: frozen.
        method: with the settings of the fit.
        arrays: the encoder's weights and the method's state, which go into the file.
        crop_size: see `inspection.compose`, as all that follow.
        image_size: side of the resized image, in pixels.
        image_score: how patch scores become one number.
        sigma: of the map's blur, in pixels.
        height: of the photographs, in pixels.
        width: of the photographs, in pixels.
        facts: kept as metadata in an `onnx` file; `stablehlo` has no place for them.

    Returns:
        The file. b is free.

    Raises:
        InputError: an unknown format, a package is missing, or the part does not fit into the format.
    """
    _check(kind, encoder, arrays)
    form = (registry.single_operations if kind == "onnx" else registry.portable)(encoder)
    inspect = composition.compose(
        form,
        method,
        crop_size=crop_size,
        image_size=image_size,
        image_score=image_score,
        sigma=sigma,
        height=height,
        width=width,
    )
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, height, width, 3), jnp.uint8)
    if kind == "onnx":
        return onnx.export(lambda x: inspect(arrays, x), images, facts or {})
    return stablehlo.export(lambda x: inspect(arrays, x), images)


def _check(kind: str, encoder: registry.Encoder, arrays: composition.Arrays) -> None:
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}: allowed are {', '.join(FORMATS)}")
    if kind == "onnx" and encoder.dtype != "float32":
        raise InputError(f"an encoder of {encoder.dtype} does not go into an onnx file, onnxruntime runs float32 alone")
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(arrays))
    if size > LARGEST:
        raise InputError(
            f"the part holds {size / 1e9:.1f} GB, {kind} files end at {LARGEST / 1e9:.0f}: fit it with fewer shots, a "
            "smaller coreset or a method that keeps less"
        )


def load(kind: str, file: Path) -> Callable[[Images], Results]:
    """Read a file that `export` made.

    Args:
        kind: one of `FORMATS`.
        file: its path.

    Returns:
        Images (b, height, width, 3) to scores (b,) and maps (b, crop, crop).

    Raises:
        InputError: an unknown format, or a package is missing.
    """
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}: allowed are {', '.join(FORMATS)}")
    return onnx.load(file) if kind == "onnx" else stablehlo.load(file)


def probes(height: int, width: int, count: int = 3) -> Images:
    """Pictures to compare results on: coarse random blocks under fine noise, the same each time.

    No part looks like them, so that all distances are large; between a photograph of the support and itself rounding
    would be all there is.

    Args:
        height: in pixels.
        width: in pixels.
        count: how many.

    Returns:
        (count, height, width, 3).
    """
    rng = np.random.default_rng(0)
    blocks = rng.integers(0, 200, (count, 8, 8, 3))
    rows, columns = np.arange(height) * 8 // height, np.arange(width) * 8 // width
    return (blocks[:, rows][:, :, columns] + rng.integers(0, 56, (count, height, width, 3))).astype(np.uint8)


def verify(original: Callable[[Images], Results], kind: str, file: Path, images: Images) -> Differences:
    """Run a file on images, all at once and the first alone, and compare.

    Args:
        original: images to scores and maps, as the program gives them.
        kind: one of `FORMATS`.
        file: that `export` made.
        images: (b, height, width, 3), none of the support; `probes` will do.

    Returns:
        The largest differences, to be held against `tolerance`; infinite where a file's result is not a number.

    Raises:
        InputError: an unknown format, or a package is missing.
    """
    run = load(kind, file)
    scores, maps = (np.asarray(x, np.float64) for x in original(images))
    largest = Differences(0.0, 0.0)
    for count in sorted({1, len(images)}):
        results = run(images[:count])
        found = Differences(
            _difference(results[0], scores[:count], np.abs(scores).max()),
            _difference(results[1], maps[:count], np.ptp(maps)),
        )
        largest = Differences(*map(max, largest, found))
    return largest


def _difference(actual: np.ndarray, expected: np.ndarray, scale: float) -> float:
    difference = float(np.abs(actual - expected).max() / max(scale, 1e-30))
    return difference if np.isfinite(difference) else float("inf")
