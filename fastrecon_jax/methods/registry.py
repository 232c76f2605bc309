"""The methods by name, with their settings bound."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from fastrecon_jax.core import coreset, features
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon, fastrecon_plus, nearest, padim, patchcore, spade, subspace, tuning
from fastrecon_jax.methods.settings import AUTO, MethodSettings, check_auto


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
        copies: whether `fit` takes as a third argument the features of defective copies of each support image, with
            leading axes of the k images and their copies, see `data.synthetic`.
        strides: of the encoder's stages that it works on unless others are asked for, in pixels.
    """

    name: str
    embed: Callable[[Sequence[Float[Array, "_ _ _"]]], PyTree[Float[Array, "_ _ _"]]]
    fit: Callable[[PyTree[Float[Array, "k _ _ _"]], PRNGKeyArray], Any]
    score: Callable[[Any, PyTree[Float[Array, "_ _ _"]]], Float[Array, "h w"]]
    rows: Callable[[int], int | None]
    image_score: Callable[[Any, PyTree[Float[Array, "_ _ _"]], Float[Array, "h w"]], Float[Array, ""]] | None = None
    note: str = ""
    copies: bool = False
    strides: tuple[int, ...] = (8, 16)


def names() -> tuple[str, ...]:
    """The methods that `create` knows."""
    return tuple(_BUILDERS)


def create(name: str, settings: MethodSettings | None = None, *, map_size: int = 224) -> Method:
    """A method with its settings bound; those of other methods are ignored.

    Args:
        name: one of `names()`.
        settings: of the methods; all defaults if None.
        map_size: side in pixels of the anomaly map from which PaDiM reads its image score.

    Returns:
        The method.

    Raises:
        InputError: unknown name, or a coreset is to be chosen that the method does not choose.
    """
    if name not in _BUILDERS:
        raise InputError(f"unknown method {name!r}: allowed are {', '.join(_BUILDERS)}")
    settings = settings or MethodSettings()
    check_auto(settings, [name])
    return _BUILDERS[name](settings, map_size)


def _fastrecon(settings: MethodSettings, _map_size: int) -> Method:
    size, projection = tuning.given_size(settings), settings.coreset_projection or 0
    ratio, rows = size["coreset_ratio"], size["rows"]
    chosen = AUTO in (settings.lam, ratio)
    return Method(
        name="fastrecon",
        embed=features.combine,
        fit=functools.partial(tuning.fit, settings=settings)
        if chosen
        else functools.partial(fastrecon.fit, lam=settings.lam, projection=projection, **size),
        score=fastrecon.score,
        rows=_no_rows if ratio == AUTO else functools.partial(fastrecon.size, **size),
        note=_note(
            f"lam {_text(settings.lam)}",
            f"coreset {rows} rows" if rows else f"coreset {_text(ratio)}",
            f"projection {projection}" if projection else "",
        ),
        copies=chosen,
    )


def _fastrecon_plus(settings: MethodSettings, _map_size: int) -> Method:
    length, spectrum, ratio = settings.soft_length, settings.soft_spectrum, settings.coreset_ratio
    return Method(
        name="fastrecon+",
        embed=fastrecon_plus.embed,
        fit=functools.partial(fastrecon_plus.fit, soft_length=length, soft_spectrum=spectrum, coreset_ratio=ratio),
        score=fastrecon_plus.score,
        rows=functools.partial(fastrecon_plus.rows, ratio=ratio),
        note=_note(f"length {length:g}", f"spectrum {spectrum:g}", f"coreset {ratio:g}" if ratio else ""),
        strides=fastrecon_plus.STRIDES,
    )


def _patchcore(settings: MethodSettings, _map_size: int) -> Method:
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
        note=_note(
            f"coreset {ratio:g}",
            "" if settings.patchcore_approximate else "exact",
            "" if projection == 128 else f"projection {projection}",
            f"mean of {settings.neighbours}" if settings.neighbours else "",
            f"re-weighted by {settings.patchcore_reweighting}" if settings.patchcore_reweighting else "",
        ),
    )


def _padim(settings: MethodSettings, map_size: int) -> Method:
    return Method(
        name="padim",
        embed=padim.embed,
        fit=functools.partial(padim.fit, channels=settings.padim_channels),
        score=padim.score,
        rows=_no_rows,
        image_score=functools.partial(padim.image_score, map_size=map_size),
        note=f"{settings.padim_channels} channels" if settings.padim_channels else "",
    )


def _spade(settings: MethodSettings, _map_size: int) -> Method:
    images = settings.neighbours or spade.NEIGHBOURS
    return Method(
        name="spade",
        embed=spade.embed,
        fit=spade.fit,
        score=functools.partial(spade.score, images=images),
        rows=_all_rows,
        image_score=functools.partial(spade.image_score, images=images),
        note=f"{images} images" if settings.neighbours else "",
    )


def _subspace(settings: MethodSettings, _map_size: int) -> Method:
    return Method(
        name="subspace",
        embed=features.combine,
        fit=functools.partial(subspace.fit, explained_variance=settings.explained_variance),
        score=subspace.score,
        rows=_no_rows,
        image_score=subspace.image_score,
        note=f"variance {settings.explained_variance:g}",
    )


def _nearest(_settings: MethodSettings, _map_size: int) -> Method:
    return Method(
        name="nearest",
        embed=features.combine,
        fit=nearest.fit,
        score=nearest.score,
        rows=_all_rows,
        image_score=nearest.image_score,
    )


def _text(setting: float | str) -> str:
    return setting if isinstance(setting, str) else f"{setting:g}"


def _note(*parts: str) -> str:
    """The parts that say something."""
    return ", ".join(part for part in parts if part)


def _all_rows(rows: int) -> int:
    return rows


def _no_rows(rows: int) -> None:
    del rows


_BUILDERS = {
    "fastrecon": _fastrecon,
    "fastrecon+": _fastrecon_plus,
    "patchcore": _patchcore,
    "padim": _padim,
    "spade": _spade,
    "subspace": _subspace,
    "nearest": _nearest,
}
