"""The methods by name, with their settings bound."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from jaxtyping import Array, Float, PRNGKeyArray

from fastrecon_jax.core import coreset, features
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon


class Method(NamedTuple):
    """A method with its settings bound, for one category and one image; map over more with vmap.

    Attributes:
        name: of the method.
        embed: the encoder's stages of one image, (h_i, w_i, c_i) each, the finest first, to the method's features.
        fit: (features (k, h, w, c), key) to the state, a NamedTuple of arrays.
        score: (state, features (h, w, c)) to the patch scores (h, w).
        rows: number of rows of the support pool to the number that the state keeps of them.
    """

    name: str
    embed: Callable[[Sequence[Float[Array, "_ _ _"]]], Float[Array, "h w c"]]
    fit: Callable[[Float[Array, "k h w c"], PRNGKeyArray], Any]
    score: Callable[[Any, Float[Array, "h w c"]], Float[Array, "h w"]]
    rows: Callable[[int], int]


def names() -> tuple[str, ...]:
    """The methods that `create` knows."""
    return tuple(_BUILDERS)


def create(name: str, *, lam: float = 2.0, coreset_ratio: float = 0.01, coreset_projection: int = 0) -> Method:
    """A method with its settings.

    Args:
        name: one of `names()`.
        lam: weight of FastRecon's distribution term, at least 0.
        coreset_ratio: share of the support pool to keep, in (0, 1].
        coreset_projection: dimensions of a random projection before the coreset is chosen; 0 for none.

    Returns:
        The method.

    Raises:
        InputError: unknown name, or a setting out of its range.
    """
    if name not in _BUILDERS:
        raise InputError(f"unknown method {name!r}: allowed are {', '.join(_BUILDERS)}")
    if not 0 <= lam < float("inf"):
        raise InputError(f"lam {lam} is not allowed: it must be a finite number of at least 0")
    if not 0 < coreset_ratio <= 1:
        raise InputError(f"coreset ratio {coreset_ratio} is not allowed: it must be above 0 and at most 1")
    if coreset_projection < 0:
        raise InputError(
            f"coreset projection {coreset_projection} is not allowed: it must be 0 (none) or more dimensions"
        )
    return _BUILDERS[name](lam, coreset_ratio, coreset_projection)


def _fastrecon(lam: float, ratio: float, projection: int) -> Method:
    return Method(
        name="fastrecon",
        embed=features.combine,
        fit=functools.partial(fastrecon.fit, lam=lam, coreset_ratio=ratio, projection=projection),
        score=fastrecon.score,
        rows=functools.partial(coreset.size, ratio=ratio),
    )


_BUILDERS = {"fastrecon": _fastrecon}
