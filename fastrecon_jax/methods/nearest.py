"""AnomalyDINO: cosine distance to the nearest support feature."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.command_line.fields import require_number, setting
from fastrecon_jax.core import coreset, linalg, neighbours, scoring
from fastrecon_jax.core import features as stage_features
from fastrecon_jax.core import foreground as masks
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import Method, note, register

_MOST = 1e6  # largest threshold of the foreground


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of AnomalyDINO.

    Raises:
        InputError: a value is out of its range.
    """

    coreset_ratio: float = setting(1.0, "share of the support features to keep, above 0 and at most 1; 1 keeps all")
    pooling: bool = setting(True, stage_features.POOLING_HELP)
    foreground: float | None = setting(
        None,
        "first principal component of an image's features above which a position shows the part and not the "
        "background, which is left out: at least 0; 0 divides at the mean, AnomalyDINO has 10 for DINOv2",
    )

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "coreset_ratio", above=0, at_most=1)
        require_number(self, "foreground", at_least=0, at_most=_MOST, also=(None,))


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        bank: the kept support features at unit length, (m, c): all k h w, or a coreset in the order of choice.
    """

    bank: Float[Array, "m c"]


def fit(
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray | None = None,
    *,
    coreset_ratio: float = 1.0,
    foreground: float | None = None,
) -> State:
    """Keep the support features at unit length, all of them or a greedy k-center coreset.

    AnomalyDINO works on patch tokens of DINOv2 and, for some categories, rotates the support and masks the background.
    Here it gets the features that FastRecon works on, locally pooled stages of the encoder, without rotations and
    masks, so that only the methods differ in a comparison, unless the settings say otherwise.

    The authors keep all features, as here by default. A smaller ratio is ours: the coreset is chosen among the features
    at unit length, so that it covers their directions.

    Args:
        features: features of the k support images, (k, h, w, c), for instance from `core.features.combine`.
        key: unused; nothing is random.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1].
        foreground: threshold of `core.foreground.mask`, at least 0: features of the background are left out; None to
            take all. Their number depends on the images, so that rows of the foreground stand in for them.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the ratio is not in (0, 1].

    References:
        Damm et al., AnomalyDINO: Boosting patch-based few-shot anomaly detection with DINOv2, WACV 2025, and the
        authors' code.
    """
    del key
    bank = linalg.unit_rows(features.reshape(-1, features.shape[-1]))  # (k h w, c)
    if foreground is not None:
        part = jax.vmap(lambda image: masks.mask(image, foreground))(features).reshape(-1, 1)
        # The same row again changes no distance, and a coreset takes it last.
        bank = jnp.where(part, bank, bank[jnp.argmax(part)][None])
    m = coreset.size(bank.shape[0], coreset_ratio)
    # All rows in their own order: nothing to choose.
    return State(bank if m == bank.shape[0] else bank[coreset.greedy_k_center(bank, m)])


def score(state: State, features: Float[Array, "h w c"], *, foreground: float | None = None) -> Float[Array, "h w"]:
    """Patch scores of one query image: s = min_y 1 - cos(x, y) = min_y ||x / ||x|| - y / ||y||||² / 2.

    The second form is computed, because the first loses the digits of small distances. Features of length 0 stay as
    they are, at a distance of 1/2 from all features of length 1, as in the authors' code.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).
        foreground: threshold of `core.foreground.mask`, at least 0: positions of the background score 0; None to score
            all.

    Returns:
        Patch scores, (h, w), from 0 to 2, without unit.
    """
    h, w, c = features.shape
    # ||x - y||² = 2 - 2 cos(x, y) for unit vectors.
    scores = neighbours.nearest(linalg.unit_rows(features.reshape(h * w, c)), state.bank).squared.reshape(h, w) / 2
    return scores if foreground is None else scores * masks.mask(features, foreground).astype(scores.dtype)


image_score = scoring.mean_of_largest  # as in the authors' code


@register("nearest", settings=Settings, source="Damm et al., AnomalyDINO, WACV 2025")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Cosine distance to the nearest support feature."""
    del map_size
    ratio, foreground = settings.coreset_ratio, settings.foreground
    return Method(
        name="nearest",
        settings=settings,
        embed=stage_features.combine if settings.pooling else stage_features.align,
        fit=functools.partial(fit, coreset_ratio=ratio, foreground=foreground),
        score=functools.partial(score, foreground=foreground),
        image_score=image_score,
        rows=functools.partial(coreset.size, ratio=ratio),
        note=note(
            f"coreset {ratio:g}" if ratio < 1 else "",
            "" if settings.pooling else "not pooled",
            "" if foreground is None else f"foreground above {foreground:g}",
        ),
        order_matters=ratio < 1,
    )
