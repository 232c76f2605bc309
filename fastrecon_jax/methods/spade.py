"""SPADE: the nearest support images by a pooled feature, then the nearest of their features at each level."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fastrecon_jax.command_line.fields import require_number, setting
from fastrecon_jax.core import linalg, neighbours
from fastrecon_jax.core.features import resize_bilinear
from fastrecon_jax.methods.registry import Method, register

NEIGHBOURS = 50

Levels = tuple[Float[Array, "_ _ _"], ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of SPADE.

    Raises:
        InputError: a value is out of its range.
    """

    neighbours: int = setting(NEIGHBOURS, "nearest support images whose features are searched, at least 1")

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "neighbours", at_least=1)


class State(NamedTuple):
    """What a fitted category keeps: all of the support.

    Attributes:
        pooled: mean of the deepest stage of each image, (k, c).
        levels: the stages, (k, h_i, w_i, c_i) each, the finest first.
    """

    pooled: Float[Array, "k c"]
    levels: tuple[Float[Array, "k _ _ _"], ...]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Levels:
    """The stages as they are: SPADE compares features level by level, without pooling.

    The paper takes the first three stages of a wide ResNet-50 for the maps, and a fourth behind them for the images'
    distances alone. Here the deepest of the stages given serves both: it enters the maps as well.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        The same, float32.
    """
    return tuple(stage.astype(jnp.float32) for stage in stages)


def fit(features: tuple[Float[Array, "k _ _ _"], ...], key: PRNGKeyArray | None = None) -> State:
    """Keep the support.

    Args:
        features: of the k support images, (k, h_i, w_i, c_i) each, the finest first.
        key: unused; nothing is random.

    Returns:
        The state that `score` takes.
    """
    del key
    return State(features[-1].mean(axis=(1, 2)), tuple(features))


def score(state: State, features: Levels, *, images: int = NEIGHBOURS) -> Float[Array, "h w"]:
    """Patch scores of one query: mean over the levels of the distance to the nearest feature of the nearest images.

    With N_K the K support images whose pooled deepest features are nearest to the query's, at each level l

        s_l(p) = min_{y ∈ N_K, p'} ||F_l(x, p) - F_l(y, p')||,

    resized bilinearly to the finest level, then averaged. The paper has the mean of the squares over κ = 1 neighbours;
    the authors published no code, and the implementation that is in use (byungjae89/SPADE-pytorch) has the distances,
    resizes each level to the pixels before it averages and takes K = 5. Here K is limited to k, so that few shots use
    all images.

    Args:
        state: from `fit`.
        features: of one query, (h_i, w_i, c_i) each.
        images: K; the paper's is 50.

    Returns:
        (h_0, w_0), in units of the features.

    References:
        Cohen and Hoshen, Sub-image anomaly detection with deep pyramid correspondences, 2020 (arXiv 2005.02357).
    """
    height, width, _ = features[0].shape
    near = _is_near(state, features, images)
    maps = [_level(bank, near, level) for bank, level in zip(state.levels, features, strict=True)]
    resized = [resize_bilinear(level[..., None], height, width)[..., 0] for level in maps]
    return functools.reduce(operator.add, resized) / len(maps)


def _level(bank: Float[Array, "k h w c"], near: Bool[Array, " k"], level: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    k, h, w, c = bank.shape
    found = neighbours.nearest(level.reshape(h * w, c), bank.reshape(k * h * w, c), allowed=jnp.repeat(near, h * w))
    return linalg.safe_sqrt(found.squared).reshape(h, w)


def _image_distances(state: State, features: Levels) -> Float[Array, " k"]:
    return linalg.safe_sqrt(linalg.squared_distances(state.pooled, features[-1].mean(axis=(0, 1))))


def _is_near(state: State, features: Levels, images: int) -> Bool[Array, " k"]:
    distances = jax.lax.stop_gradient(_image_distances(state, features))
    nearest = jax.lax.top_k(-distances, min(images, distances.size))[1]
    return (nearest[:, None] == jnp.arange(distances.size)[None]).any(axis=0)


def image_score(
    state: State, features: Levels, patch_scores: Float[Array, "h w"], *, images: int = NEIGHBOURS
) -> Float[Array, ""]:
    """Mean distance between the pooled deepest features of the query and of the K nearest support images.

    Args:
        state: from `fit`.
        features: of one query, (h_i, w_i, c_i) each.
        patch_scores: unused.
        images: K, limited to k.

    Returns:
        The score, in units of the features.

    References:
        Cohen and Hoshen, 2020, equation 2, whose distances are squared; the implementation in use takes them as here.
    """
    del patch_scores
    distances = _image_distances(state, features)
    return -jnp.mean(jax.lax.top_k(-distances, min(images, distances.size))[0])


@register("spade", settings=Settings, source="Cohen and Hoshen, SPADE, 2020")
def method(settings: Settings, *, map_size: int) -> Method:
    """Distance to the nearest feature of the nearest support images, level by level."""
    del map_size
    images = settings.neighbours
    return Method(
        name="spade",
        settings=settings,
        embed=embed,
        fit=fit,
        score=functools.partial(score, images=images),
        image_score=functools.partial(image_score, images=images),
        rows=lambda pool: pool,
        note=f"{images} images" if images != NEIGHBOURS else "",
        export_tolerance=1e-3,  # rounding decides between two support features that are almost as near: up to 2e-4 seen
    )
