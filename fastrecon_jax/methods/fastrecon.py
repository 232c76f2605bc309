"""FastRecon: reconstruct the query from a coreset of the support, held to the support's mean."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.core import coreset, linalg, regression


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        coreset: indices of the chosen rows in the pool of k*h*w support features, (m,), in the order of choice.
        regression: the factors of the regression on these rows.
    """

    coreset: Int[Array, " m"]
    regression: regression.Regression


def fit(
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray,
    *,
    lam: float | Float[Array, ""] = 2.0,
    coreset_ratio: float = 0.01,
    projection: int = 0,
) -> State:
    """Choose the coreset of the support features and factor the regression on it.

    Args:
        features: of the k support images, (k, h, w, c).
        key: of the random projection; unused without one.
        lam: weight of the distribution term, at least 0; 0 is a plain subspace residual.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1].
        projection: dimensions of a sparse random projection before the coreset is chosen; 0 for none.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the ratio is not in (0, 1].

    References:
        Fang et al., FastRecon: Few-shot Industrial Anomaly Detection via Fast Feature Reconstruction, ICCV 2023. The
        published code hands an unfitted projector to the coreset, which fails and is ignored: it projects nothing.
    """
    pool = features.reshape(-1, features.shape[-1])  # (k h w, c)
    rows = jax.lax.stop_gradient(pool)  # the choice is discrete
    if projection:
        rows = linalg.matmul(rows, coreset.sparse_projection(key, pool.shape[-1], projection))
    chosen = coreset.greedy_k_center(rows, coreset.size(pool.shape[0], coreset_ratio))
    mu = features.mean(axis=0)
    return State(chosen, regression.fit(pool[chosen], mu, jnp.asarray(lam, features.dtype)))


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query: the norm of what the support does not explain.

    Args:
        state: from `fit`.
        features: of one query, (h, w, c).

    Returns:
        (h, w), in units of the features.
    """
    return regression.residual(state.regression, features)
