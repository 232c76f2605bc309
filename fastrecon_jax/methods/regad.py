"""RegAD's Gaussians: one at each position over all channels, from the support and 21 changed copies of each image."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.core import scoring, sizes
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods import padim
from fastrecon_jax.methods.registry import NOT_META_TRAINED, Method, NoSettings, number_of_copies, register

COPIES = ("poses", "turns")  # rotations, translations, a flip and grey; quarter turns
STRIDES = (4, 8, 16)


class State(NamedTuple):
    """What a fitted category keeps, for n images and copies of them; see `padim.fit` for Q.

    Attributes:
        mean: mean of the features at each position, (h, w, c).
        above: the first c rows of Q at each position, (h, w, c, n).
        below: the last n rows of Q at each position, (h, w, n, n).
    """

    mean: Float[Array, "h w c"]
    above: Float[Array, "h w c n"]
    below: Float[Array, "h w n n"]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Float[Array, "h w c"]:
    """Stages brought to the positions of the first by nearest neighbour and concatenated, without local pooling.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each; the paper's have strides of 4, 8 and 16.

    Returns:
        Features, (h_0, w_0, sum of c_i), float32.
    """
    return padim.embed(stages)


def rows(pool: int, *, more: int = 0) -> None:
    """None: the state holds no rows of the support pool.

    Args:
        pool: unused.
        more: unused.
    """
    del pool, more


def fit(
    features: Float[Array, "k h w c"], key: PRNGKeyArray, copies: Float[Array, "k m h w c"], *, more: int = 0
) -> State:
    """Mean and factored covariance at each position, over the support images and their copies.

    The covariance is the unbiased one with 0.01 added to each variance. It has rank n - 1 < c and is never formed; see
    `padim.fit` for the factors, which are exact.

    Args:
        features: features of the k support images, (k, h, w, c).
        key: unused, nothing is random.
        copies: features of the copies of each, (k, m, h, w, c), its own and further ones.
        more: how many of them are further ones; unused, all count alike.

    Returns:
        The state that `score` takes.

    References:
        Huang et al., Registration based few-shot anomaly detection, ECCV 2022 (arXiv 2207.07361), section 3.4.
    """
    del key, more
    pool = jnp.concatenate([features, copies.reshape(-1, *features.shape[1:])])

    # Row by row: the factorisation of all positions at once would need several times the state's memory.
    def row(x: Float[Array, "n w c"]) -> tuple[Float[Array, "..."], ...]:
        return tuple(part[0] for part in padim.gaussians(x[:, None]))

    return State(*jax.lax.map(row, jnp.moveaxis(pool, 1, 0)))


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query image: Mahalanobis distance of each feature to the Gaussian of its position.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).

    Returns:
        Patch scores, (h, w), without unit.
    """
    return padim.distances(features - state.mean, state.above, state.below)


def image_score(
    state: State, features: Float[Array, "h w c"], patch_scores: Float[Array, "h w"], *, map_size: Size = 224
) -> Float[Array, ""]:
    """The largest value of the anomaly map, which is resized and blurred with a standard deviation of 4 pixels.

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


@register("regad", source="Huang et al., RegAD, ECCV 2022")
def method(settings: NoSettings, *, map_size: Size) -> Method:
    """Mahalanobis distance to a Gaussian at each position, from the support and 21 changed copies of each image."""
    return Method(
        name="regad",
        settings=settings,
        embed=embed,
        fit=fit,
        score=score,
        image_score=functools.partial(image_score, map_size=map_size),
        rows=rows,
        strides=STRIDES,
        more_copies=True,
        copies=COPIES,
        note=f"{number_of_copies(COPIES)} copies, {NOT_META_TRAINED}",
    )
