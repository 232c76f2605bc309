"""Fields of settings: a default, a line of help that is also the flag's, and refusals that name the flag."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from fastrecon_jax.errors import InputError

# Ranges that several commands share.
SIDES = (32, 4096)  # of resized images, in pixels
BATCHES = (1, 4096)  # images
PIXELS = (1, 10**10)  # up to which an image is decoded; 10 gigapixels take 30 gigabytes
MOST_ROWS = 10**9  # of a coreset, and the like
MOST_DIMENSIONS = 2**16  # of a projection; more than any encoder has channels
_SHOWN = 100  # signs of a value in a message


def setting(default: Any, help_text: str | Callable[[], str], **facts: Any) -> Any:
    """A dataclass field with its default and its help.

    The help may be a function, which is called when flags are defined: a plugin may have registered names by then.
    """
    return dataclasses.field(default=default, metadata={"help": help_text} | facts)


def require(settings: Any, name: str, allowed: bool, rule: str) -> None:
    """Raise an InputError that quotes the field's value and the rule, unless the value is allowed."""
    if not allowed:
        value = getattr(settings, name)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
        raise InputError(f"--{name}={shortened(shown)} is not allowed: {rule}")


def shortened(value: str) -> str:
    """The first signs of a value that a message shows."""
    return f"{value[:_SHOWN]}..." if len(value) > _SHOWN else value


def require_between(settings: Any, name: str, bounds: tuple[int, int]) -> None:
    """Refuse a number outside a range, whose ends belong to it."""
    low, high = bounds
    require(settings, name, low <= getattr(settings, name) <= high, f"it must be from {low} to {high}")


def require_once(settings: Any, name: str) -> None:
    """Refuse a list that names something twice."""
    values = getattr(settings, name)
    require(settings, name, len(set(values)) == len(values), "nothing may be named twice")


def require_number(
    settings: Any,
    name: str,
    *,
    above: int | float | None = None,
    at_least: int | float | None = None,
    at_most: int | float = math.inf,
    also: tuple[Any, ...] = (),
) -> None:
    """Refuse a field that is no finite number of a range, nor one of the values that are allowed `also`."""
    value = getattr(settings, name)
    lowest = at_least if above is None else above
    number = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
    inside = number and lowest <= value <= at_most and (above is None or value > above)
    bounds = f"at least {lowest}" if above is None else f"above {lowest}"
    bounds += f" and at most {at_most}" if math.isfinite(at_most) else ""
    words = "".join(f", or {word}" for word in also if word is not None)
    require(settings, name, inside or any(value == word for word in also), f"it must be a number {bounds}{words}")


def check_list(settings: Any, name: str) -> None:
    """Refuse an empty list, one that names something twice, and `all` beside others."""
    values = getattr(settings, name)
    require(settings, name, bool(values), "it must name at least one")
    require_once(settings, name)
    require(settings, name, "all" not in values or len(values) == 1, "all stands alone")
