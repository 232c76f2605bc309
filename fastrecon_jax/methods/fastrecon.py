"""FastRecon: reconstruct the query from a coreset of the support, held to the support's mean."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.core import coreset, linalg, regression

RATIO = 0.01  # of the published coreset


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        coreset: indices of the chosen rows in the pool of k*h*w support features, (m,), in the order of choice; -1 for
            those that were left out by `kept`.
        regression: the factors of the regression on these rows.
    """

    coreset: Int[Array, " m"]
    regression: regression.Regression


def fit(
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray,
    *,
    lam: float | Float[Array, ""] = 2.0,
    coreset_ratio: float = RATIO,
    projection: int = 0,
    rows: int = 0,
    kept: Int[Array, ""] | None = None,
) -> State:
    """Choose the coreset of the support features and factor the regression on it.

    Args:
        features: of the k support images, (k, h, w, c).
        key: of the random projection; unused without one.
        lam: weight of the distribution term, at least 0; 0 is a plain subspace residual.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1].
        projection: dimensions of a sparse random projection before the coreset is chosen; 0 for none.
        rows: number of rows to keep instead of a share, at most all; 0 for the share.
        kept: of these rows, how many are really used, the first ones; all by default.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the ratio is not in (0, 1].

    References:
        Fang et al., FastRecon: Few-shot Industrial Anomaly Detection via Fast Feature Reconstruction, ICCV 2023. The
        published code hands an unfitted projector to the coreset, which fails and is ignored: it projects nothing.
    """
    pool = features.reshape(-1, features.shape[-1])  # (k h w, c)
    chosen = _choose_rows(pool, key, projection, size(pool.shape[0], coreset_ratio, rows))
    S = pool[chosen]
    if kept is not None:
        used = jnp.arange(chosen.shape[0]) < kept
        chosen, S = jnp.where(used, chosen, -1), S * used[:, None].astype(S.dtype)  # zeros span nothing
    mu = features.mean(axis=0)
    return State(chosen, regression.fit(S, mu, jnp.asarray(lam, features.dtype)))


def size(count: int, coreset_ratio: float, rows: int = 0) -> int:
    """How many rows of the pool are kept.

    Args:
        count: of the pool, at least 1.
        coreset_ratio: share to keep, in (0, 1].
        rows: number to keep instead, at most all; 0 for the share.

    Returns:
        From 1 to `count`.

    Raises:
        ValueError: the ratio is not in (0, 1], or there are no rows.
    """
    return min(rows, count) if rows else coreset.size(count, coreset_ratio)


def _choose_rows(pool: Float[Array, "n c"], key: PRNGKeyArray, projection: int, m: int) -> Int[Array, " m"]:
    rows = jax.lax.stop_gradient(pool)  # the choice is discrete
    if projection:
        rows = linalg.matmul(rows, coreset.sparse_projection(key, pool.shape[-1], projection))
    return coreset.greedy_k_center(rows, m)


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query: the norm of what the support does not explain.

    Args:
        state: from `fit`.
        features: of one query, (h, w, c).

    Returns:
        (h, w), in units of the features.
    """
    return regression.residual(state.regression, features)
