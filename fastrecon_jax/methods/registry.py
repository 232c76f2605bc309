"""The methods by name, with their settings bound."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from fastrecon_jax.core import coreset, features
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon, nearest, padim, patchcore, spade, subspace


class Method(NamedTuple):
    """A method with its settings bound, for one category and one image; map over more with vmap.

    Attributes:
        name: of the method.
        embed: the encoder's stages of one image, (h_i, w_i, c_i) each, the finest first, to the method's features: an
            array (h, w, c), or a tuple of them.
        fit: (features with a leading axis of the k images, key) to the state, a NamedTuple of arrays.
        score: (state, features) to the patch scores (h, w).
        rows: number of rows of the support pool to the number that the state keeps of them; None if it keeps none.
        image_score: (state, features, patch scores) to the method's own image score; None for the largest patch score.
        note: its settings in a few words.
    """

    name: str
    embed: Callable[[Sequence[Float[Array, "_ _ _"]]], PyTree[Float[Array, "_ _ _"]]]
    fit: Callable[[PyTree[Float[Array, "k _ _ _"]], PRNGKeyArray], Any]
    score: Callable[[Any, PyTree[Float[Array, "_ _ _"]]], Float[Array, "h w"]]
    rows: Callable[[int], int | None]
    image_score: Callable[[Any, PyTree[Float[Array, "_ _ _"]], Float[Array, "h w"]], Float[Array, ""]] | None = None
    note: str = ""


class Settings(NamedTuple):
    """Of all methods, see `create`; None or 0 where a method has its own default."""

    lam: float
    coreset_ratio: float | None
    coreset_projection: int | None
    patchcore_approximate: bool
    patchcore_reweighting: int
    padim_channels: int
    explained_variance: float
    neighbours: int
    map_size: int


def names() -> tuple[str, ...]:
    """The methods that `create` knows."""
    return tuple(_BUILDERS)


def create(
    name: str,
    *,
    lam: float = 2.0,
    coreset_ratio: float | None = None,
    coreset_projection: int | None = None,
    patchcore_approximate: bool = True,
    patchcore_reweighting: int = 0,
    padim_channels: int = 0,
    explained_variance: float = 0.99,
    neighbours: int = 0,
    map_size: int = 224,
) -> Method:
    """A method with its settings; those that it does not have are ignored.

    Args:
        name: one of `names()`.
        lam: weight of FastRecon's distribution term, at least 0.
        coreset_ratio: share of the support pool to keep, in (0, 1]; by default the authors', 0.01 for FastRecon and 0.1
            for PatchCore.
        coreset_projection: dimensions of a random projection before the coreset is chosen; 0 for none; by default the
            authors', none for FastRecon and 128 for PatchCore.
        patchcore_approximate: begin PatchCore's coreset with the distances to 10 random rows instead of all.
        patchcore_reweighting: neighbours in the re-weighted image score of PatchCore's paper; 0 for the maximum.
        padim_channels: how many PaDiM draws; 0 for the paper's number by the encoder's width.
        explained_variance: share of the variance that the directions of `subspace` explain, in (0, 1].
        neighbours: nearest rows over which PatchCore averages, or nearest images of SPADE; 0 for their 1 and 50.
        map_size: side in pixels of the anomaly map from which PaDiM reads its image score.

    Returns:
        The method.

    Raises:
        InputError: unknown name, or a setting out of its range.
    """
    settings = Settings(
        lam,
        coreset_ratio,
        coreset_projection,
        patchcore_approximate,
        patchcore_reweighting,
        padim_channels,
        explained_variance,
        neighbours,
        map_size,
    )
    if name not in _BUILDERS:
        raise InputError(f"unknown method {name!r}: allowed are {', '.join(_BUILDERS)}")
    _check(settings)
    return _BUILDERS[name](settings)


def _check(settings: Settings) -> None:
    if not 0 <= settings.lam < float("inf"):
        raise InputError(f"lam {settings.lam} is not allowed: it must be a finite number of at least 0")
    for name in ("coreset_ratio", "explained_variance"):
        share = getattr(settings, name)
        if share is not None and not 0 < share <= 1:
            raise InputError(f"{_words(name)} {share} is not allowed: it must be above 0 and at most 1")
    if settings.coreset_projection is not None and settings.coreset_projection < 0:
        raise InputError(
            f"coreset projection {settings.coreset_projection} is not allowed: it must be 0 (none) or more dimensions"
        )
    for name in ("patchcore_reweighting", "padim_channels", "neighbours"):
        if getattr(settings, name) < 0:
            raise InputError(f"{_words(name)} {getattr(settings, name)} is not allowed: it must be at least 0")
    if settings.map_size < 1:
        raise InputError(f"map size {settings.map_size} is not allowed: it must be at least 1")


def _words(name: str) -> str:
    return name.replace("_", " ")


def _fastrecon(settings: Settings) -> Method:
    ratio = settings.coreset_ratio or 0.01
    return Method(
        name="fastrecon",
        embed=features.combine,
        fit=functools.partial(
            fastrecon.fit, lam=settings.lam, coreset_ratio=ratio, projection=settings.coreset_projection or 0
        ),
        score=fastrecon.score,
        rows=functools.partial(coreset.size, ratio=ratio),
        note=f"lam {settings.lam:g}, coreset {ratio:g}",
    )


def _patchcore(settings: Settings) -> Method:
    ratio = settings.coreset_ratio or 0.1
    projection = 128 if settings.coreset_projection is None else settings.coreset_projection
    return Method(
        name="patchcore",
        embed=patchcore.embed,
        fit=functools.partial(
            patchcore.fit,
            coreset_ratio=ratio,
            projection=projection,
            starting_points=10 if settings.patchcore_approximate else 0,
        ),
        score=functools.partial(patchcore.score, neighbours_count=settings.neighbours or 1),
        rows=functools.partial(coreset.size, ratio=ratio),
        image_score=functools.partial(patchcore.image_score, reweighting=settings.patchcore_reweighting),
        note=f"coreset {ratio:g}",
    )


def _padim(settings: Settings) -> Method:
    return Method(
        name="padim",
        embed=padim.embed,
        fit=functools.partial(padim.fit, channels=settings.padim_channels),
        score=padim.score,
        rows=_no_rows,
        image_score=functools.partial(padim.image_score, map_size=settings.map_size),
    )


def _spade(settings: Settings) -> Method:
    images = settings.neighbours or spade.NEIGHBOURS
    return Method(
        name="spade",
        embed=spade.embed,
        fit=spade.fit,
        score=functools.partial(spade.score, images=images),
        rows=_all_rows,
        image_score=functools.partial(spade.image_score, images=images),
    )


def _subspace(settings: Settings) -> Method:
    return Method(
        name="subspace",
        embed=features.combine,
        fit=functools.partial(subspace.fit, explained_variance=settings.explained_variance),
        score=subspace.score,
        rows=_no_rows,
        image_score=subspace.image_score,
    )


def _nearest(settings: Settings) -> Method:
    del settings
    return Method(
        name="nearest",
        embed=features.combine,
        fit=nearest.fit,
        score=nearest.score,
        rows=_all_rows,
        image_score=nearest.image_score,
    )


def _all_rows(rows: int) -> int:
    return rows


def _no_rows(rows: int) -> None:
    del rows


_BUILDERS = {
    "fastrecon": _fastrecon,
    "patchcore": _patchcore,
    "padim": _padim,
    "spade": _spade,
    "subspace": _subspace,
    "nearest": _nearest,
}
