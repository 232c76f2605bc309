"""Greedy k-center: a few rows of the support pool such that no row is far from all of them."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.core import k_center, linalg


def size(rows: int, ratio: float) -> int:
    """Number of coreset rows: m = max(1, floor(ratio n)).

    Args:
        rows: n, rows of the pool, at least 1.
        ratio: in (0, 1].

    Returns:
        m, from 1 to n.

    Raises:
        ValueError: the ratio is not in (0, 1], or there are no rows.
    """
    if not 0 < ratio <= 1:
        raise ValueError(f"coreset ratio {ratio} is not allowed: it must be above 0 and at most 1")
    if rows < 1:
        raise ValueError(f"a pool of {rows} rows has no coreset: it must have at least 1")
    return max(1, int(ratio * rows))


def greedy_k_center(pool: Float[Array, "n c"], m: int, nearest: Float[Array, " n"] | None = None) -> Int[Array, " m"]:
    """Take the row farthest from all that were taken, until there are m; start with row 0 unless `nearest` says else.

    s₀ = 0,  s_{j+1} = argmax_i min_{l ≤ j} ||x_i - x_{s_l}||; the first row wins a tie. When only duplicates of
    taken rows are left, row 0 is taken again. Large pools take the same rows in rounds, see `k_center`.

    Args:
        pool: rows, (n, c). The choice is discrete: nothing is differentiated.
        m: how many to take, 1 to n; static.
        nearest: squared distances to begin with, (n,): the first row taken is their argmax, and they bound all later
            distances, min(nearest_i, min_{l ≤ j} ||x_i - x_{s_l}||²). By default infinite.

    Returns:
        Their indices in the order of taking, (m,), int32.

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


def starting_distances(pool: Float[Array, "n c"], key: PRNGKeyArray, points: int) -> Float[Array, " n"]:
    """Squared mean distance of each row to a few random rows: how PatchCore begins its approximate greedy coreset.

    Args:
        pool: rows, (n, c).
        key: of the random rows, drawn without replacement.
        points: how many; at most n are drawn.

    Returns:
        (mean_l ||x_i - x_l||)², (n,), for `greedy_k_center`.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' ApproximateGreedyCoresetSampler.
    """
    drawn = jax.random.permutation(key, pool.shape[0])[:points]
    distances = jax.lax.map(lambda row: linalg.safe_sqrt(linalg.squared_distances(pool, pool[row])), drawn)
    return jnp.square(distances.mean(axis=0))


def total_distances(pool: Float[Array, "n c"]) -> Float[Array, " n"]:
    """Sum of the squared distances of each row to all rows, without their matrix: n ||x_i - x̄||² + Σ_j ||x_j - x̄||².

    PatchCore's exact greedy coreset begins with these: its first row is the one farthest from the mean, and they bound
    no later distance, since each is at least the squared distance to any single row.

    Args:
        pool: rows, (n, c).

    Returns:
        Σ_j ||x_i - x_j||², (n,), for `greedy_k_center`.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' GreedyCoresetSampler.
    """
    from_mean = linalg.squared_distances(pool, pool.mean(axis=0))
    return pool.shape[0] * from_mean + from_mean.sum()


def linear_projection(key: PRNGKeyArray, channels: int, dimensions: int) -> Float[Array, "c d"]:
    """Dense random projection with entries uniform in ±1 / sqrt(c): an untrained torch.nn.Linear(c, d, bias=False).

    Args:
        key: of the random numbers.
        channels: c, of the rows to project.
        dimensions: d, of the projected rows.

    Returns:
        R, (c, d), float32, to be used as rows @ R. It shrinks all squared distances by d / (3 c) in the mean.

    References:
        Roth et al., PatchCore, CVPR 2022, the authors' GreedyCoresetSampler.
    """
    bound = channels**-0.5
    return jax.random.uniform(key, (channels, dimensions), jnp.float32, -bound, bound)


def sparse_projection(key: PRNGKeyArray, channels: int, dimensions: int) -> Float[Array, "c d"]:
    """Very sparse random projection: distances are kept in expectation, most entries are zero.

    Entries are ±sqrt(1 / (s d)) with probability s / 2 each, and 0 otherwise; s = 1 / sqrt(c).

    Args:
        key: of the random numbers.
        channels: c, of the rows to project.
        dimensions: d, of the projected rows.

    Returns:
        R, (c, d), float32, to be used as rows @ R.

    References:
        Li, Hastie and Church, Very sparse random projections, KDD 2006.
    """
    density = channels**-0.5
    where, sign = jax.random.split(key)
    entries = jax.random.rademacher(sign, (channels, dimensions), jnp.float32) * (density * dimensions) ** -0.5
    return jnp.where(jax.random.bernoulli(where, density, entries.shape), entries, 0.0)
