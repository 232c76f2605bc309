"""Pillow's LANCZOS resize of 8-bit images, equal in every bit, as matrix products in float32."""

import math
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, UInt8

from fastrecon_jax.core import linalg, sizes
from fastrecon_jax.core.sizes import Size

SUPPORT = 3  # half the width of the filter, in input samples at scale 1
PRECISION_BITS = 22  # fractional bits of Pillow's fixed-point weights
EXACT = 2**24  # float32 holds all integers up to this one exactly
BLOCK = 32  # output samples computed by one matrix product


class Taps(NamedTuple):
    """The weights of one output sample: out = (Σ_i weights_i in_{first + i} + 2²¹) >> 22, clipped to 0..255.

    Attributes:
        first: index of the first input sample that is read.
        weights: weight of each input sample from there on, integers in units of 2⁻²².
    """

    first: int
    weights: tuple[int, ...]


def resize_and_crop(
    images: UInt8[Array, "b H W 3"],
    *,
    image_size: Size,
    crop_size: Size,
    box: tuple[int, int, int, int] | None = None,
) -> UInt8[Array, "b h w 3"]:
    """Resize with Lanczos' filter and cut out the centre: `data.geometry.preprocess` without Pillow.

    The width is filtered first and rounded to 8 bits, then the height, both with integer weights. A side that keeps its
    size is not filtered. Only the pixels that the crop needs are computed.

    Args:
        images: RGB images of one size, (b, H, W, 3), 0 to 255.
        image_size: side of the resized image, or its height and width, in pixels.
        crop_size: side of the centre that is kept, or its height and width, in pixels, 1 to `image_size`.
        box: left, upper, right and lower edge of the part that is resized, in pixels; None for the whole image.

    Returns:
        The centres, (b, h, w, 3) with h and w those of `crop_size`, equal to Pillow's in every bit.

    Raises:
        ValueError: the crop is not in 1..image_size, or an output pixel covers more than 32,896 pixels of an axis.

    References:
        Pillow, `Image.resize` with `Resampling.LANCZOS`, src/libImaging/Resample.c.
    """
    resized, kept = sizes.height_and_width(image_size), sizes.height_and_width(crop_size)
    if not all(1 <= inner <= outer for inner, outer in zip(kept, resized, strict=True)):
        raise ValueError(f"a crop of {crop_size} is not possible: it must be from 1 to the image size {image_size}")
    if box is not None:
        images = images[:, box[1] : box[3], box[0] : box[2]]
    # Rounds halves to even, as `data.geometry.preprocess` does.
    starts = [round((outer - inner) / 2) for inner, outer in zip(kept, resized, strict=True)]
    rows, columns = (
        lanczos_taps(source, target)[start : start + count]
        for source, target, start, count in zip(images.shape[1:3], resized, starts, kept, strict=True)
    )
    # Input rows that no pixel of the crop reads are cut off before the width is filtered.
    top, bottom = rows[0].first, _end(rows[-1])
    x = jnp.moveaxis(images[:, top:bottom], -1, 1)  # (b, 3, h, W)
    x = jnp.swapaxes(_filter(x.astype(jnp.float32), columns), 2, 3)
    x = _filter(x, [Taps(row.first - top, row.weights) for row in rows])
    return jnp.moveaxis(x, (1, 2, 3), (3, 2, 1)).astype(jnp.uint8)


def lanczos_taps(source: int, target: int) -> list[Taps]:
    """Pillow's fixed-point weights along one axis.

    Args:
        source: number of input samples along the axis.
        target: number of output samples along the axis.

    Returns:
        The weights of each output sample, `target` entries.
    """
    if source == target:
        return [Taps(i, (1 << PRECISION_BITS,)) for i in range(target)]
    scale = source / target
    stretch = max(scale, 1.0)  # antialiasing: the filter widens when the image shrinks
    return [_taps((i + 0.5) * scale, source, stretch) for i in range(target)]


def _taps(centre: float, source: int, stretch: float) -> Taps:
    reach = SUPPORT * stretch
    first = max(int(centre - reach + 0.5), 0)
    end = min(int(centre + reach + 0.5), source)
    inverse = 1.0 / stretch
    weights = [_lanczos((i - centre + 0.5) * inverse) for i in range(first, end)]
    total = 0.0
    for weight in weights:  # in this order and without compensation, as Pillow sums
        total += weight
    return Taps(first, tuple(_fixed_point(weight / total) for weight in weights))


def _lanczos(x: float) -> float:
    return _sinc(x) * _sinc(x / SUPPORT) if -SUPPORT <= x < SUPPORT else 0.0


def _sinc(x: float) -> float:
    return math.sin(x * math.pi) / (x * math.pi) if x else 1.0


def _fixed_point(weight: float) -> int:
    return int(math.copysign(0.5, weight) + weight * (1 << PRECISION_BITS))


def _end(taps: Taps) -> int:
    return taps.first + len(taps.weights)


def _filter(x: Float[Array, "b c h n"], taps: list[Taps]) -> Float[Array, "b c h m"]:
    """Filter the last axis, each block of outputs by one matrix product with the inputs that it reads."""
    first, end = taps[0].first, _end(taps[-1])
    # Weights of 1: the axis keeps its size, and Pillow skips the filter.
    if taps == [Taps(i, (1 << PRECISION_BITS,)) for i in range(first, end)]:
        return x[..., first:end]
    base = _base(max(len(tap.weights) for tap in taps))
    return jnp.concatenate([_filter_block(x, taps[i : i + BLOCK], base) for i in range(0, len(taps), BLOCK)], axis=-1)


def _filter_block(x: Float[Array, "b c h n"], taps: list[Taps], base: int) -> Float[Array, "b c h m"]:
    first, end = min(tap.first for tap in taps), max(map(_end, taps))
    dense = [[0] * (tap.first - first) + list(tap.weights) + [0] * (end - _end(tap)) for tap in taps]
    # 22-bit weights times 8-bit pixels do not fit float32's 24 bits. Digits of the weights do, one product for each.
    digits = _digits(dense, base)
    factors = jnp.array([row for digit in digits for row in digit], jnp.float32).T
    sums = jnp.split(linalg.matmul(x[..., first:end], factors), len(digits), axis=-1)
    # floor((Σ_d base^d s_d + 2²¹) / 2²²) digit by digit, as floors nest; every number here is exact in float32.
    carry = jnp.zeros_like(sums[0])
    for digit_sum in sums[:-1]:
        carry = jnp.floor((digit_sum + carry) / base)
    # What is left to divide by after the lower digits, 2²² / base^(D - 1); half of it rounds to nearest.
    unit = (1 << PRECISION_BITS) / base ** (len(digits) - 1)
    return jnp.clip(jnp.floor((sums[-1] + carry + unit / 2) / unit), 0.0, 255.0)


def _base(taps: int) -> int:
    """The largest power of two for which `taps` centred digits times 255 sum to at most `EXACT` / 2."""
    most = EXACT // (255 * taps)
    if most < 2:
        raise ValueError(f"{taps} input samples for one output sample are not possible: at most {EXACT // 510} are")
    return 1 << (most.bit_length() - 1)


def _digits(rows: list[list[int]], base: int) -> list[list[list[int]]]:
    """Weights = Σ_d base^d digit_d, the lowest digit first; |digit| is at most base / 2 except in the last."""
    digits = []
    # Split off the lowest digit until the rest, times 255, sums to at most half of what float32 holds exactly.
    while max(sum(map(abs, row)) for row in rows) * 255 > EXACT // 2:
        low = [[(weight + base // 2) % base - base // 2 for weight in row] for row in rows]
        digits.append(low)
        rows = [[(a - b) // base for a, b in zip(row, part, strict=True)] for row, part in zip(rows, low, strict=True)]
    return [*digits, rows]
