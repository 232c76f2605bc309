"""FastRecon: reconstruct the query from a coreset of the support, held to the support's mean."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.command_line.fields import MOST_DIMENSIONS, MOST_ROWS, require, require_number, setting
from fastrecon_jax.core import coreset, linalg, regression
from fastrecon_jax.core import features as stage_features
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods import tuning
from fastrecon_jax.methods.registry import Method, note, pooled, register

LAM = 2.0  # published weight of the distribution term
RATIO = 0.01  # published share of the support features in the coreset
AUTO = "auto"  # value of a setting that is chosen from the support images


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of FastRecon, by default the published ones.

    Raises:
        InputError: a value is out of its range.
    """

    lam: float | str = setting(
        LAM, "weight of the distribution term, at least 0; auto: chosen from the support images alone"
    )
    coreset_ratio: float | str = setting(
        RATIO,
        "share of the support features to keep, above 0 and at most 1; auto: chosen from the support images alone",
    )
    coreset_rows: int = setting(
        0, "number of support features to keep instead of a share; 0 for the share", instead_of="coreset_ratio"
    )
    coreset_projection: int = setting(0, "dimensions of a random projection in which the coreset is chosen; 0 for none")

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "lam", at_least=0, also=(AUTO,))
        require_number(self, "coreset_ratio", above=0, at_most=1, also=(AUTO,))
        require_number(self, "coreset_rows", at_least=0, at_most=MOST_ROWS)
        require_number(self, "coreset_projection", at_least=0, at_most=MOST_DIMENSIONS)
        alone = not self.coreset_rows or self.coreset_ratio == RATIO
        require(self, "coreset_rows", alone, "it stands instead of --coreset_ratio")


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        coreset: indices of the chosen rows in the pool of k*h*w support features, (m,), in the order of choice; -1 for
            rows beyond `kept`, which are not used.
        regression: factors of the regression on these rows.
    """

    coreset: Int[Array, " m"]
    regression: regression.Regression


def fit(
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray,
    *,
    lam: float | Float[Array, ""] = LAM,
    coreset_ratio: float = RATIO,
    projection: int = 0,
    rows: int = 0,
    kept: Int[Array, ""] | None = None,
) -> State:
    """Choose the coreset of the support features and factor the regression on it.

    Args:
        features: features of the k support images, (k, h, w, c).
        key: random key for the projection; unused without one.
        lam: weight of the distribution term, at least 0; 0 is a plain subspace residual.
        coreset_ratio: share of the k*h*w rows to keep, in (0, 1].
        projection: dimensions of the sparse random projection in which the coreset is chosen; 0 for none.
        rows: number of rows to keep instead of a share; above k*h*w, all are kept; 0 for the share.
        kept: number of leading coreset rows that are used, a scalar that may be traced; all by default.

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
        # The number is not static, so unused rows become zeros instead of being cut off.
        used = jnp.arange(chosen.shape[0]) < kept
        chosen, S = jnp.where(used, chosen, -1), S * used[:, None].astype(S.dtype)  # zero rows span nothing
    mu = features.mean(axis=0)  # (h, w, c): the mean stays positional, the coreset does not
    return State(chosen, regression.fit(S, mu, jnp.asarray(lam, features.dtype)))


def size(count: int, coreset_ratio: float, rows: int = 0) -> int:
    """How many rows of the pool are kept.

    Args:
        count: number of rows in the pool, at least 1.
        coreset_ratio: share of the rows to keep, in (0, 1].
        rows: number of rows to keep instead of a share; above `count`, all are kept; 0 for the share.

    Returns:
        The number of rows to keep, from 1 to `count`.

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
    """Patch scores of one query image: the length of the part of its features that the support does not explain.

    Args:
        state: what `fit` returned.
        features: features of one query image, (h, w, c).

    Returns:
        Patch scores, (h, w), in units of the features.
    """
    return regression.residual(state.regression, features)


@register("fastrecon", settings=Settings, source="Fang et al., FastRecon, ICCV 2023")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Residual of the regression on a coreset, held to the support's mean: the published method."""
    del map_size
    lam, ratio, rows, projection = dataclasses.astuple(settings)
    published = functools.partial(fit, projection=projection)
    auto = AUTO in (lam, ratio)
    return Method(
        name="fastrecon",
        settings=settings,
        embed=stage_features.combine,
        fit=functools.partial(_fit_auto, settings)
        if auto
        else functools.partial(published, lam=lam, coreset_ratio=ratio, rows=rows),
        score=score,
        rows=functools.partial(_rows, coreset_ratio=ratio, rows=rows) if ratio != AUTO else _unknown_rows,
        note=note(
            f"lam {_text(lam)}",
            f"coreset {rows} rows" if rows else f"coreset {_text(ratio)}",
            f"projection {projection}" if projection else "",
        ),
        order_matters=True,
        copies=("defective",) if auto else (),
        more_copies=auto,
        choose=functools.partial(_choose, settings) if auto else None,
        settle=functools.partial(_settle, settings) if auto else None,
    )


def _rows(pool: int, *, coreset_ratio: float, rows: int, more: int = 0) -> int:
    return size((1 + more) * pool, coreset_ratio, rows)


def _unknown_rows(pool: int, *, more: int = 0) -> None:
    del pool, more  # they are chosen at the fit


def _text(value: float | str) -> str:
    return value if isinstance(value, str) else f"{value:g}"


def _choose(
    settings: Settings, features: Float[Array, "k h w c"], defective: Float[Array, "k n h w c"]
) -> tuning.Choice:
    """Choose the settings that are `auto`, with the others held fixed."""
    k, h, w, _ = features.shape
    lams = tuning.LAMS if isinstance(settings.lam, str) else (settings.lam,)
    if isinstance(settings.coreset_ratio, str):
        return tuning.choose(features, defective, lams=lams)
    given = size(tuning.fold_rows(k, h, w), settings.coreset_ratio, settings.coreset_rows)
    return tuning.choose(features, defective, lams=lams, tried=(given,))


def _fit_auto(
    settings: Settings,
    features: Float[Array, "k h w c"],
    key: PRNGKeyArray,
    copies: Float[Array, "k n h w c"],
    *,
    more: int = 0,
) -> State:
    """Choose the settings from these support images and their defective copies, and fit with them.

    The last `more` copies show good parts: they count as more support images of the fit, but not of the choice.
    """
    k, h, w, c = features.shape
    defective, good = copies[:, : copies.shape[1] - more], copies[:, copies.shape[1] - more :]
    choice = _choose(settings, features, defective)
    chosen = functools.partial(fit, pooled(features, good), key, lam=choice.lam, projection=settings.coreset_projection)
    # The chosen size is a traced number: the coreset has the largest size that is tried, `kept` masks the rest.
    if isinstance(settings.coreset_ratio, str):
        return chosen(rows=tuning.sizes(c, tuning.fold_rows(k, h, w))[-1], kept=choice.rows)
    return chosen(coreset_ratio=settings.coreset_ratio, rows=settings.coreset_rows)


def _settle(settings: Settings, choice: Any) -> Settings:
    """The settings with the chosen numbers in place of `auto`."""
    if settings.lam == AUTO:
        settings = dataclasses.replace(settings, lam=float(choice.lam))
    if settings.coreset_ratio == AUTO:
        settings = dataclasses.replace(settings, coreset_ratio=RATIO, coreset_rows=int(choice.rows))
    return settings
