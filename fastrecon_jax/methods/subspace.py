"""SubspaceAD: the part of a feature that the principal components of the support do not explain."""

import dataclasses
import functools
from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.command_line.fields import require_number, setting
from fastrecon_jax.core import features as stage_features
from fastrecon_jax.core import pca, scoring
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import Method, note, register


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of SubspaceAD.

    Raises:
        InputError: a value is out of its range.
    """

    explained_variance: float = setting(
        0.99, "share of the variance that the kept directions explain, above 0 and at most 1"
    )
    pooling: bool = setting(True, stage_features.POOLING_HELP)

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "explained_variance", above=0, at_most=1)


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
    the support images and of augmented copies. Here it gets the features that FastRecon works on, locally pooled stages
    of the encoder, and the support is not augmented, so that only the methods differ in a comparison. As in the
    authors' code, it keeps the fewest directions whose share of the variance reaches `explained_variance`. Scores can
    be differentiated once in the support, through its mean as well as its directions, see `core.pca.fit`.

    Args:
        features: features of the k support images, (k, h, w, c), for instance from `core.features.combine`.
        key: unused; nothing is random.
        explained_variance: share of the variance that the kept directions explain at least, in (0, 1].

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the share is not in (0, 1].

    References:
        SubspaceAD: Training-free few-shot anomaly detection via subspace modeling, CVPR 2026; Ahuja et al.,
        Probabilistic modeling of deep features for out-of-distribution and adversarial detection (DFM), 2019
        (arXiv 1909.11786), for the feature reconstruction error, there of one pooled vector for each image.
    """
    del key
    # All positions of all images are one sample of features: the subspace does not depend on the position.
    return State(pca.fit(features.reshape(-1, features.shape[-1]), explained_variance))


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query image: s = ||(x - mean) - V Vᵀ (x - mean)||².

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).

    Returns:
        Patch scores, (h, w), in squared units of the features.
    """
    return pca.squared_residual(state.subspace, features)


image_score = scoring.mean_of_largest  # the authors' code takes it over the pixels of the map


@register("subspace", settings=Settings, source="SubspaceAD, CVPR 2026")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Residual of the principal components of all support features."""
    del map_size
    return Method(
        name="subspace",
        settings=settings,
        embed=stage_features.combine if settings.pooling else stage_features.align,
        fit=functools.partial(fit, explained_variance=settings.explained_variance),
        score=score,
        image_score=image_score,
        note=note(f"variance {settings.explained_variance:g}", "" if settings.pooling else "not pooled"),
    )
