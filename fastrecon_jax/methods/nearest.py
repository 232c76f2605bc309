"""AnomalyDINO: cosine distance to the nearest support feature."""

from typing import NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.core import features as stage_features
from fastrecon_jax.core import linalg, neighbours, scoring
from fastrecon_jax.methods.registry import Method, NoSettings, register


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        bank: all support features at unit length, (k h w, c).
    """

    bank: Float[Array, "n c"]


def fit(features: Float[Array, "k h w c"], key: PRNGKeyArray | None = None) -> State:
    """Keep all support features at unit length.

    AnomalyDINO works on patch tokens of DINOv2 and, for some categories, rotates the support and masks the background.
    Here it gets the features that FastRecon works on, locally pooled stages of the encoder, without rotations and
    masks, so that only the methods differ in a comparison.

    Args:
        features: features of the k support images, (k, h, w, c), for instance from `core.features.combine`.
        key: unused; nothing is random.

    Returns:
        The state that `score` takes.

    References:
        Damm et al., AnomalyDINO: Boosting patch-based few-shot anomaly detection with DINOv2, WACV 2025, and the
        authors' code.
    """
    del key
    return State(linalg.unit_rows(features.reshape(-1, features.shape[-1])))


def score(state: State, features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Patch scores of one query image: s = min_y 1 - cos(x, y) = min_y ||x / ||x|| - y / ||y||||² / 2.

    The second form is computed, because the first loses the digits of small distances. Features of length 0 stay as
    they are, at a distance of 1/2 from all features of length 1, as in the authors' code.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).

    Returns:
        Patch scores, (h, w), from 0 to 2, without unit.
    """
    h, w, c = features.shape
    # ||x - y||² = 2 - 2 cos(x, y) for unit vectors.
    return neighbours.nearest(linalg.unit_rows(features.reshape(h * w, c)), state.bank).squared.reshape(h, w) / 2


image_score = scoring.mean_of_largest  # as in the authors' code


@register("nearest", source="Damm et al., AnomalyDINO, WACV 2025")
def method(settings: NoSettings, *, map_size: int) -> Method:
    """Cosine distance to the nearest support feature."""
    del map_size
    return Method(
        name="nearest",
        settings=settings,
        embed=stage_features.combine,
        fit=fit,
        score=score,
        image_score=image_score,
        rows=lambda pool: pool,
    )
