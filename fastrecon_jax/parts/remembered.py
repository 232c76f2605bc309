"""What parts have worked out at an earlier start: their programs, and the shapes of what their files hold."""

import hashlib
from collections.abc import Callable
from typing import Any

import numpy as np
from jaxtyping import Bool

from fastrecon_jax import encoders, methods
from fastrecon_jax.runtime import kept
from fastrecon_jax.runtime.compiler import Program
from fastrecon_jax.runtime.kept_programs import KeptProgram


def program(
    made: Program, recipe: Any, encoder: encoders.Encoder, ignore: Bool[np.ndarray, "H W"] | None
) -> Program | KeptProgram:
    """A program of a recipe, kept where the recipe says all that it depends on beside shapes."""
    known = _facts(recipe, encoder)
    if known is None:
        return made
    left_out = None if ignore is None else (ignore.shape, hashlib.sha256(np.packbits(ignore).tobytes()).hexdigest())
    return KeptProgram(made, (known, left_out))


def shapes(recipe: Any, encoder: encoders.Encoder, count: int, find: Callable[[], Any]) -> Any:
    """What `find` gives of the shapes of a part with so many photographs, without the trace that it takes."""
    known = _facts(recipe, encoder)
    if known is None:
        return find()
    facts = (known, count)
    found = kept.read("shapes", facts)
    if found is None:
        found = find()
        kept.write("shapes", facts, found)
    return found


def _facts(recipe: Any, encoder: encoders.Encoder) -> object:
    """All that decides programs of a recipe; None where code of a plugin does, which may be another one next time."""
    own = methods.registration(recipe.method).build.__module__.startswith(f"{methods.__name__}.")
    if not own or not encoders.is_own(encoder):
        return None
    return recipe.anywhere, encoder.form, encoder.metadata
