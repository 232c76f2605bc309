"""Settings of a method as part files hold them, those of older formats too."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fastrecon_jax import methods
from fastrecon_jax.parts.records import MalformedError, build

_WHERE = "header.recipe.settings"
_SHARED_UNTIL = 2  # up to this format a file holds the settings of all methods of its time
# Their names, and what they are called by the method that has them today.
_SHARED = {
    "lam": "lam",
    "coreset_ratio": "coreset_ratio",
    "coreset_rows": "coreset_rows",
    "coreset_projection": "coreset_projection",
    "soft_length": "soft_length",
    "soft_spectrum": "soft_spectrum",
    "patchcore_approximate": "approximate",
    "patchcore_reweighting": "reweighting",
    "padim_channels": "channels",
    "explained_variance": "explained_variance",
    "neighbours": "neighbours",
}
_ZERO_WAS_DEFAULT = ("neighbours",)
# Settings that later formats brought, and the values at which a method does what it did before: format, method, values.
_BROUGHT: tuple[tuple[int, str, dict[str, Any]], ...] = (
    (4, "fastrecon+", {"coreset_rows": 8192, "coordinates": 0, "both_ways": False, "light": False, "turns": "never"}),
    (5, "fastrecon+", {"backward_coordinates": 0, "backward_margin": 0.03}),
    (6, "fastrecon+", {"noise": 0.0}),
)


def read(method: str, value: Any, version: int) -> Any:
    """An instance of the method's settings from what JSON gave, read by the rules of the file's format.

    Raises:
        InputError: there is no such method, or a value is out of its range.
        MalformedError: a setting is missing, unknown or of another type.
    """
    kind = methods.registration(method).settings
    later = {
        key: setting
        for brought, name, before in _BROUGHT
        if version < brought and method == name
        for key, setting in before.items()
    }
    if version <= _SHARED_UNTIL:
        # A later setting may have the name of one that other methods had.
        value = {key: setting for key, setting in _own(kind, value).items() if key not in later}
    if later and isinstance(value, Mapping):
        # A share stood instead of the number of rows, and still does.
        rows = {"coreset_rows"} if value.get("coreset_ratio") is not None else set()
        value = {key: setting for key, setting in later.items() if key not in rows} | dict(value)
    return build(kind, value, _WHERE)


def _own(kind: type, value: Any) -> dict[str, Any]:
    """The settings of one method from those of all; what says `the default` is left out."""
    if not isinstance(value, Mapping):
        raise MalformedError(f"{_WHERE} is {str(value)[:40]!r}, expected a dict")
    if unknown := sorted(set(value) - set(_SHARED)):
        raise MalformedError(f"{_WHERE}: {', '.join(unknown)[:200]} unknown")
    fields = {field.name for field in dataclasses.fields(kind)}
    return {
        _SHARED[name]: setting
        for name, setting in value.items()
        if _SHARED[name] in fields
        and setting is not None  # None was the method's default
        and not (name in _ZERO_WAS_DEFAULT and setting == 0)
    }
