"""From an encoder's stages to one feature for each position."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float


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
    padded = jnp.pad(stage, ((1, 1), (1, 1), (0, 0)))
    rows = padded[:h] + padded[1 : h + 1] + padded[2:]
    return (rows[:, :w] + rows[:, 1 : w + 1] + rows[:, 2:]) / 9


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


def combine(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Pool every stage locally, bring all to the positions of the first and concatenate the channels.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        (h_0, w_0, sum of c_i), float32.

    References:
        Fang et al., FastRecon, ICCV 2023, and its published code.
    """
    height, width, _ = stages[0].shape
    pooled = [local_pool(stage.astype(jnp.float32)) for stage in stages]
    return jnp.concatenate([resize_nearest(stage, height, width) for stage in pooled], axis=-1)
