"""Which part an image shows: by its name, or by the good image that it is most like."""

import re
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Float, UInt8

from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection.predict_config import AUTO
from fastrecon_jax.parts.engine import Engine, split
from fastrecon_jax.parts.inspector import PartInspector
from fastrecon_jax.runtime import devices

ONLY, GIVEN, NAME, LIKENESS = "only", "given", "name", "likeness"
_COMPARED = (
    *("encoder", "stages", "weights_sha256", "encoder_options", "dtype", "bit_depth"),
    *("resize", "image_size", "crop_size", "shape", "region", "tile"),
)


class Choice(NamedTuple):
    """The part that an image is inspected by.

    Attributes:
        index: number of the part among the models.
        how: `only` where there is one, `given` by --part, by `name`, or by `likeness`.
    """

    index: int
    how: str


class Router(NamedTuple):
    """What images are compared with.

    Attributes:
        names: names of the parts.
        fixed: the choice for all images, if there is nothing to choose.
        engine: its encoder compares images; None if parts cannot be compared.
        supports: good images of each part (k, c), in the encoder's deepest stage; none if parts cannot be compared.
        reason: why they cannot.
        mesh: devices over which batches are split, see `PartInspector`.
    """

    names: tuple[str, ...]
    fixed: Choice | None
    engine: Engine | None
    supports: tuple[Float[np.ndarray, "_ _"], ...]
    reason: str
    mesh: Mesh | None = None


def create(inspectors: Sequence[PartInspector], part: str = AUTO) -> Router:
    """Make ready to choose among parts, at least one; `part` names one for all images, or is `auto`.

    InputError if there is no part of that name.
    """
    names = tuple(inspector.part.name for inspector in inspectors)
    if part != AUTO:
        given = [i for i, name in enumerate(names) if name.casefold() == part.casefold()]
        if not given:
            raise InputError(f"--part={part} is not among the models: allowed are {', '.join(names)}, or {AUTO}")
        return Router(names, Choice(given[0], GIVEN), None, (), "")
    if len(names) == 1:
        return Router(names, Choice(0, ONLY), None, (), "")
    reason = _why_not(inspectors)
    if reason:
        return Router(names, None, None, (), reason)
    supports = tuple(pooled(inspector.part.stages[-1]) for inspector in inspectors)
    return Router(names, None, inspectors[0].engine, supports, "", inspectors[0].mesh)


def _why_not(inspectors: Sequence[PartInspector]) -> str:
    first = inspectors[0].part
    for other in (inspector.part for inspector in inspectors[1:]):
        for field in _COMPARED:
            values = [getattr(part.recipe, field) for part in (first, other)]
            if values[0] != values[1]:
                shown = [str(value)[:40] for value in values]
                return f"{first.name} and {other.name} differ in {field} ({shown[0]}, {shown[1]})"
    without = [inspector.part.name for inspector in inspectors if not inspector.part.stages]
    return f"{', '.join(without)} was fitted with --extendable=false" if without else ""


def comparable(inspectors: Sequence[PartInspector]) -> bool:
    """Whether parts have the same encoder and see images of the same size, so that likeness can decide between them."""
    recipes = [inspector.part.recipe for inspector in inspectors]
    return len({tuple(getattr(recipe, field) for field in _COMPARED) for recipe in recipes}) == 1


def by_name(router: Router, path: Place) -> Choice | None:
    """The choice that needs no look at the image: the part whose name is in its path as a whole word, in any case.

    Of several the longest wins. None if there is no such part, or if several have names of the same length.
    """
    if router.fixed:
        return router.fixed
    named = [i for i, name in enumerate(router.names) if _is_in(name, str(path))]
    longest = max((len(router.names[i]) for i in named), default=0)
    named = [i for i in named if len(router.names[i]) == longest]
    return Choice(named[0], NAME) if len(named) == 1 else None


def _is_in(name: str, path: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", path, re.IGNORECASE) is not None


def refusal(router: Router, path: Place) -> InputError:
    """The error for an image without a part's name in its path, where parts cannot be compared."""
    return InputError(
        f"the part that {path} shows cannot be told: no name of {', '.join(router.names)} is in its path, and parts "
        f"cannot be chosen by likeness, since {router.reason}; pass --part=NAME, or put the part's name into the path"
    )


def by_likeness(router: Router, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8) -> list[Choice]:
    """For each image the part with the good image that is nearest in the encoder's deepest stage, averaged over it."""
    encode = split(router.engine.encode, router.mesh, 1)
    deepest = devices.in_batches(
        lambda batch: encode(router.engine.encoder, batch)[-1], pixels, over=router.mesh, batch_size=batch_size
    )
    choices = []
    for image in pooled(deepest):
        nearest = [np.linalg.norm(support - image, axis=1).min() for support in router.supports]
        choices.append(Choice(int(np.argmin(nearest)), LIKENESS))
    return choices


def pooled(stage: Float[np.ndarray, "n _ _ c"]) -> Float[np.ndarray, "n c"]:
    """The mean of a stage over the image."""
    return stage.mean((1, 2))
