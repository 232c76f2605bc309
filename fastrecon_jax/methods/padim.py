"""PaDiM: a Gaussian for each position, over a random subset of the channels."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.command_line.fields import MOST_DIMENSIONS, require_number, setting
from fastrecon_jax.core import features, linalg, scoring, sizes
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import Method, register

EPSILON = 0.01  # variance added to every channel
SMALL = 448  # channels of the first three stages of ResNet-18


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of PaDiM.

    Raises:
        InputError: a value is out of its range.
    """

    channels: int = setting(0, "channels that are drawn; 0 for 100, or 550 where there are more than 448")

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "channels", at_least=0, at_most=MOST_DIMENSIONS)


class State(NamedTuple):
    """What a fitted category keeps; for Q see `fit`.

    Attributes:
        channels: indices of the drawn channels, (d,).
        mean: mean of the support features at each position, (h, w, d).
        above: the first d rows of Q at each position, (h, w, d, k).
        below: the last k rows of Q at each position, (h, w, k, k).
    """

    channels: Int[Array, " d"]
    mean: Float[Array, "h w d"]
    above: Float[Array, "h w d k"]
    below: Float[Array, "h w k k"]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Stages brought to the positions of the first by nearest neighbour, without local pooling, as in the paper.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type. The paper takes
            three, with strides of 4, 8 and 16.

    Returns:
        Features of all channels, (h_0, w_0, sum of c_i), float32.
    """
    return features.align(stages)


def dimensions(channels: int, asked: int = 0) -> int:
    """How many channels are kept.

    Args:
        channels: number of channels of the features, at least 1.
        asked: number of channels to keep; 0 for the paper's choice by the encoder's width: 100 up to the 448 channels
            of ResNet-18, 550 above (wide_resnet50_2 has 1792).

    Returns:
        The number of channels to keep, at most `channels`.
    """
    return min(channels, asked or (100 if channels <= SMALL else 550))


def fit(features: Float[Array, "k h w c"], key: PRNGKeyArray, *, channels: int = 0) -> State:
    """Mean and factored covariance of the support at each position.

    Let the columns of U (d, k) be the centred support features of a position divided by sqrt(k - 1). The score is

        s² = (x - mu)ᵀ (U Uᵀ + ε I)⁻¹ (x - mu),  ε = 0.01.

    U Uᵀ has rank below k, and by Woodbury's identity (U Uᵀ + ε I)⁻¹ = (I - U (ε I + UᵀU)⁻¹ Uᵀ) / ε, so no d x d matrix
    is needed. With the QR factorisation [U; sqrt(ε) I] = [Q₁; Q₂] R, where RᵀR = ε I + UᵀU, the inverse is
    (I - Q₁ Q₁ᵀ) / ε. Because the columns of Q are orthonormal,

        s² = (||x - mu - Q₁ z||² + ||Q₂ z||²) / ε,  z = Q₁ᵀ (x - mu).

    This is a sum of squared residuals, while ||x - mu||² - ||z||² would cancel. It is exact for every k, including k
    above d and a single image, whose covariance is 0.01 I. The authors published no code. The implementation in use
    (xiahaifeng1995/PaDiM-Anomaly-Detection-Localization-master) inverts a d x d matrix at each position, and its
    covariance of a single image is undefined.

    Args:
        features: features of the k support images, (k, h, w, c).
        key: random key for drawing the channels, without replacement.
        channels: number of channels to draw, d, at most c; 0 for the paper's choice, see `dimensions`.

    Returns:
        The state that `score` takes.

    References:
        Defard et al., PaDiM: a patch distribution modeling framework for anomaly detection and localization, ICPR 2021
        (arXiv 2011.08785), equations 1 and 2. The factorisation is our derivation.
    """
    c = features.shape[-1]
    # The same channels at all positions, drawn once for the category.
    chosen = jax.random.permutation(key, c)[: dimensions(c, channels)]
    return State(chosen, *gaussians(features[..., chosen]))


def gaussians(
    support: Float[Array, "k h w d"],
) -> tuple[Float[Array, "h w d"], Float[Array, "h w d k"], Float[Array, "h w k k"]]:
    """Mean and factored covariance at each position, over all channels.

    Args:
        support: features of the k support images, (k, h, w, d).

    Returns:
        `mean`, `above` and `below` of `State`, see `fit`.
    """
    k, h, w, _ = support.shape
    mean = support.mean(axis=0)
    # The unbiased covariance divides by k - 1. A single image is its own mean, so that U = 0 for any divisor.
    U = jnp.moveaxis(support - mean[None], 0, -1) * max(k - 1, 1) ** -0.5  # (h, w, d, k)
    # The rows below U: sqrt(ε) I, which also gives [U; sqrt(ε) I] full column rank.
    root = jnp.broadcast_to(EPSILON**0.5 * jnp.eye(k, dtype=U.dtype), (h, w, k, k))
    Q, _ = jnp.linalg.qr(jnp.concatenate([U, root], axis=-2))
    return mean, Q[..., :-k, :], Q[..., -k:, :]


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query image: Mahalanobis distance of each feature to the Gaussian of its position.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).

    Returns:
        Patch scores, (h, w), without unit.
    """
    return distances(features[..., state.channels] - state.mean, state.above, state.below)


def distances(
    x: Float[Array, "h w d"], above: Float[Array, "h w d k"], below: Float[Array, "h w k k"]
) -> Float[Array, "h w"]:
    """Mahalanobis distances to the Gaussians of `gaussians`.

    Args:
        x: features less the mean of their position, (h, w, d).
        above: what `gaussians` gave, (h, w, d, k).
        below: likewise, (h, w, k, k).

    Returns:
        Distances, (h, w), without unit.
    """
    # s² = (||x - mu - Q₁ z||² + ||Q₂ z||²) / ε with z = Q₁ᵀ (x - mu), see `fit`.
    z = _product("hwdk,hwd->hwk", above, x)
    outside = x - _product("hwdk,hwk->hwd", above, z)
    inside = _product("hwlk,hwk->hwl", below, z)
    squared = jnp.sum(jnp.square(outside), axis=-1) + jnp.sum(jnp.square(inside), axis=-1)
    return linalg.safe_sqrt(squared / EPSILON)


def _product(indices: str, a: Float[Array, "..."], b: Float[Array, "..."]) -> Float[Array, "..."]:
    return jnp.einsum(indices, a, b, precision=jax.lax.Precision.HIGHEST)


def image_score(
    state: State, features: Float[Array, "h w c"], patch_scores: Float[Array, "h w"], *, map_size: Size = 224
) -> Float[Array, ""]:
    """The largest value of the anomaly map, which is resized and blurred with a standard deviation of 4 pixels.

    Public implementations first scale the maps of a category to 0..1 over all its test images. That does not change the
    order of the images; here the score depends on its own image alone.

    Args:
        state: what `fit` returned; unused.
        features: features of one query image; unused.
        patch_scores: what `score` returned, (h, w).
        map_size: side of the anomaly map, or its height and width, in pixels.

    Returns:
        The image score, in units of the patch scores.
    """
    del state, features
    height, width = sizes.height_and_width(map_size)
    return jnp.max(scoring.anomaly_map(patch_scores, height=height, width=width))


@register("padim", settings=Settings, source="Defard et al., PaDiM, ICPR 2021")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Mahalanobis distance to a Gaussian at each position."""
    return Method(
        name="padim",
        settings=settings,
        embed=embed,
        fit=functools.partial(fit, channels=settings.channels),
        score=score,
        image_score=functools.partial(image_score, map_size=map_size),
        note=f"{settings.channels} channels" if settings.channels else "",
    )
