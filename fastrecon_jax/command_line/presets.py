"""Presets: named sets of flags. What the command line says itself wins; what it leaves open is filled in and told."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from absl import flags

from fastrecon_jax.errors import InputError


class Preset(NamedTuple):
    """A named set of flags.

    Attributes:
        method: the method that `settings` belong to.
        flags: values by the name of the flag, as they are written; `{image_size}` is that flag's final value.
        settings: values of settings of the method, by their names in it; left out where other methods are asked for.
        source: where the set-up was published.
    """

    method: str
    flags: Mapping[str, str]
    settings: Mapping[str, str]
    source: str


def define(presets: Mapping[str, Preset]) -> None:
    """Define the flag --preset of a command that has some."""
    help_text = "flags of a published set-up; those given beside it win: "
    help_text += ", ".join(f"{name} ({preset.source})" for name, preset in presets.items())
    flags.DEFINE_string("preset", "", help_text)


def fill_in(presets: Mapping[str, Preset]) -> str:
    """Give the flags that the command line does not the values of the preset that it names.

    Returns:
        One line that says which; empty without --preset.

    Raises:
        InputError: there is no such preset.
    """
    name = flags.FLAGS.preset
    if not name:
        return ""
    if name not in presets:
        raise InputError(f"--preset={name} is not allowed: it must be one of {', '.join(presets)}")
    preset = presets[name]
    _set_missing({"method": preset.method})
    chosen = _text("method").split(",")
    # A setting that is given for all methods is given for this one.
    settings = {f"{preset.method}_{own}": value for own, value in preset.settings.items() if not _given(own)}
    used = settings if preset.method in chosen or chosen == ["all"] else {}
    _set_missing(preset.flags | used)
    shown = " ".join(f"--{flag}={_text(flag)}" for flag in ("method", *preset.flags, *used))
    told = f"preset {name} ({preset.source}): {shown}\n"
    if used != settings:
        told += f"preset {name}: without {' '.join(f'--{flag}={value}' for flag, value in settings.items())}\n"
    return told


def _given(name: str) -> bool:
    return bool(flags.FLAGS[name].present)


def _set_missing(values: Mapping[str, str]) -> None:
    for name, value in values.items():
        if not _given(name):
            flags.FLAGS[name].parse(value.format_map(_Values()))
            flags.FLAGS[name].present += 1  # as if the command line had it


class _Values(dict):
    """Values of flags by name, as they are written."""

    def __missing__(self, name: str) -> str:
        return _text(name)


def _text(name: str) -> str:
    value = flags.FLAGS[name].value
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)
