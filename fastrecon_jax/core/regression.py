"""The distribution-regularised regression of FastRecon, by an orthonormal basis instead of a matrix inverse."""

from typing import NamedTuple

from jaxtyping import Array, Float

from fastrecon_jax.core import linalg


class Regression(NamedTuple):
    """The part of the regression that does not depend on the query.

    Attributes:
        basis: V, (c, r), orthonormal basis of the coreset's row space; dropped directions are zero columns.
        mean: mu V, (h, w, r), the support mean at each position, in the coordinates of the basis.
        lam: weight of the distribution term, at least 0.
    """

    basis: Float[Array, "c r"]
    mean: Float[Array, "h w r"]
    lam: Float[Array, ""]


def fit(S: Float[Array, "m c"], mu: Float[Array, "h w c"], lam: Float[Array, ""]) -> Regression:
    """Prepare the regression on the coreset S with the position-wise mean mu.

    Args:
        S: coreset rows, (m, c); they may repeat, and m may exceed c.
        mu: mean of the support images at each position, (h, w, c).
        lam: weight of the distribution term, at least 0.

    Returns:
        The factors that `reconstruct` and `residual` apply.
    """
    # The closed form needs the inverse of S Sᵀ only in Sᵀ (S Sᵀ)⁻¹ S = V Vᵀ, the projector onto the row space. V exists
    # even where S Sᵀ is singular.
    V = linalg.row_space_basis(S)
    return Regression(basis=V, mean=linalg.matmul(mu, V), lam=lam)


def reconstruct(regression: Regression, Q: Float[Array, "h w c"]) -> Float[Array, "h w c"]:
    """The part of the features that the support explains: Qhat = (Q + lam mu) V Vᵀ / (1 + lam).

    Qhat is W S with W = argmin ||Q - W S||² + lam ||mu - W S||².

    Args:
        regression: what `fit` returned.
        Q: features of one query image, (h, w, c).

    Returns:
        The reconstructed features Qhat, (h, w, c).

    References:
        Fang et al., FastRecon, ICCV 2023, in closed form.
    """
    V, mean, lam = regression
    return linalg.matmul((linalg.matmul(Q, V) + lam * mean) / (1 + lam), V.T)


def residual(regression: Regression, Q: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Reconstruction error ||Q - Qhat|| at each position.

    ||Q - Qhat||² = ||Q - Q V Vᵀ||² + (lam / (1 + lam))² ||(Q - mu) V||².

    Args:
        regression: what `fit` returned.
        Q: features of one query image, (h, w, c).

    Returns:
        Errors, (h, w), in units of the features.

    References:
        Fang et al., FastRecon, ICCV 2023; the split into two squares is our derivation.
    """
    V, mean, lam = regression
    coordinates = linalg.matmul(Q, V)
    # The difference is formed before it is squared: ||Q||² - ||Q V||² would cancel.
    outside = Q - linalg.matmul(coordinates, V.T)
    # Within the row space Q - Qhat is the fraction lam / (1 + lam) of Q - mu; the two parts are orthogonal.
    inside = (lam / (1 + lam)) * (coordinates - mean)
    return linalg.safe_sqrt((outside**2).sum(-1) + (inside**2).sum(-1))
