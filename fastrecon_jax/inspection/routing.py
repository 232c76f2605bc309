"""Which part an image shows: by its name, or by the good image that it is most like."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.config import AUTO
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.inspector import PartInspector

ONLY, GIVEN, NAME, LIKENESS = "only", "given", "name", "likeness"
_COMPARED = ("encoder", "stages", "weights_sha256", "dtype", "image_size", "crop_size")


class Choice(NamedTuple):
    """The part that an image is inspected by.

    Attributes:
        index: of the part.
        how: `only` where there is one, `given` by --part, by `name`, or by `likeness`.
    """

    index: int
    how: str


class Router(NamedTuple):
    """What images are compared with.

    Attributes:
        names: of the parts.
        fixed: the choice for all images, if there is nothing to choose.
        engine: whose encoder compares images; None if parts cannot be compared.
        supports: good images of each part (k, c), in the encoder's deepest stage; none if parts cannot be compared.
        reason: why they cannot.
    """

    names: tuple[str, ...]
    fixed: Choice | None
    engine: Engine | None
    supports: tuple[Float[np.ndarray, "_ _"], ...]
    reason: str


def create(inspectors: Sequence[PartInspector], part: str = AUTO) -> Router:
    """Make ready to choose among parts.

    Args:
        inspectors: of the parts, at least one.
        part: name of the part for all images, or `auto`.

    Returns:
        The router.

    Raises:
        InputError: there is no part of that name.
    """
    names = tuple(one.part.name for one in inspectors)
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
    return Router(names, None, inspectors[0].engine, tuple(pooled(one.part.stages[-1]) for one in inspectors), "")


def _why_not(inspectors: Sequence[PartInspector]) -> str:
    first = inspectors[0].part
    for other in (one.part for one in inspectors[1:]):
        for field in _COMPARED:
            values = [getattr(part.recipe, field) for part in (first, other)]
            if values[0] != values[1]:
                shown = [str(value)[:40] for value in values]
                return f"{first.name} and {other.name} differ in {field} ({shown[0]}, {shown[1]})"
    without = [one.part.name for one in inspectors if not one.part.stages]
    return f"{', '.join(without)} was fitted with --extendable=false" if without else ""


def comparable(inspectors: Sequence[PartInspector]) -> bool:
    """Whether parts have the same encoder and see images of the same size.

    Args:
        inspectors: of the parts.

    Returns:
        True if likeness can decide between them, provided that their files hold good images.
    """
    return len({tuple(getattr(one.part.recipe, field) for field in _COMPARED) for one in inspectors}) == 1


def by_name(router: Router, path: Path) -> Choice | None:
    """The choice that needs no look at the image.

    Args:
        router: of the parts.
        path: of the image. Part names count as whole words, in upper or lower case; the longest wins.

    Returns:
        The choice; None if no part's name is in the path, or only equally long ones of several parts.
    """
    if router.fixed:
        return router.fixed
    found = [i for i, name in enumerate(router.names) if _is_in(name, str(path))]
    longest = max((len(router.names[i]) for i in found), default=0)
    found = [i for i in found if len(router.names[i]) == longest]
    return Choice(found[0], NAME) if len(found) == 1 else None


def _is_in(name: str, path: str) -> bool:
    return re.search(rf"(?<![^\W_]){re.escape(name)}(?![^\W_])", path, re.IGNORECASE) is not None


def refusal(router: Router, path: Path) -> InputError:
    """Why an image without a part's name in its path has no part.

    Args:
        router: of parts that cannot be compared.
        path: of the image.

    Returns:
        The error.
    """
    return InputError(
        f"the part that {path} shows cannot be told: no name of {', '.join(router.names)} is in its path, and parts "
        f"cannot be chosen by likeness, since {router.reason}; pass --part=NAME, or put the part's name into the path"
    )


def by_likeness(router: Router, pixels: UInt8[np.ndarray, "n H W 3"], *, batch_size: int = 8) -> list[Choice]:
    """The part with the good image that is nearest, in the encoder's deepest stage, averaged over the image.

    Args:
        router: of parts that can be compared.
        pixels: preprocessed photographs, RGB, (n, crop_size, crop_size, 3).
        batch_size: photographs at a time; the last ones are padded.

    Returns:
        A choice for each.
    """
    choices = []
    for start in range(0, len(pixels), batch_size):
        batch = pixels[start : start + batch_size]
        padded = np.pad(batch, ((0, batch_size - len(batch)), (0, 0), (0, 0), (0, 0)), mode="edge")
        deepest = router.engine.encode(router.engine.encoder, jnp.asarray(padded))[-1]
        for one in pooled(np.asarray(deepest))[: len(batch)]:
            nearest = [np.linalg.norm(support - one, axis=1).min() for support in router.supports]
            choices.append(Choice(int(np.argmin(nearest)), LIKENESS))
    return choices


def pooled(stage: Float[np.ndarray, "n _ _ c"]) -> Float[np.ndarray, "n c"]:
    """The mean of a stage over the image.

    Args:
        stage: (n, h, w, c).

    Returns:
        (n, c).
    """
    return stage.mean((1, 2))
