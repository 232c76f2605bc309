"""From an encoder's stages to one feature for each position."""

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


def unfold(stage: Float[Array, "h w c"]) -> Float[Array, "h w p"]:
    """The 3x3 patch around each position, zeros outside the image.

    Args:
        stage: (h, w, c).

    Returns:
        (h, w, 9 c): for each channel in turn its 9 entries, row by row.
    """
    h, w, c = stage.shape
    padded = _framed(stage)
    entries = [padded[i : i + h, j : j + w] for i in range(3) for j in range(3)]
    return jnp.stack(entries, axis=-1).reshape(h, w, 9 * c)


def adaptive_mean(x: Float[Array, "*n c"], size: int) -> Float[Array, "*n d"]:
    """Mean of each of `size` bins along the last axis: bin i covers floor(i c / size) to ceil((i + 1) c / size).

    Bins overlap by one entry where size does not divide c, and repeat entries where size exceeds c, as in
    torch.nn.functional.adaptive_avg_pool1d.

    Args:
        x: (..., c).
        size: number of bins, d.

    Returns:
        (..., d).
    """
    length = x.shape[-1]
    if length % size == 0:
        return x.reshape(*x.shape[:-1], size, length // size).mean(axis=-1)
    starts = [i * length // size for i in range(size)]
    widths = [-(-(i + 1) * length // size) - start for i, start in enumerate(starts)]
    start, width = jnp.array(starts), jnp.array(widths)
    total = jnp.zeros((*x.shape[:-1], size), x.dtype)
    for j in range(max(widths)):
        entry = x[..., jnp.minimum(start + j, length - 1)]
        total += entry * jnp.broadcast_to((j < width).astype(x.dtype), entry.shape)
    return total / jnp.broadcast_to(width.astype(x.dtype), total.shape)
