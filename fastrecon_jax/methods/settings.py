"""Settings of several methods at once, as a command line gives them: by name, for all that have it or for one alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import registry


class Option(NamedTuple):
    """A name under which settings can be given.

    Attributes:
        name: the setting's own, for all chosen methods that have it, or METHOD_SETTING for one method alone.
        kinds: type of the setting in each method it belongs to.
        help: what it means in each of them.
        owners: those methods.
        field: the setting's own name.
    """

    name: str
    kinds: tuple[Any, ...]
    help: str
    owners: tuple[str, ...]
    field: str


def field() -> Any:
    """The dataclass field of a command's settings that collects those of its methods, by the names of `options`."""
    text = "settings of the methods, by name; those that are not given have the method's defaults"
    return dataclasses.field(default_factory=dict, metadata={"help": text, "options": options})


def prefix(method: str) -> str:
    """The method's name as it begins the names of its own options: `fastrecon+` becomes `fastrecon_plus`."""
    return method.replace("+", "_plus").replace("-", "_")


def options() -> dict[str, Option]:
    """All options of the registered methods, the shared names first.

    Returns:
        By name.
    """
    shared: dict[str, Option] = {}
    own: dict[str, Option] = {}
    for method in registry.names():
        kind = registry.registration(method).settings
        hints = get_type_hints(kind)
        for field in dataclasses.fields(kind):
            text = f"{method}: {field.metadata.get('help', '')} (default {field.default})"
            option = Option(field.name, (hints[field.name],), text, (method,), field.name)
            before = shared.get(field.name)
            shared[field.name] = option if before is None else _joined(before, option)
            name = f"{prefix(method)}_{field.name}"
            own[name] = option._replace(name=name)
    return shared | own


def _joined(before: Option, more: Option) -> Option:
    return before._replace(
        kinds=before.kinds + more.kinds, help=f"{before.help}; {more.help}", owners=before.owners + more.owners
    )


def bind(methods: Sequence[str], values: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of each method from options.

    Args:
        methods: names of those that are run.
        values: by the name of an option; the others have their defaults. METHOD_SETTING wins over SETTING.

    Returns:
        For each method an instance of its settings.

    Raises:
        InputError: an option is unknown, none of the methods has it, or a value is out of range.
    """
    known = options()
    for name, value in values.items():
        if name not in known:
            raise InputError(f"unknown setting {name}: the methods have {', '.join(known)}")
        owners = known[name].owners
        if not set(owners) & set(methods):
            shown = f"it is a setting of {' and '.join(owners)}, not of {', '.join(methods)}"
            raise InputError(f"--{name}={value} is not allowed: {shown}")
    return {method: _settings(method, known, values) for method in methods}


def _settings(method: str, known: Mapping[str, Option], values: Mapping[str, Any]) -> Any:
    kind = registry.registration(method).settings
    has = {field.name for field in dataclasses.fields(kind)}
    shared = {name: x for name, x in values.items() if known[name].name == known[name].field and name in has}
    own = {
        known[name].field: x
        for name, x in values.items()
        if known[name].owners == (method,) and known[name].name != known[name].field
    }
    return kind(**shared | own)
