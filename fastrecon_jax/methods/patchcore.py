"""PatchCore: distance to the nearest feature in a coreset of locally aware patch features."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.command_line.fields import MOST_DIMENSIONS, MOST_ROWS, require, require_number, setting
from fastrecon_jax.core import coreset, features, linalg, neighbours
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import Method, note, register

DIMENSIONS = 1024  # channels of a patch feature
PROJECTION = 128  # dimensions of the random projection in which the coreset is chosen
STARTING_POINTS = 10  # random rows whose mean distance starts the approximate coreset
AVERAGED, CONCATENATED = "averaged", "concatenated"  # how stages become features


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
    reweighting: int = setting(
        0, "neighbours in the paper's re-weighted image score; 0 for the largest patch score", for_image_score=True
    )
    neighbours: int = setting(1, "nearest coreset rows whose distances are averaged, at least 1")
    features: str = setting(
        AVERAGED, "averaged: 3x3 patches averaged to 1024 numbers; concatenated: stages pooled 3x3, all channels kept"
    )

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "coreset_ratio", above=0, at_most=1)
        require_number(self, "coreset_projection", at_least=0, at_most=MOST_DIMENSIONS)
        require_number(self, "reweighting", at_least=0, at_most=MOST_ROWS)
        require_number(self, "neighbours", at_least=1, at_most=MOST_ROWS)
        allowed = self.features in (AVERAGED, CONCATENATED)
        require(self, "features", allowed, f"it must be {AVERAGED} or {CONCATENATED}")


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        coreset: indices of the chosen rows in the pool of k*h*w support features, (m,), in the order of choice.
        bank: the chosen rows, (m, c).
    """

    coreset: Int[Array, " m"]
    bank: Float[Array, "m c"]


def embed(stages: Sequence[Float[Array, "_ _ _"]], *, dimensions: int = DIMENSIONS) -> Float[Array, "h w c"]:
    """Locally aware patch features of one image, as the authors' code makes them.

    The authors unfold each stage into 3x3 patches, with zeros outside; average the 9 c_i numbers of each patch, channel
    by channel, adaptively to `dimensions`; interpolate the coarser stages bilinearly to the positions of the first;
    concatenate the stages' vectors and average them adaptively to `dimensions` again.

    Each step is linear, over positions or over entries, so their order is free. Here the averages come first, both at
    once where `dimensions` is a multiple of the number of stages. This handles an eighth of the numbers and never holds
    the patches.

    An entry of the result averages about 9 n c_i / dimensions entries of a patch, with n stages. A stage with few
    channels is therefore hardly pooled; `core.features.combine` takes the mean of all nine, whatever the stage.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type.
        dimensions: number of channels of each stage's vector and of the result, at least 1.

    Returns:
        Patch features at the positions of the first stage, (h_0, w_0, dimensions), float32.

    References:
        Roth et al., Towards total recall in industrial anomaly detection, CVPR 2022 (arXiv 2106.08265), section 3.1,
        and the authors' code.
    """
    height, width, _ = stages[0].shape
    count = len(stages)
    # The last average takes `count` neighbouring entries of the concatenated vectors. Where `count` divides the
    # dimensions, these belong to one stage, which can be averaged that far at once.
    size = dimensions // count if dimensions % count == 0 else dimensions
    pooled = [features.patch_mean(stage.astype(jnp.float32), dimensions, size) for stage in stages]
    # Averaging over channels first, interpolation over positions second: the two commute.
    aligned = [pooled[0], *(features.resize_bilinear(stage, height, width) for stage in pooled[1:])]
    # A mean over groups of 1 where both averages are done already.
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

    As in the authors' code, the features are projected at random, and then the row farthest from all rows taken so far
    is added again and again. The approximate variant starts from the mean distance to 10 random rows, the exact one
    from the distances to all rows. Unlike in the authors' code, distances are computed by differences instead of
    expanded squares, at least one row is kept, a ratio of 1 keeps all rows, and the exact variant needs no matrix of
    all distances.

    Args:
        features: features of the k support images, (k, h, w, c).
        key: random key for the projection and the starting points.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1]; the authors use 0.1, 0.01 and 0.25.
        projection: dimensions of the random projection; 0 for none, and there is none either where it equals c.
        starting_points: number of random rows that start the approximate variant; 0 for the exact variant.

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
    # All rows in their own order: nothing to choose.
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
    # The projection serves the choice alone; the bank holds features with all their channels.
    chosen = coreset.greedy_k_center(rows, m, first)
    return State(chosen, pool[chosen])


def score(state: State, features: Float[Array, "h w c"], *, neighbours_count: int = 1) -> Float[Array, "h w"]:
    """Patch scores of one query image: squared distance to the nearest row of the bank, or the mean over the nearest.

    The paper's equation has the distance, min_m ||x - m||. The authors' code has its square, because that is what
    faiss.IndexFlatL2 returns. Both order patches and maxima alike, but their blurred maps differ.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).
        neighbours_count: number of nearest rows to average over, at least 1; above the bank's rows, all are taken.

    Returns:
        Patch scores, (h, w), in squared units of the features.

    References:
        Roth et al., CVPR 2022, equation 6, and the authors' NearestNeighbourScorer.
    """
    h, w, c = features.shape
    near = neighbours.nearest(features.reshape(h * w, c), state.bank, count=min(neighbours_count, state.bank.shape[0]))
    return near.squared.mean(axis=1).reshape(h, w)


def image_score(
    state: State, features: Float[Array, "h w c"], patch_scores: Float[Array, "h w"], *, reweighting: int = 0
) -> Float[Array, ""]:
    """The largest patch score, as the authors' code has it, or the re-weighted score of the paper.

    With x* the patch farthest from the bank, m* its nearest row and N_b(m*) the b rows of the bank nearest to m*,
    including m* itself,

        s = (1 - exp ||x* - m*|| / Σ_{m ∈ N_b(m*)} exp ||x* - m||) ||x* - m*||.

    The authors published no code for this score. b is limited to the number of rows in the bank. For b = 1 the equation
    gives 0 for every image, so the distance is returned as it is.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).
        patch_scores: what `score` returned, (h, w).
        reweighting: number of neighbours, b; 0 for the largest patch score.

    Returns:
        The image score: a distance if re-weighted, otherwise in units of the patch scores.

    References:
        Roth et al., CVPR 2022, equations 6 and 7.
    """
    if not reweighting:
        return jnp.max(patch_scores)
    # x* is rows[argmax s], written in a form that the ONNX export can convert.
    rows = features.reshape(patch_scores.size, -1)
    farthest = jnp.take_along_axis(rows, jnp.full((1, rows.shape[1]), jnp.argmax(patch_scores)), axis=0)[0]  # (c,)
    nearest = neighbours.nearest(farthest[None], state.bank)
    distance = linalg.safe_sqrt(nearest.squared[0, 0])
    b = min(reweighting, state.bank.shape[0])
    if b == 1:
        return distance
    # N_b(m*): the rows nearest to m*, which is at distance 0 from itself.
    around = neighbours.nearest(state.bank[nearest.indices[0]], state.bank, count=b).indices[0]
    distances = linalg.safe_sqrt(linalg.squared_distances(state.bank[around], farthest))
    # The quotient is 1 / Σ exp(||x* - m|| - ||x* - m*||): exp of a distance alone would overflow.
    return (1 - jnp.exp(-jax.nn.logsumexp(distances - distance))) * distance


@register("patchcore", settings=Settings, source="Roth et al., PatchCore, CVPR 2022")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Distance to the nearest row of a greedy k-center coreset."""
    del map_size
    ratio, projection = settings.coreset_ratio, settings.coreset_projection
    concatenated = settings.features == CONCATENATED
    return Method(
        name="patchcore",
        settings=settings,
        embed=features.combine if concatenated else embed,
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
            CONCATENATED if concatenated else "",
            "" if settings.approximate else "exact",
            "" if projection == PROJECTION else f"projection {projection}",
            f"mean of {settings.neighbours}" if settings.neighbours > 1 else "",
            f"re-weighted by {settings.reweighting}" if settings.reweighting else "",
        ),
    )
