"""Settings of several methods at once, as a command line gives them: by name, for all that have it or for one alone."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, get_type_hints

from fastrecon_jax.command_line.fields import require
from fastrecon_jax.core.scoring import IMAGE_SCORES, is_image_score
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import registry

COPIES_HELP = (
    "changed copies of the support images, from which every method learns as from more of them: light (darker and "
    "lighter), turns (by quarters), rot8 (rotated in steps of 45 degrees, borders reflected), rot30 (30 rotations, "
    "black corners), flip (mirrored), several with commas; not for parts whose direction matters"
)


class Option(NamedTuple):
    """A name under which settings can be given.

    Attributes:
        name: name of the option: SETTING for all chosen methods that have it, or METHOD_SETTING for one method alone.
        kinds: type of the setting in each method that has it.
        help: meaning of the setting in each of these methods.
        owners: names of these methods.
        field: name of the setting in the methods.
    """

    name: str
    kinds: tuple[Any, ...]
    help: str
    owners: tuple[str, ...]
    field: str


def field() -> Any:
    """The dataclass field of a command's settings that holds the settings of its methods, by the names of `options`."""
    text = "settings of the methods, by name; those that are not given have the method's defaults"
    return dataclasses.field(default_factory=dict, metadata={"help": text, "options": options})


def prefix(method: str) -> str:
    """The method's name as the start of its own options: `fastrecon+` becomes `fastrecon_plus`."""
    return method.replace("+", "_plus").replace("-", "_")


def options() -> dict[str, Option]:
    """All options of the registered methods.

    Returns:
        The options by name, those shared by several methods first.
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
    """The settings of each method, from the options that the user gave.

    Args:
        methods: names of the methods that are run.
        values: value of each option that was given, by its name; METHOD_SETTING overrides SETTING, and all other
            settings have their defaults.

    Returns:
        An instance of its settings for each method, by name.

    Raises:
        InputError: an option is unknown, none of the methods has it, or a value is out of range.
    """
    available = options()
    for name, value in values.items():
        if name not in available:
            raise InputError(f"unknown setting {name}: the methods have {', '.join(available)}")
        owners = available[name].owners
        if not set(owners) & set(methods):
            shown = f"it is a setting of {' and '.join(owners)}, not of {', '.join(methods)}"
            raise InputError(f"--{name}={value} is not allowed: {shown}")
    bound = {method: _settings(method, available, values) for method in methods}
    for method, chosen in bound.items():
        _refuse_unused(chosen, [available[name] for name in values if method in available[name].owners])
    return bound


def _refuse_unused(chosen: Any, given: Sequence[Option]) -> None:
    """Refuse an option that another one of the same method leaves without effect."""
    facts = {field.name: field.metadata for field in dataclasses.fields(chosen)}
    for option in given:
        value = getattr(chosen, option.field)
        other, needed = (facts[option.field].get(key, "") for key in ("instead_of", "needs"))
        if any(other == beside.field for beside in given):
            raise InputError(
                f"--{option.name}={value} is not allowed: it stands instead of --{other}, which is given too"
            )
        if needed and not getattr(chosen, needed):
            raise InputError(f"--{option.name}={value} is not allowed: it needs --{needed}")


def check_support_copies(config: Any) -> None:
    """Refuse kinds of copies that there are not, or that do not show good parts.

    Args:
        config: settings of a command with a field `support_copies`.

    Raises:
        InputError: a kind is not allowed.
    """
    allowed = set(config.support_copies) <= set(registry.SUPPORT_COPIES)
    require(config, "support_copies", allowed, f"each must be one of {', '.join(registry.SUPPORT_COPIES)}")


def check_copies_are_used(methods: Sequence[registry.Method], kinds: Sequence[str]) -> None:
    """Refuse copies that every method asks for itself, so that asking for them changes nothing.

    Args:
        methods: methods that are run, as `registry.create` makes them.
        kinds: kinds of copies of the support images that the user asked for.

    Raises:
        InputError: a kind would have no effect.
    """
    for kind in kinds:
        if all(kind in method.copies for method in methods):
            named = " and ".join(method.name for method in methods)
            raise InputError(f"--support_copies={kind} is not allowed: {named} asks for these copies itself")


def check_image_score(config: Any) -> None:
    """Refuse an image score that there is not, and settings of a method's own one where another is asked for.

    Args:
        config: settings of a command with a field `image_score`, empty for the method's own, and a field `settings`,
            the value of each option that was given, by its name.

    Raises:
        InputError: the image score is not known, or a setting would have no effect.
    """
    image_score = config.image_score
    require(config, "image_score", not image_score or is_image_score(image_score), f"it must be {IMAGE_SCORES}")
    for name, value in config.settings.items() if image_score else ():
        option = options()[name]
        kind = registry.registration(option.owners[0]).settings
        (field,) = (field for field in dataclasses.fields(kind) if field.name == option.field)
        if field.metadata.get("for_image_score") and value:
            raise InputError(f"--{name}={value} is not allowed: --image_score={image_score} stands instead of it")


def _settings(method: str, available: Mapping[str, Option], values: Mapping[str, Any]) -> Any:
    given = [(available[name], value) for name, value in values.items() if method in available[name].owners]
    # A shared option is named like the setting itself; the method's own, which wins, comes last.
    given.sort(key=lambda pair: pair[0].name != pair[0].field)
    return registry.registration(method).settings(**{option.field: value for option, value in given})
