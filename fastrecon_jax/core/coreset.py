"""Greedy k-center: a few rows of the support pool, chosen so that every row is near one of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.core import k_center, linalg


def size(rows: int, ratio: float) -> int:
    """Number of coreset rows: m = max(1, floor(ratio n)).

    Args:
        rows: number of rows in the pool, n, at least 1.
        ratio: share of the rows to keep, in (0, 1].

    Returns:
        The number of rows to keep, m, from 1 to n.

    Raises:
        ValueError: the ratio is not in (0, 1], or there are no rows.
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"coreset ratio {ratio} is not allowed: it must be above 0 and at most 1")
    if rows < 1:
        raise ValueError(f"a pool of {rows} rows has no coreset: it must have at least 1")
    return max(1, int(ratio * rows))


def greedy_k_center(pool: Float[Array, "n c"], m: int, nearest: Float[Array, " n"] | None = None) -> Int[Array, " m"]:
    """Start with row 0, then keep adding the row farthest from all rows taken so far, until there are m.

    s₀ = 0,  s_{j+1} = argmax_i min_{l ≤ j} ||x_i - x_{s_l}||; the first row wins a tie. Once only duplicates of taken
    rows are left, row 0 is taken again. For large pools the same rows are computed in rounds, see `k_center`.

    Args:
        pool: rows to choose from, (n, c). The choice is discrete, so no gradient flows through it.
        m: number of rows to take, 1 to n; static.
        nearest: squared distance that each row starts with, (n,), infinite by default. The first row taken is the
            argmax, and later distances are capped by it: min(nearest_i, min_{l ≤ j} ||x_i - x_{s_l}||²).

    Returns:
        Indices of the rows taken, in the order in which they were taken, (m,), int32.

    Raises:
        ValueError: m is not in 1..n.

    References:
        Gonzalez, Clustering to minimize the maximum intercluster distance, 1985; Sener and Savarese, Active learning
        for convolutional neural networks: a core-set approach, ICLR 2018.
    """
    n = pool.shape[0]
    if not 1 <= m <= n:
        raise ValueError(f"a coreset of {m} rows is not possible: the pool has {n}, at least 1 must be taken")
    # The distance of every row to the empty set is infinite, so the first argmax is row 0.
    nearest = jnp.full((n,), jnp.inf, pool.dtype) if nearest is None else nearest
    pool, nearest = jax.lax.stop_gradient((pool, nearest))
    if k_center.pays(*pool.shape, m):
        return k_center.in_rounds(pool[None], nearest[None], m)[0]
    return k_center.one_by_one(pool, nearest, m)


def of_each(images: Float[Array, "k n c"], m: int) -> Int[Array, "k m"]:
    """A coreset of each image by itself, beginning with its row farthest from its mean: no image changes another's.

    Args:
        images: rows of k images, (k, n, c).
        m: number of rows to take of each, 1 to n; static.

    Returns:
        Indices of the rows taken within their own image, in the order in which they were taken, (k, m), int32.

    Raises:
        ValueError: m is not in 1..n.
    """
    # One image after the other: its rows stay in the processor's cache.
    return jax.lax.map(lambda rows: greedy_k_center(rows, m, total_distances(rows)), images)


def starting_distances(pool: Float[Array, "n c"], key: PRNGKeyArray, points: int) -> Float[Array, " n"]:
    """Squared mean distance of each row to a few random rows: how PatchCore begins its approximate greedy coreset.

    Args:
        pool: rows of the pool, (n, c).
        key: random key for drawing the rows, without replacement.
        points: number of rows to draw, at least 1; if it exceeds n, all are drawn.

    Returns:
        (mean_l ||x_i - x_l||)² over the drawn rows x_l, (n,), to pass to `greedy_k_center` as `nearest`.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' ApproximateGreedyCoresetSampler.
    """
    drawn = jax.random.permutation(key, pool.shape[0])[:points]
    # One drawn row at a time: all differences at once would be (points, n, c).
    distances = jax.lax.map(lambda row: linalg.safe_sqrt(linalg.squared_distances(pool, pool[row])), drawn)
    # The authors average the distances, not their squares; the result is squared because `greedy_k_center` compares
    # squared distances.
    return jnp.square(distances.mean(axis=0))


def total_distances(pool: Float[Array, "n c"]) -> Float[Array, " n"]:
    """Sum of the squared distances of each row to all rows, without their matrix: n ||x_i - x̄||² + Σ_j ||x_j - x̄||².

    PatchCore's exact greedy coreset begins with these sums. Its first row is therefore the one farthest from the mean.
    They cap no later distance, since each sum is at least the squared distance to any single row.

    Args:
        pool: rows of the pool, (n, c).

    Returns:
        Σ_j ||x_i - x_j||², (n,), to pass to `greedy_k_center` as `nearest`.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' GreedyCoresetSampler.
    """
    # ||x_i - x_j||² around the mean x̄; summed over j its cross term vanishes, because Σ_j (x_j - x̄) = 0.
    from_mean = linalg.squared_distances(pool, pool.mean(axis=0))
    return pool.shape[0] * from_mean + from_mean.sum()


def linear_projection(key: PRNGKeyArray, channels: int, dimensions: int) -> Float[Array, "c d"]:
    """Dense random projection with entries uniform in ±1 / sqrt(c): an untrained torch.nn.Linear(c, d, bias=False).

    Args:
        key: random key for the entries.
        channels: number of channels of the rows to project, c.
        dimensions: number of channels after projection, d.

    Returns:
        R, (c, d), float32, to be used as rows @ R. It multiplies squared distances by d / (3 c) on average.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' GreedyCoresetSampler.
    """
    # A uniform entry has variance bound² / 3 = 1 / (3 c).
    bound = channels**-0.5
    return jax.random.uniform(key, (channels, dimensions), jnp.float32, -bound, bound)


def sparse_projection(key: PRNGKeyArray, channels: int, dimensions: int) -> Float[Array, "c d"]:
    """Very sparse random projection: squared distances are kept on average, and most entries are zero.

    Entries are ±sqrt(1 / (s d)) with probability s / 2 each, and 0 otherwise; s = 1 / sqrt(c).

    Args:
        key: random key for the entries.
        channels: number of channels of the rows to project, c.
        dimensions: number of channels after projection, d.

    Returns:
        R, (c, d), float32, to be used as rows @ R.

    References:
        Li, Hastie and Church, Very sparse random projections, KDD 2006.
    """
    density = channels**-0.5  # s
    where, sign = jax.random.split(key)
    # An entry has variance s · 1 / (s d) = 1 / d, so that E ||x R||² = ||x||².
    entries = jax.random.rademacher(sign, (channels, dimensions), jnp.float32) * (density * dimensions) ** -0.5
    return jnp.where(jax.random.bernoulli(where, density, entries.shape), entries, 0.0)
