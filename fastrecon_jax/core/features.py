"""From an encoder's stages to one feature for each position."""

import functools
import math
from collections.abc import Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import linalg
from fastrecon_jax.core.scoring import bilinear_matrix


def local_pool(stage: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """3x3 mean, stride 1; outside the image counts as zeros in the mean, as in the published code.

    Args:
        stage: features of one image, (h, w, c).

    Returns:
        The means, (h, w, c).

    References:
        Fang et al., FastRecon, ICCV 2023, and its published code; after Roth et al., PatchCore, CVPR 2022.
    """
    h, w, _ = stage.shape
    padded = _framed(stage)
    rows = padded[:h] + padded[1 : h + 1] + padded[2:]
    return (rows[:, :w] + rows[:, 1 : w + 1] + rows[:, 2:]) / 9


def _framed(stage: Float[Array, "h w c"]) -> Float[Array, "H W c"]:
    """One position of zeros on every side; joined, because jax2onnx converts no `pad` of a mapped batch."""
    row = jnp.zeros_like(stage[:1])
    rows = jnp.concatenate([row, stage, row], axis=0)
    column = jnp.zeros_like(rows[:, :1])
    return jnp.concatenate([column, rows, column], axis=1)


def resize_nearest(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Nearest neighbour: output i reads input floor(i h / H). Where H is a multiple of h that repeats every position.

    Args:
        stage: (h, w, c).
        height: H.
        width: W.

    Returns:
        (H, W, c).
    """
    h, w, _ = stage.shape
    if height % h == 0 and width % w == 0:
        return jnp.repeat(jnp.repeat(stage, height // h, axis=0), width // w, axis=1)
    rows = jnp.arange(height) * h // height
    columns = jnp.arange(width) * w // width
    return stage[rows][:, columns]


def resize_bilinear(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Linear interpolation along both axes, sample points at pixel centres, edges repeated.

    Args:
        stage: (h, w, c).
        height: H.
        width: W.

    Returns:
        (H, W, c).
    """
    h, w, c = stage.shape
    rows = linalg.matmul(bilinear_matrix(h, height), stage.reshape(h, w * c)).reshape(height, w, c)
    columns = bilinear_matrix(w, width)
    return jnp.einsum("Ww,Hwc->HWc", columns, rows, precision=jax.lax.Precision.HIGHEST)


def shrink(stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W c"]:
    """Mean over blocks where H and W divide h and w, linear interpolation otherwise.

    Args:
        stage: (h, w, c).
        height: H, at most h.
        width: W, at most w.

    Returns:
        (H, W, c).
    """
    h, w, c = stage.shape
    if h % height or w % width:
        return resize_bilinear(stage, height, width)
    return stage.reshape(height, h // height, width, w // width, c).mean(axis=(1, 3))


def align(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Bring all stages to the positions of the first by nearest neighbour and concatenate the channels.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        (h_0, w_0, sum of c_i), float32.
    """
    height, width, _ = stages[0].shape
    return jnp.concatenate([resize_nearest(stage.astype(jnp.float32), height, width) for stage in stages], axis=-1)


def combine(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Pool every stage locally, bring all to the positions of the first and concatenate the channels.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        (h_0, w_0, sum of c_i), float32.

    References:
        Fang et al., FastRecon, ICCV 2023, and its published code.
    """
    return align([local_pool(stage.astype(jnp.float32)) for stage in stages])


def patch_mean(stage: Float[Array, "h w c"], bins: int, size: int) -> Float[Array, "h w d"]:
    """The 3x3 patch around each position, zeros outside, averaged adaptively to `bins` numbers and then to `size`.

    A patch is 9 c entries, for each channel in turn its 9, row by row; `adaptive_weights` has the bins. All is linear,
    so the patches need not be put together: each of the nine shifts of the stage adds its share to the result, for each
    of the gcd(c, size) groups of channels that share no bin. The patches, nine times the stage, are never in memory.

    Args:
        stage: (h, w, c).
        bins: of the first average.
        size: of the second average, a divisor of `bins`; d.

    Returns:
        (h, w, d).
    """
    h, w, c = stage.shape
    groups = math.gcd(c, size)
    weights = adaptive_weights(9 * c // groups, bins // groups)
    weights = weights.reshape(c // groups, 9, size // groups, bins // size).mean(axis=-1)
    padded = _framed(stage).reshape(h + 2, w + 2, groups, c // groups)

    shares = (linalg.matmul(padded[i : i + h, j : j + w], weights[:, 3 * i + j]) for i in range(3) for j in range(3))
    return functools.reduce(jnp.add, shares).reshape(h, w, size)


def adaptive_weights(length: int, size: int) -> Float[Array, "c d"]:
    """A such that x A is the adaptive mean of x: bin i covers floor(i c / d) to ceil((i + 1) c / d).

    Bins overlap by one entry where d does not divide c, and repeat entries where d exceeds c, as in
    torch.nn.functional.adaptive_avg_pool1d.

    Args:
        length: of x, c.
        size: number of bins, d.

    Returns:
        (c, d), whose columns sum to 1.
    """
    entry, number = jnp.arange(length)[:, None], jnp.arange(size)[None]
    first, beyond = number * length // size, -(-(number + 1) * length // size)
    inside = (entry >= first) & (entry < beyond)
    return inside.astype(jnp.float32) / (beyond - first).astype(jnp.float32)
