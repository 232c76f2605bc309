"""Between a frozen dataclass of settings and the command line: one flag a field."""

import dataclasses
import logging
import os
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from absl import app, flags

from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import compiler

Config = TypeVar("Config")
flags.disclaim_key_flags()  # they belong to the entry point, which --help describes


def define(config: type, **defaults: Any) -> None:
    """Define a flag for each field, with its default and its comment.

    Args:
        config: a dataclass whose fields come from `config.setting`.
        defaults: other ones than the dataclass's, by field.
    """
    kinds = get_type_hints(config)
    definers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }
    for field in dataclasses.fields(config):
        default = defaults.get(field.name, field.default)
        help_text, kind = field.metadata["help"], _without_none(kinds[field.name])
        if kind in definers:
            definers[kind](field.name, default, help_text)
        elif _is_number_or_word(kind):
            flags.DEFINE_string(field.name, None if default is None else f"{default}", help_text)
        else:
            flags.DEFINE_list(field.name, [str(x) for x in default], help_text)


def _without_none(kind: Any) -> Any:
    """T of `T | None`, other types as they are."""
    members = [member for member in get_args(kind) if member is not type(None)]
    return members[0] if isinstance(kind, types.UnionType) and len(members) == 1 else kind


def _is_number_or_word(kind: Any) -> bool:
    """Whether it is `float | str`, perhaps with None."""
    return {float, str} <= set(get_args(kind))


def _number_or_word(text: str) -> float | str:
    try:
        return float(text)
    except ValueError:
        return text


def given(name: str) -> bool:
    """Whether the command line says something about a flag.

    Args:
        name: of the flag.

    Returns:
        True unless it has its default for want of anything else.
    """
    return bool(flags.FLAGS[name].present)


def read(config: type[Config], **instead: Any) -> Config:
    """Build the settings from the parsed flags.

    Args:
        config: the dataclass given to `define`.
        instead: values to take instead of the flags', by field.

    Returns:
        An instance of it.

    Raises:
        InputError: a list holds something that is not of its type.
    """
    kinds = get_type_hints(config)
    values = {field.name: _value(field.name, kinds[field.name]) for field in dataclasses.fields(config)}
    return config(**values | instead)


def _value(name: str, kind: Any) -> Any:
    value = flags.FLAGS[name].value
    if _is_number_or_word(kind) and value is not None:
        return _number_or_word(value)
    if not isinstance(value, list):
        return value
    element = get_args(kind)[0]
    try:
        return tuple(element(x) for x in value)
    except ValueError:
        raise InputError(f"--{name}={','.join(value)} is not allowed: expected a list of {element.__name__}s") from None


def run(main: Callable[[], int | None]) -> None:
    """Parse the command line, call `main`, and turn a user's mistake into one line and exit code 2.

    Args:
        main: called without arguments after the flags are parsed; returns the exit code, None for 0.
    """

    def one_line(arguments: Sequence[str]) -> int | None:
        try:
            if len(arguments) > 1:
                raise InputError(
                    f"unexpected argument {arguments[1]!r}: settings are given as --name=value, see --help"
                )
            return main()
        except InputError as error:
            return _complain(str(error))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; the same command takes it up where it stopped\n")
            return 130
        except BrokenPipeError:  # whoever read the output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1

    compiler.keep_memory()
    compiler.keep_blas_to_one_thread()
    logging.getLogger("absl").setLevel(logging.WARNING)  # libraries tell their progress there
    logging.getLogger("jax").setLevel(logging.WARNING)  # no notes about backends that it does not find
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    app.run(one_line, flags_parser=_parse)


def _parse(arguments: Sequence[str]) -> Sequence[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.Error as error:
        sys.exit(_complain(str(error)))


def _complain(message: str) -> int:
    sys.stderr.write(f"error: {' '.join(message.split())}\n")
    return 2
