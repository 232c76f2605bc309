"""SubspaceAD: what the principal components of the support's features do not explain."""

from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.core import pca, scoring


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        subspace: mean and complement of the kept principal directions.
    """

    subspace: pca.Subspace


def fit(
    features: Float[Array, "k h w c"], key: PRNGKeyArray | None = None, *, explained_variance: float = 0.99
) -> State:
    """Principal component analysis of all support features.

    SubspaceAD works on patch tokens of DINOv2, averaged over several layers (seven by default in the authors' code), of
    the support images and augmented copies of them. Here the features are those that FastRecon works on, locally pooled
    stages of the encoder, and the support is not augmented, so that the methods alone are compared. The number of
    directions is chosen as in the authors' code: the first at which the cumulated share of the variance reaches the one
    asked for. Scores can be differentiated once in the support, its mean and directions alike, see `core.pca.fit`.

    Args:
        features: of the k support images, (k, h, w, c), for instance from `core.features.combine`.
        key: unused; nothing is random.
        explained_variance: share of the variance that the kept directions explain, in (0, 1].

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the share is not in (0, 1].

    References:
        SubspaceAD: Training-free few-shot anomaly detection via subspace modeling, CVPR 2026; Ahuja et al.,
        Probabilistic modeling of deep features for out-of-distribution and adversarial detection (DFM), 2019
        (arXiv 1909.11786), the feature reconstruction error, there on one pooled vector an image.
    """
    del key
    return State(pca.fit(features.reshape(-1, features.shape[-1]), explained_variance))


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query: s = ||(x - mean) - V Vᵀ (x - mean)||².

    Args:
        state: from `fit`.
        features: of one query, (h, w, c).

    Returns:
        (h, w), in squared units of the features.
    """
    return pca.squared_residual(state.subspace, features)


image_score = scoring.mean_of_largest  # the authors' code takes it over the pixels of the map
