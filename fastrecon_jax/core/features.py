"""From an encoder's stages to one feature for each position."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import linalg
from fastrecon_jax.core.scoring import bilinear_matrix

# Of the setting of methods that may leave out `local_pool`.
POOLING_HELP = "average the 3x3 features around each position first; false takes them as the encoder gives them"


def local_pool(stage: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """3x3 mean with stride 1, in which positions outside the image count as zeros, as in the published code.

    Args:
        stage: one encoder stage of one image, (h, w, c).

    Returns:
        Mean around each position, (h, w, c).

    References:
        Fang et al., FastRecon, ICCV 2023, and its published code; after Roth et al., PatchCore, CVPR 2022.
    """
    h, w, _ = stage.shape
    padded = _framed(stage)
    # The 3x3 sum is separable: three shifts along the height, then three along the width. The divisor is 9 at the
    # border, too, where some of the nine are zeros.
    rows = padded[:h] + padded[1 : h + 1] + padded[2:]
    return (rows[:, :w] + rows[:, 1 : w + 1] + rows[:, 2:]) / 9


def _framed(stage: Float[Array, "h w c"]) -> Float[Array, "H W c"]:
    """The stage with one position of zeros on every side."""
    # By concatenation rather than `jnp.pad`, which jax2onnx cannot convert under `vmap`.
    row = jnp.zeros_like(stage[:1])
    rows = jnp.concatenate([row, stage, row], axis=0)
    column = jnp.zeros_like(rows[:, :1])
    return jnp.concatenate([column, rows, column], axis=1)


def resize_nearest(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Nearest-neighbour resize: output i reads input floor(i h / H).

    Args:
        stage: one stage of one image, (h, w, c).
        height: height to resize to, in positions, H.
        width: width to resize to, in positions, W.

    Returns:
        The resized stage, (H, W, c).
    """
    h, w, _ = stage.shape
    # floor(i h / H) with an integer H / h repeats every position: a broadcast, cheaper than the gather below.
    if height % h == 0 and width % w == 0:
        return jnp.repeat(jnp.repeat(stage, height // h, axis=0), width // w, axis=1)
    rows = jnp.arange(height) * h // height
    columns = jnp.arange(width) * w // width
    return stage[rows][:, columns]


def resize_bilinear(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Bilinear resize, with sample points at pixel centres and edges repeated.

    Args:
        stage: one stage of one image, (h, w, c).
        height: height to resize to, in positions, H.
        width: width to resize to, in positions, W.

    Returns:
        The resized stage, (H, W, c).
    """
    h, w, c = stage.shape
    # Interpolation along an axis is a matrix product: first with (H, h) along the height, then (W, w) along the width.
    rows = linalg.matmul(bilinear_matrix(h, height), stage.reshape(h, w * c)).reshape(height, w, c)
    columns = bilinear_matrix(w, width)
    return jnp.einsum("Ww,Hwc->HWc", columns, rows, precision=jax.lax.Precision.HIGHEST)


def shrink(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Reduce the resolution: mean over blocks where H and W divide h and w, bilinear resize otherwise.

    Args:
        stage: one stage of one image, (h, w, c).
        height: height to shrink to, in positions, H, at most h.
        width: width to shrink to, in positions, W, at most w.

    Returns:
        The smaller stage, (H, W, c).
    """
    h, w, c = stage.shape
    if h % height or w % width:
        return resize_bilinear(stage, height, width)
    return stage.reshape(height, h // height, width, w // width, c).mean(axis=(1, 3))


def align(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Bring all stages to the positions of the first by nearest neighbour and concatenate the channels.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        Features at the positions of the first stage, (h_0, w_0, sum of c_i), float32.
    """
    height, width, _ = stages[0].shape
    return jnp.concatenate([resize_nearest(stage.astype(jnp.float32), height, width) for stage in stages], axis=-1)


def combine(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Pool every stage locally, bring all to the positions of the first and concatenate the channels.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        Features at the positions of the first stage, (h_0, w_0, sum of c_i), float32.

    References:
        Fang et al., FastRecon, ICCV 2023, and its published code.
    """
    return align([local_pool(stage.astype(jnp.float32)) for stage in stages])


def patch_mean(stage: Float[Array, "h w c"], bins: int, size: int) -> Float[Array, "h w d"]:
    """The 3x3 patch around each position, zeros outside, averaged adaptively to `bins` numbers and then to `size`.

    A patch has 9 c entries: the nine of the first channel, row by row, then those of the next. Both averages are
    linear, so the patches, nine times as large as the stage, are never built: each of the nine shifts of the stage adds
    its share to the result. The channels are split into gcd(c, size) groups whose bins do not overlap.

    Args:
        stage: one stage of one image, (h, w, c).
        bins: number of bins of the first average, see `adaptive_weights`.
        size: number of bins of the second average, d, a divisor of `bins`.

    Returns:
        Averaged patch at each position, (h, w, d).
    """
    h, w, c = stage.shape
    # No bin crosses the border between two groups, so one small matrix serves all of them.
    groups = math.gcd(c, size)
    weights = adaptive_weights(9 * c // groups, bins // groups)
    # The second average takes bins / size neighbouring bins of the first: both are one matrix, (c / g, 9, d / g).
    weights = weights.reshape(c // groups, 9, size // groups, bins // size).mean(axis=-1)
    padded = _framed(stage).reshape(h + 2, w + 2, groups, c // groups)

    # Entry 3 i + j of a channel's patch is the stage shifted by (i - 1, j - 1).
    shares = (linalg.matmul(padded[i : i + h, j : j + w], weights[:, 3 * i + j]) for i in range(3) for j in range(3))
    return functools.reduce(jnp.add, shares).reshape(h, w, size)


def adaptive_weights(length: int, size: int) -> Float[Array, "c d"]:
    """A such that x A is the adaptive mean of x: bin i covers floor(i c / d) to ceil((i + 1) c / d).

    Neighbouring bins share an entry where d does not divide c, and entries are repeated where d exceeds c, as in
    torch.nn.functional.adaptive_avg_pool1d.

    Args:
        length: number of entries of x, c.
        size: number of bins, d.

    Returns:
        A, (c, d), float32; each column sums to 1.
    """
    entry, number = jnp.arange(length)[:, None], jnp.arange(size)[None]
    # Integers throughout, since float32 could round across a border; ceil(a / d) = -(-a // d).
    first, beyond = number * length // size, -(-(number + 1) * length // size)
    inside = (entry >= first) & (entry < beyond)
    return inside.astype(jnp.float32) / (beyond - first).astype(jnp.float32)
