"""FastRecon+: distance to the nearest good feature in a soft metric, stage by stage; the stages are multiplied."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.command_line.fields import require_number, setting
from fastrecon_jax.core import coreset, linalg, neighbours, whitening
from fastrecon_jax.core.features import local_pool, resize_nearest, shrink
from fastrecon_jax.methods.registry import Method, note, register

STRIDES = (4, 8, 16)  # strides of the encoder stages used by default, in pixels
ROWS = 8192  # largest bank of a stage by default, about the features of ten images at 28x28; larger ones are thinned
COORDINATES = 128  # where features have more channels, the nearest row is chosen in this many coordinates
_FLOOR = 1e-12  # smallest squared distance: a logarithm is taken of it

_MOST = 1000.0  # largest value of a soft setting, far beyond the range in which it has an effect

Levels = tuple[Float[Array, "_ _ _"], ...]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of FastRecon+.

    Raises:
        InputError: a value is out of its range.
    """

    soft_length: float = setting(
        0.7,
        "length, in root mean squares of the support, below which the length of a feature counts, from 0 (directions "
        "alone, cosine distance) to 1000 (features as they are)",
    )
    soft_spectrum: float = setting(
        1.0,
        "variance, in means over all directions, above which a direction counts less, above 0; 1000 counts all alike",
    )
    coreset_ratio: float | None = setting(
        None, "share of the support features to keep of each stage, above 0 and at most 1; by default all up to 8192"
    )

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "soft_length", at_least=0, at_most=_MOST)
        require_number(self, "soft_spectrum", above=0, at_most=_MOST)
        require_number(self, "coreset_ratio", above=0, at_most=1, also=(None,))


class Level(NamedTuple):
    """What is kept for one stage.

    Attributes:
        metric: soft metric of the stage's features.
        bank: support features in the coordinates of the metric, (m, c).
        short: the bank in fewer coordinates, for a faster search; None where there are at most `COORDINATES` channels.
    """

    metric: whitening.Whitening
    bank: Float[Array, "m c"]
    short: neighbours.Short | None


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        levels: one entry for each stage, the finest first.
    """

    levels: tuple[Level, ...]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Levels:
    """Each stage pooled locally and left at its own resolution, but no finer than the second of three or more.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type; strides 4, 8 and 16
            by default.

    Returns:
        Pooled stages, (h_i, w_i, c_i) each, float32; patch scores have the positions of the first.
    """
    # The finest of three stages is reduced to the second's resolution: four times fewer features to search.
    height, width, _ = stages[1 if len(stages) > 2 else 0].shape
    pooled = (local_pool(stage.astype(jnp.float32)) for stage in stages)
    return tuple(
        shrink(stage, height, width) if stage.shape[0] > height or stage.shape[1] > width else stage for stage in pooled
    )


def fit(
    features: tuple[Float[Array, "k _ _ _"], ...],
    key: PRNGKeyArray | None = None,
    *,
    soft_length: float = 0.7,
    soft_spectrum: float = 1.0,
    coreset_ratio: float | None = None,
) -> State:
    """Measure how good features vary, stage by stage, and keep them.

    Args:
        features: features of the k support images as `embed` returns them, stacked, (k, h_i, w_i, c_i) each.
        key: unused; nothing is random.
        soft_length: length below which a feature's own length counts, as a multiple of the root mean square of the
            support's lengths, at least 0: 0 compares directions alone (cosine), a large value features as they are.
        soft_spectrum: variance above which a direction counts less, as a multiple of the mean over all directions,
            above 0: a large value counts all directions alike (Euclidean distance).
        coreset_ratio: share of each stage's features to keep, in (0, 1], by greedy k-center in the metric; by default
            all of them, up to `ROWS`.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the ratio is not in (0, 1].

    References:
        Ours. It generalises Fang et al., FastRecon, ICCV 2023, and the nearest-neighbour methods, see
        docs/explanation/fastrecon-plus.md.
    """
    del key
    levels: list[Level] = []
    for stage in features:
        # Each stage factors a covariance. Two factorisations side by side may deadlock on a CPU, see `linalg.after`.
        stage = linalg.after(stage, levels[-1].bank) if levels else stage
        levels.append(_level(stage, soft_length, soft_spectrum, coreset_ratio))
    return State(tuple(levels))


def _level(stage: Float[Array, "k h w c"], soft_length: float, soft_spectrum: float, ratio: float | None) -> Level:
    pool = stage.reshape(-1, stage.shape[-1])  # (k h w, c)
    metric = whitening.fit(pool, soft_length=soft_length, soft_spectrum=soft_spectrum)
    # The bank is stored in the metric's coordinates, where distances are Euclidean.
    bank = whitening.apply(metric, pool)
    m = rows(bank.shape[0], ratio)
    if m < bank.shape[0]:
        bank = bank[coreset.greedy_k_center(bank, m)]
    short = neighbours.shorten(bank, COORDINATES) if bank.shape[1] > COORDINATES else None
    return Level(metric, bank, short)


def rows(count: int, ratio: float | None = None) -> int:
    """How many support features of a stage are kept.

    Args:
        count: number of features in the pool, at least 1.
        ratio: share of them to keep, in (0, 1]; None for all, up to `ROWS`.

    Returns:
        The number of features to keep, from 1 to `count`.

    Raises:
        ValueError: the ratio is not in (0, 1], or there are no rows.
    """
    return min(count, ROWS) if ratio is None else coreset.size(count, ratio)


def score(state: State, features: Levels) -> Float[Array, "h w"]:
    """Patch scores of one query image: geometric mean over the stages of the distance to the nearest support feature.

    With f_j the features of stage j in the coordinates of its metric, s = (Π_j min_m ||f_j - m||)^(1/n). The scale of a
    stage's features or metric multiplies all scores alike, so that the stages need no weights.

    Args:
        state: what `fit` returned.
        features: features of one query image as `embed` returns them, (h_i, w_i, c_i) each.

    Returns:
        Patch scores at the positions of the first stage, (h, w), without unit.
    """
    height, width, _ = features[0].shape
    # The geometric mean is the exponential of the mean logarithm.
    logarithms = [
        _log_distances(level, stage, height, width) for level, stage in zip(state.levels, features, strict=True)
    ]
    return jnp.exp(sum(logarithms) / len(logarithms))


def _log_distances(level: Level, stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W"]:
    """The logarithm of min_m ||f - m|| at the positions of the finest stage."""
    h, w, c = stage.shape
    nearest = neighbours.nearest(whitening.apply(level.metric, stage.reshape(h * w, c)), level.bank, short=level.short)
    # log d = log(d²) / 2, without the root, whose derivative at 0 is infinite.
    logarithms = jnp.log(jnp.maximum(nearest.squared[:, 0], _FLOOR)) / 2
    return resize_nearest(logarithms.reshape(h, w, 1), height, width)[..., 0]


@register("fastrecon+", settings=Settings, source="this project; generalises Fang et al., FastRecon, ICCV 2023")
def method(settings: Settings, *, map_size: int) -> Method:
    """Nearest good feature in a soft metric, stage by stage, the stages multiplied; the default of `fit`."""
    del map_size
    length, spectrum, ratio = settings.soft_length, settings.soft_spectrum, settings.coreset_ratio
    return Method(
        name="fastrecon+",
        settings=settings,
        embed=embed,
        fit=functools.partial(fit, soft_length=length, soft_spectrum=spectrum, coreset_ratio=ratio),
        score=score,
        rows=functools.partial(rows, ratio=ratio),
        note=note(f"length {length:g}", f"spectrum {spectrum:g}", f"coreset {ratio:g}" if ratio else ""),
        strides=STRIDES,
        order_matters=ratio is not None,
    )
