"""The formats together: write a fitted part, run what was written, compare."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, UInt8

from fastrecon_jax import encoders
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.detector import Detector
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting import onnx, stablehlo

FORMATS = ("stablehlo", "onnx")
LARGEST = 2_000_000_000  # bytes; protobuf and flatbuffers end at 2 GiB

Images = UInt8[np.ndarray, "b H W 3"]
Results = tuple[Float[np.ndarray, " b"], Float[np.ndarray, "b H W"]]


class Differences(NamedTuple):
    """How far a file's results are from the program's; see `Method.export_tolerance` for what is rounding.

    Attributes:
        score: largest difference of an image score, as a share of the largest score.
        map: largest difference of a map's pixel, as a share of the range of all maps.
    """

    score: float
    map: float


def program(
    encoder: Encoder,
    detector: Detector,
    state: Any,
    *,
    image_size: Size,
    height: int,
    width: int,
    box: tuple[int, int, int, int] | None = None,
) -> Callable[[UInt8[Array, "b H W 3"]], tuple[Float[Array, " b"], Float[Array, "b h w"]]]:
    """A fitted part as one pure function of photographs of one size.

    Args:
        encoder: frozen.
        detector: method with the settings of the fit, and the map's size.
        state: what the method fitted.
        image_size: side of the square, or height and width, to which photographs are resized before the centre is cut
            out, in pixels.
        height: rows of a photograph.
        width: columns of a photograph.
        box: left, upper, right and lower edge of the part that is resized, in pixels; None for the whole photograph.

    Returns:
        RGB photographs (b, height, width, 3), 0 to 255, to scores (b,) and maps (b, H, W), without what the method says
        of what is missing. It raises a ValueError where photographs are of another size.
    """

    def inspect(photographs):
        check_size(photographs.shape[1:], (height, width, 3))
        found = detector.inspect_photographs(encoder, state, photographs, image_size=image_size, box=box)
        return found.score, found.map

    return inspect


def check_size(shape: tuple[int, ...], expected: tuple[int, ...]) -> None:
    """Raise a ValueError unless images have the shape (height, width, 3) that a part takes."""
    if tuple(shape) != tuple(expected):
        raise ValueError(f"images of {tuple(shape)} are not allowed: the part takes {tuple(expected)}")


def export(
    kind: str,
    encoder: Encoder,
    detector: Detector,
    state: Any,
    *,
    image_size: Size,
    height: int,
    width: int,
    box: tuple[int, int, int, int] | None = None,
    facts: Mapping[str, str] | None = None,
) -> bytes:
    """A fitted part as one file: photographs (b, height, width, 3), uint8, to scores (b,) and maps (b, H, W).

    Args:
        kind: one of `FORMATS`.
        encoder: frozen; its weights go into the file.
        detector: method with the settings of the fit, and the map's size.
        state: what the method fitted; it goes into the file too.
        image_size: side of the square, or height and width, to which photographs are resized before the centre is cut
            out, in pixels.
        height: rows of a photograph.
        width: columns of a photograph.
        box: left, upper, right and lower edge of the part that is resized, in pixels; None for the whole photograph.
        facts: kept as metadata in an `onnx` file; `stablehlo` has no place for them.

    Returns:
        The file. b is free.

    Raises:
        InputError: an unknown format, a package is missing, or the part does not fit into the format.
    """
    _check(kind, encoder, state)
    form = (encoders.single_operations if kind == "onnx" else encoders.portable)(encoder)
    inspect = program(form, detector, state, image_size=image_size, height=height, width=width, box=box)
    (batch,) = jax.export.symbolic_shape("batch")
    images = jax.ShapeDtypeStruct((batch, height, width, 3), jnp.uint8)
    if kind == "onnx":
        return onnx.export(inspect, images, facts or {})
    return stablehlo.export(inspect, images)


def _check(kind: str, encoder: Encoder, state: Any) -> None:
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}: allowed are {', '.join(FORMATS)}")
    if kind == "onnx" and encoder.dtype != "float32":
        raise InputError(f"an encoder of {encoder.dtype} does not go into an onnx file, onnxruntime runs float32 alone")
    size = sum(leaf.nbytes for leaf in jax.tree.leaves((encoder, state)))
    if size > LARGEST:
        raise InputError(
            f"the part holds {size / 1e9:.1f} GB, {kind} files end at {LARGEST / 1e9:.0f}: fit it with fewer shots, a "
            "smaller coreset or a method that keeps less"
        )


def load(kind: str, file: Path) -> Callable[[Images], Results]:
    """Read a file that `export` made.

    Args:
        kind: one of `FORMATS`.
        file: path.

    Returns:
        Images (b, height, width, 3) to scores (b,) and maps (b, H, W). It raises a ValueError where images are of
        another size.

    Raises:
        InputError: an unknown format, or a package is missing.
    """
    if kind not in FORMATS:
        raise InputError(f"unknown format {kind!r}: allowed are {', '.join(FORMATS)}")
    loaded = onnx.load(file) if kind == "onnx" else stablehlo.load(file)

    def run(images):
        check_size(images.shape[1:], loaded.image_shape)
        return loaded.run(images)

    return run


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
        file: path of what `export` made.
        images: (b, height, width, 3), none of the support; `probes` will do.

    Returns:
        The largest differences, to be held against `Method.export_tolerance`; infinite where a file's result is not a
        number.

    Raises:
        InputError: an unknown format, or a package is missing.
    """
    run = load(kind, file)
    scores, maps = (np.asarray(x, np.float64) for x in original(images))
    largest = Differences(0.0, 0.0)
    for count in sorted({1, len(images)}):
        results = run(images[:count])
        differences = Differences(
            _difference(results[0], scores[:count], np.abs(scores).max()),
            _difference(results[1], maps[:count], np.ptp(maps)),
        )
        largest = Differences(*map(max, largest, differences))
    return largest


def _difference(actual: np.ndarray, expected: np.ndarray, scale: float) -> float:
    difference = float(np.abs(actual - expected).max() / max(scale, 1e-30))
    return difference if np.isfinite(difference) else float("inf")
