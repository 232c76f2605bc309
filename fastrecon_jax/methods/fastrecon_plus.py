"""FastRecon+: the nearest good feature in a soft metric, stage by stage, the stages multiplied."""

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

STRIDES = (4, 8, 16)  # of the stages that it works on by default
ROWS = 8192  # of a stage's bank by default, the features of ten images at 28x28: more are thinned out
COORDINATES = 128  # in which the nearest row is looked for where features have more
_FLOOR = 1e-12  # of squared distances, whose logarithms are averaged

_MOST = 1000.0  # of a soft setting: far beyond where it stops to matter

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
    """What is kept of one stage.

    Attributes:
        metric: of its features.
        bank: support features in the coordinates of the metric, (m, c).
        short: of the bank; None where features are short themselves.
    """

    metric: whitening.Whitening
    bank: Float[Array, "m c"]
    short: neighbours.Short | None


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        levels: one a stage, the finest first.
    """

    levels: tuple[Level, ...]


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Levels:
    """Each stage pooled locally and left at its own resolution, but no finer than the second of three or more.

    Args:
        stages: the finest first, (h_i, w_i, c_i) each, of any floating type; by default of strides 4, 8 and 16.

    Returns:
        (h_i, w_i, c_i) each, float32; the first has the positions of the patch scores.
    """
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
        features: of the k support images, (k, h_i, w_i, c_i) each, from `embed`.
        key: unused; nothing is random.
        soft_length: length, in root mean squares of the support, below which the length of a feature counts, at
            least 0: 0 compares directions alone (cosine), a large one the features as they are.
        soft_spectrum: variance, in means over all directions, above which a direction counts less, above 0: a large one
            counts all directions alike (Euclidean distance).
        coreset_ratio: share of the features to keep of each stage, in (0, 1], by greedy k-center in the metric; by
            default all, up to `ROWS`.

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
        stage = linalg.after(stage, levels[-1].bank) if levels else stage
        levels.append(_level(stage, soft_length, soft_spectrum, coreset_ratio))
    return State(tuple(levels))


def _level(stage: Float[Array, "k h w c"], soft_length: float, soft_spectrum: float, ratio: float | None) -> Level:
    pool = stage.reshape(-1, stage.shape[-1])  # (k h w, c)
    metric = whitening.fit(pool, soft_length=soft_length, soft_spectrum=soft_spectrum)
    bank = whitening.apply(metric, pool)
    m = rows(bank.shape[0], ratio)
    if m < bank.shape[0]:
        bank = bank[coreset.greedy_k_center(bank, m)]
    short = neighbours.shorten(bank, COORDINATES) if bank.shape[1] > COORDINATES else None
    return Level(metric, bank, short)


def rows(count: int, ratio: float | None = None) -> int:
    """How many rows of a stage are kept.

    Args:
        count: of the pool, at least 1.
        ratio: share to keep, in (0, 1]; None for all up to `ROWS`.

    Returns:
        From 1 to `count`.

    Raises:
        ValueError: the ratio is not in (0, 1], or there are no rows.
    """
    return min(count, ROWS) if ratio is None else coreset.size(count, ratio)


def score(state: State, features: Levels) -> Float[Array, "h w"]:
    """Patch scores of one query: the geometric mean over the stages of the distance to the nearest support feature.

    With f_j the features of stage j in the coordinates of its metric, s = (Π_j min_m ||f_j - m||)^(1/n). The scale of a
    stage, of its features or of its metric, multiplies all scores alike: no weights are needed, and no calibration.

    Args:
        state: from `fit`.
        features: of one query, from `embed`.

    Returns:
        (h, w) of the first stage, without unit.
    """
    height, width, _ = features[0].shape
    logarithms = [
        _log_distances(level, stage, height, width) for level, stage in zip(state.levels, features, strict=True)
    ]
    return jnp.exp(sum(logarithms) / len(logarithms))


def _log_distances(level: Level, stage: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "H W"]:
    """The logarithm of min_m ||f - m|| at the positions of the finest stage."""
    h, w, c = stage.shape
    found = neighbours.nearest(whitening.apply(level.metric, stage.reshape(h * w, c)), level.bank, short=level.short)
    logarithms = jnp.log(jnp.maximum(found.squared[:, 0], _FLOOR)) / 2
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
