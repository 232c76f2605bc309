"""PatchCore: distance to the nearest of a coreset of locally aware patch features."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.command_line.fields import require_number, setting
from fastrecon_jax.core import coreset, features, linalg, neighbours
from fastrecon_jax.methods.registry import Method, note, register

DIMENSIONS = 1024  # of a patch feature
PROJECTION = 128  # dimensions in which the coreset is chosen
STARTING_POINTS = 10  # random rows that the approximate coreset begins with


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of PatchCore.

    Raises:
        InputError: a value is out of its range.
    """

    coreset_ratio: float = setting(0.1, "share of the support features to keep, above 0 and at most 1")
    coreset_projection: int = setting(
        PROJECTION, "dimensions of the random projection in which the coreset is chosen; 0 for none"
    )
    approximate: bool = setting(True, "begin the coreset with distances to 10 random rows, not to all")
    reweighting: int = setting(0, "neighbours in the paper's re-weighted image score; 0 for the largest patch score")
    neighbours: int = setting(1, "nearest coreset rows whose distances are averaged, at least 1")

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "coreset_ratio", above=0, at_most=1)
        require_number(self, "coreset_projection", at_least=0)
        require_number(self, "reweighting", at_least=0)
        require_number(self, "neighbours", at_least=1)


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        coreset: indices of the chosen rows in the pool of k*h*w support features, (m,), in the order of choice.
        bank: these rows, (m, c).
    """

    coreset: Int[Array, " m"]
    bank: Float[Array, "m c"]


def embed(stages: Sequence[Float[Array, "_ _ _"]], *, dimensions: int = DIMENSIONS) -> Float[Array, "h w c"]:
    """Locally aware patch features of one image, as the authors' code makes them.

    Each stage is unfolded into 3x3 patches (zeros outside); each patch of 9 c_i numbers, channel by channel, is
    averaged adaptively to `dimensions`; the coarser stages are interpolated bilinearly to the positions of the first;
    the stages' vectors are put one after the other and averaged adaptively to `dimensions` again.

    The authors do this in that order. All of it is linear, over positions or over entries, so the order is free: here
    the averages come first, both at once where `dimensions` is a multiple of the number of stages, which handles an
    eighth of the numbers and never holds the patches.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type.
        dimensions: of each stage's vector and of the result.

    Returns:
        (h_0, w_0, dimensions), float32.

    References:
        Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022 (arXiv 2106.08265), section 3.1,
        and the authors' code.
    """
    height, width, _ = stages[0].shape
    count = len(stages)
    size = dimensions // count if dimensions % count == 0 else dimensions
    pooled = [features.patch_mean(stage.astype(jnp.float32), dimensions, size) for stage in stages]
    aligned = [pooled[0], *(features.resize_bilinear(stage, height, width) for stage in pooled[1:])]
    return jnp.concatenate(aligned, axis=-1).reshape(height, width, dimensions, -1).mean(axis=-1)


def fit(
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray,
    *,
    coreset_ratio: float = 0.1,
    projection: int = PROJECTION,
    starting_points: int = STARTING_POINTS,
) -> State:
    """Keep a greedy k-center coreset of the support features.

    As the authors' code: the features are projected at random, then the row farthest from those taken is taken, again
    and again; the approximate variant begins with the mean distance to 10 random rows, the exact one with the distance
    to all rows. Unlike it, distances are differences instead of expanded squares, at least one row is kept, a ratio of
    1 keeps all, and the exact variant needs no matrix of all distances.

    Args:
        features: of the k support images, (k, h, w, c).
        key: of the projection and the starting points.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1]; the authors use 0.1, 0.01 and 0.25.
        projection: dimensions of the random projection; 0 for none, and none either where c is equal to it.
        starting_points: random rows of the approximate variant; 0 for the exact one.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the ratio is not in (0, 1].

    References:
        Roth et al., CVPR 2022, algorithm 1, and the authors' ApproximateGreedyCoresetSampler and GreedyCoresetSampler.
    """
    pool = features.reshape(-1, features.shape[-1])  # (k h w, c)
    n, channels = pool.shape
    m = coreset.size(n, coreset_ratio)
    if m == n:
        return State(jnp.arange(n), pool)
    rows = jax.lax.stop_gradient(pool)  # the choice is discrete
    projecting, starting = jax.random.split(key)
    if projection and projection != channels:
        rows = linalg.matmul(rows, coreset.linear_projection(projecting, channels, projection))
    first = (
        coreset.starting_distances(rows, starting, starting_points)
        if starting_points
        else coreset.total_distances(rows)
    )
    chosen = coreset.greedy_k_center(rows, m, first)
    return State(chosen, pool[chosen])


def score(state: State, features: Float[Array, "h w c"], *, neighbours_count: int = 1) -> Float[Array, "h w"]:
    """Patch scores of one query: squared distance to the nearest row of the bank, or the mean over the nearest few.

    The paper's equation has the distance, min_m ||x - m||. The authors' code has its square, because that is what
    faiss.IndexFlatL2 returns; that orders patches and maxima alike, but a blurred map differs.

    Args:
        state: from `fit`.
        features: of one query, (h, w, c).
        neighbours_count: how many rows to average over; at most all of the bank are taken.

    Returns:
        (h, w), in squared units of the features.

    References:
        Roth et al., CVPR 2022, equation 6, and the authors' NearestNeighbourScorer.
    """
    h, w, c = features.shape
    found = neighbours.nearest(features.reshape(h * w, c), state.bank, count=min(neighbours_count, state.bank.shape[0]))
    return found.squared.mean(axis=1).reshape(h, w)


def image_score(
    state: State, features: Float[Array, "h w c"], patch_scores: Float[Array, "h w"], *, reweighting: int = 0
) -> Float[Array, ""]:
    """The largest patch score, as the authors' code has it, or the re-weighted score of the paper.

    With x* the patch farthest from the bank, m* its nearest row and N_b(m*) the b rows of the bank nearest to m*,
    itself among them,

        s = (1 - exp ||x* - m*|| / Σ_{m ∈ N_b(m*)} exp ||x* - m||) ||x* - m*||.

    The authors published no code for it. b is limited to the bank's rows; b = 1, where the equation gives 0 for
    every image, leaves the distance as it is.

    Args:
        state: from `fit`.
        features: of one query, (h, w, c).
        patch_scores: from `score`, (h, w).
        reweighting: b, the number of neighbours; 0 for the largest patch score.

    Returns:
        The score: a distance if re-weighted, in units of the patch scores otherwise.

    References:
        Roth et al., CVPR 2022, equations 6 and 7.
    """
    if not reweighting:
        return jnp.max(patch_scores)
    rows = features.reshape(patch_scores.size, -1)
    farthest = jnp.take_along_axis(rows, jnp.full((1, rows.shape[1]), jnp.argmax(patch_scores)), axis=0)[0]  # (c,)
    nearest = neighbours.nearest(farthest[None], state.bank)
    distance = linalg.safe_sqrt(nearest.squared[0, 0])
    b = min(reweighting, state.bank.shape[0])
    if b == 1:
        return distance
    around = neighbours.nearest(state.bank[nearest.indices[0]], state.bank, count=b).indices[0]
    distances = linalg.safe_sqrt(linalg.squared_distances(state.bank[around], farthest))
    return (1 - jnp.exp(-jax.nn.logsumexp(distances - distance))) * distance


@register("patchcore", settings=Settings, source="Roth et al., PatchCore, CVPR 2022")
def method(settings: Settings, *, map_size: int) -> Method:
    """Distance to the nearest row of a greedy k-center coreset."""
    del map_size
    ratio, projection = settings.coreset_ratio, settings.coreset_projection
    return Method(
        name="patchcore",
        settings=settings,
        embed=embed,
        fit=functools.partial(
            fit,
            coreset_ratio=ratio,
            projection=projection,
            starting_points=STARTING_POINTS if settings.approximate else 0,
        ),
        score=functools.partial(score, neighbours_count=settings.neighbours),
        image_score=functools.partial(image_score, reweighting=settings.reweighting),
        rows=functools.partial(coreset.size, ratio=ratio),
        order_matters=True,
        note=note(
            f"coreset {ratio:g}",
            "" if settings.approximate else "exact",
            "" if projection == PROJECTION else f"projection {projection}",
            f"mean of {settings.neighbours}" if settings.neighbours > 1 else "",
            f"re-weighted by {settings.reweighting}" if settings.reweighting else "",
        ),
    )
