"""SPADE: the nearest support images by a pooled feature, then the nearest feature in these images at each level."""

import dataclasses
import functools
import operator
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from fastrecon_jax.command_line.fields import MOST_ROWS, require_number, setting
from fastrecon_jax.core import linalg, neighbours
from fastrecon_jax.core.features import resize_bilinear
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import Method, register

NEIGHBOURS = 50  # the paper's K

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
        require_number(self, "neighbours", at_least=1, at_most=MOST_ROWS)


class State(NamedTuple):
    """What a fitted category keeps: all of the support.

    Attributes:
        pooled: mean over the positions of each image's deepest stage, (k, c).
        levels: stages of all images, the finest first, (k, h_i, w_i, c_i) each.
    """

    pooled: Float[Array, "k c"]
    levels: tuple[Float[Array, "k _ _ _"], ...]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Levels:
    """The stages as they are: SPADE compares features level by level, without pooling.

    The paper takes the first three stages of a wide ResNet-50 for the maps, and a deeper fourth one for the distances
    between images only. Here the deepest stage serves both purposes.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type.

    Returns:
        The same stages, float32.
    """
    return tuple(stage.astype(jnp.float32) for stage in stages)


def fit(features: tuple[Float[Array, "k _ _ _"], ...], key: PRNGKeyArray | None = None) -> State:
    """Keep the support.

    Args:
        features: stages of the k support images, the finest first, (k, h_i, w_i, c_i) each.
        key: unused; nothing is random.

    Returns:
        The state that `score` takes.
    """
    del key
    return State(features[-1].mean(axis=(1, 2)), tuple(features))


def score(state: State, features: Levels, *, images: int = NEIGHBOURS) -> Float[Array, "h w"]:
    """Patch scores of one query image: mean over levels of the distance to the nearest feature in the nearest images.

    With N_K the K support images whose pooled deepest stages are nearest to the query's, the score at level l is

        s_l(p) = min_{y ∈ N_K, p'} ||F_l(x, p) - F_l(y, p')||,

    resized bilinearly to the finest level, then averaged. The paper has squared distances, averaged over κ = 1
    neighbours. The authors published no code; the implementation in use (byungjae89/SPADE-pytorch) takes distances,
    resizes each level to the pixels before averaging, and has K = 5. Here K is limited to k, so that with few shots all
    images are used.

    Args:
        state: what `fit` returned.
        features: stages of one query image, (h_i, w_i, c_i) each.
        images: number of nearest support images to search, K, at least 1; 50 in the paper.

    Returns:
        Patch scores at the positions of the finest level, (h_0, w_0), in units of the features.

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
    # The far images are excluded by a mask: which images are near is not static, and the bank keeps its shape.
    nearest = neighbours.nearest(level.reshape(h * w, c), bank.reshape(k * h * w, c), allowed=jnp.repeat(near, h * w))
    return linalg.safe_sqrt(nearest.squared).reshape(h, w)


def _image_distances(state: State, features: Levels) -> Float[Array, " k"]:
    return linalg.safe_sqrt(linalg.squared_distances(state.pooled, features[-1].mean(axis=(0, 1))))


def _is_near(state: State, features: Levels, images: int) -> Bool[Array, " k"]:
    # The choice is discrete, so no gradient flows through it.
    distances = jax.lax.stop_gradient(_image_distances(state, features))
    nearest = jax.lax.top_k(-distances, min(images, distances.size))[1]
    # From indices, (K,), to a mask, (k,).
    return (nearest[:, None] == jnp.arange(distances.size)[None]).any(axis=0)


def image_score(
    state: State, features: Levels, patch_scores: Float[Array, "h w"], *, images: int = NEIGHBOURS
) -> Float[Array, ""]:
    """Mean distance from the query's pooled deepest stage to those of the K nearest support images.

    Args:
        state: what `fit` returned.
        features: stages of one query image, (h_i, w_i, c_i) each.
        patch_scores: patch scores of the query image; unused.
        images: number of nearest support images to average over, K, at least 1; limited to k.

    Returns:
        The image score, in units of the features.

    References:
        Cohen and Hoshen, 2020, equation 2, with squared distances; the implementation in use takes distances, as here.
    """
    del patch_scores
    distances = _image_distances(state, features)
    return -jnp.mean(jax.lax.top_k(-distances, min(images, distances.size))[0])


@register("spade", settings=Settings, source="Cohen and Hoshen, SPADE, 2020")
def method(settings: Settings, *, map_size: Size) -> Method:
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
        whole_image=True,
        note=f"{images} images" if images != NEIGHBOURS else "",
        export_tolerance=1e-3,  # rounding decides between two support features that are almost as near: up to 2e-4 seen
    )
