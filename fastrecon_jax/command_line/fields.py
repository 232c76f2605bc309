"""Fields of settings: a default, a line of help that is also the flag's, and refusals that name the flag."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from fastrecon_jax.errors import InputError


def setting(default: Any, help_text: str | Callable[[], str], **facts: Any) -> Any:
    """A dataclass field with its default and its help.

    The help may be a function, which is called when flags are defined: a plugin may have registered names by then.
    """
    return dataclasses.field(default=default, metadata={"help": help_text} | facts)


def require(settings: Any, name: str, allowed: bool, rule: str) -> None:
    """Raise an InputError that quotes the field's value and the rule, unless the value is allowed."""
    if not allowed:
        value = getattr(settings, name)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        raise InputError(f"--{name}={shown} is not allowed: {rule}")


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
    bounds = f"at least {lowest:g}" if above is None else f"above {lowest:g}"
    bounds += f" and at most {at_most:g}" if math.isfinite(at_most) else ""
    words = "".join(f", or {word}" for word in also if word is not None)
    require(settings, name, inside or any(value == word for word in also), f"it must be a number {bounds}{words}")


def check_list(settings: Any, name: str) -> None:
    """Refuse an empty list, one that names something twice, and `all` beside others."""
    values = getattr(settings, name)
    require(settings, name, bool(values), "it must name at least one")
    require(settings, name, len(set(values)) == len(values), "nothing may be named twice")
    require(settings, name, "all" not in values or len(values) == 1, "all stands alone")
