"""Fields of settings: a default, a comment that is also the flag's help, and refusals that name the flag."""

import dataclasses
from typing import Any

from fastrecon_jax.errors import InputError


def setting(default: Any, comment: str, **facts: Any) -> Any:
    """A field with its default and its comment, which is also the flag's help.

    Args:
        default: of the field; its type is the flag's, a tuple's first element tells the type of the list.
        comment: what the field means, with unit and range.
        facts: more about the field, kept in its metadata.

    Returns:
        The dataclass field.
    """
    return dataclasses.field(default=default, metadata={"help": comment} | facts)


def require(settings: Any, name: str, allowed: bool, rule: str) -> None:
    """Refuse a value that is out of its range.

    Args:
        settings: the dataclass that holds it.
        name: of the field.
        allowed: whether its value is.
        rule: what is allowed.

    Raises:
        InputError: it is not.
    """
    if not allowed:
        value = getattr(settings, name)
        shown = ",".join(map(str, value)) if isinstance(value, tuple) else value
        raise InputError(f"--{name}={shown} is not allowed: {rule}")


def check_list(settings: Any, name: str) -> None:
    """Refuse an empty list, one that names something twice, and `all` beside others.

    Args:
        settings: the dataclass that holds it.
        name: of the field.

    Raises:
        InputError: it is one of these.
    """
    values = getattr(settings, name)
    require(settings, name, bool(values), "it must name at least one")
    require(settings, name, len(set(values)) == len(values), "nothing may be named twice")
    require(settings, name, "all" not in values or len(values) == 1, "all stands alone")
