"""Between a frozen dataclass of settings and the command line: one flag a field, one for each setting of a method."""

import dataclasses
import logging
import os
import re
import sys
import types
from collections.abc import Callable, Sequence
from typing import Any, TypeVar, get_args, get_type_hints

from absl import app, flags

from fastrecon_jax.command_line import collector, console, plugins
from fastrecon_jax.command_line.fields import shortened
from fastrecon_jax.errors import InputError

Config = TypeVar("Config")
flags.disclaim_key_flags()  # they belong to the entry point, which --help describes
_WORDS = {"int": "a whole number", "float": "a number", "bool": "true or false"}
OPTIONS = "options"  # in a field's metadata: a function that gives the flags whose values the field collects
POSITIONAL = "positional"  # in a list field's metadata: arguments without a flag are its values, too


def define(config: type, **defaults: Any) -> None:
    """Define a flag for each field of a dataclass, with its default (or the one given here) and its help.

    A field with `options` in its metadata, a mapping, gets one flag for each of them instead. Plugins that the command
    line names are imported first, so that their methods and encoders have flags and stand in the help.
    """
    console.show_everything()
    try:
        plugins.load(sys.argv[1:])
    except InputError as error:
        sys.exit(_complain(str(error)))
    kinds, names = get_type_hints(config), {field.name for field in dataclasses.fields(config)}
    for field in dataclasses.fields(config):
        if OPTIONS in field.metadata:
            for option in field.metadata[OPTIONS]().values():
                if option.name not in names:
                    _define(option.name, None, option.help, option.kinds)
            continue
        help_text = field.metadata["help"]
        default = defaults.get(field.name, field.default)
        _define(field.name, default, help_text() if callable(help_text) else help_text, (kinds[field.name],))


def _define(name: str, default: Any, help_text: str, kinds: Sequence[Any]) -> None:
    members = _members(kinds)
    definers = {
        str: flags.DEFINE_string,
        int: flags.DEFINE_integer,
        float: flags.DEFINE_float,
        bool: flags.DEFINE_boolean,
    }
    if len(members) == 1 and (kind := next(iter(members))) in definers:
        definers[kind](name, default, help_text)
    elif members <= set(definers):  # a number or a word
        flags.DEFINE_string(name, None if default is None else f"{default}", help_text)
    else:
        flags.DEFINE_list(name, [str(x) for x in default], help_text)
    # --help shows the flags of the command, whether it was started by `python -m` or through `fastrecon`.
    flags.FLAGS.register_key_flag_for_module(sys.argv[0], flags.FLAGS[name])


def _members(kinds: Sequence[Any]) -> set[Any]:
    """The types that a flag may have: the members of unions, without None."""
    members: set[Any] = set()
    for kind in kinds:
        members |= set(get_args(kind)) if isinstance(kind, types.UnionType) else {kind}
    return members - {types.NoneType}


def _first_that_fits(name: str, text: str, members: set[Any]) -> int | float | str:
    """The value as the first of int, float and str that is allowed and can hold it."""
    for kind in (kind for kind in (int, float, str) if kind in members):
        try:
            return kind(text)
        except ValueError:
            continue
    raise InputError(f"--{name}={text} is not allowed: expected a number")


def given(name: str) -> bool:
    """Whether the command line says something about a flag, its default or not."""
    return bool(flags.FLAGS[name].present)


def read(config: type[Config], **instead: Any) -> Config:
    """Build the settings from the parsed flags, with some values taken from here instead.

    Raises:
        InputError: a list holds something that is not of its type, or the settings refuse a value.
    """
    kinds = get_type_hints(config)
    values = {field.name: _value_of(field, kinds[field.name]) for field in dataclasses.fields(config)}
    return config(**values | instead)


def _value_of(field: dataclasses.Field, kind: Any) -> Any:
    if OPTIONS not in field.metadata:
        return _value(field.name, (kind,))
    options = field.metadata[OPTIONS]().values()
    present = [option for option in options if option.name in flags.FLAGS and flags.FLAGS[option.name].present]
    return {option.name: _value(option.name, option.kinds) for option in present}


def _value(name: str, kinds: Sequence[Any]) -> Any:
    value, members = flags.FLAGS[name].value, _members(kinds)
    if isinstance(value, str) and members != {str}:
        return _first_that_fits(name, value, members)
    if not isinstance(value, list):
        return value
    element = get_args(kinds[0])[0]
    try:
        return tuple(element(x) for x in value)
    except ValueError:
        raise InputError(f"--{name}={','.join(value)} is not allowed: expected a list of {element.__name__}s") from None


def integers(name: str, values: Sequence[str]) -> tuple[int, ...]:
    """The whole numbers of a list, for scripts that define their flags themselves; InputError for anything else."""
    try:
        return tuple(map(int, values))
    except ValueError:
        raise InputError(f"--{name}={','.join(values)} is not allowed: expected whole numbers") from None


def run(main: Callable[[], int | None], positional: str = "") -> None:
    """Parse the command line, call `main`, and exit with its code (None is 0).

    A user's mistake, an InputError, becomes one line and exit code 2; Ctrl-C 130. `positional` names the flag, a list,
    that arguments without a flag belong to; they may stand before and after flags.
    """
    flags.FLAGS.set_gnu_getopt(bool(positional))

    def guarded(arguments: Sequence[str]) -> int | None:
        try:
            if positional:
                flags.FLAGS[positional].value = [*flags.FLAGS[positional].value, *arguments[1:]]
            elif len(arguments) > 1:
                raise InputError(
                    f"unexpected argument {arguments[1]!r}: settings are given as --name=value, see --help"
                )
            _set_up()
            return main()
        except InputError as error:
            return _complain(str(error))
        except KeyboardInterrupt:
            sys.stderr.write("interrupted; the same command resumes where it stopped\n")
            return 130
        except BrokenPipeError:  # whoever read the output went away
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1

    console.show_everything()
    logging.getLogger("absl").setLevel(logging.WARNING)  # libraries tell their progress there
    logging.getLogger("jax").setLevel(logging.WARNING)  # no notes about backends that it does not find
    logging.getLogger("huggingface_hub").propagate = False  # it prints its warnings itself
    app.run(guarded, flags_parser=_parse)


def _set_up() -> None:
    with collector.paused():
        from fastrecon_jax.runtime import compiler  # jax, of which --help and refused flags have no need
    compiler.keep_memory()
    compiler.keep_blas_to_one_thread()


def _parse(arguments: Sequence[str]) -> Sequence[str]:
    try:
        return flags.FLAGS(arguments)
    except flags.IllegalFlagValueError as error:
        sys.exit(_complain(_expected(str(error))))
    except flags.Error as error:
        sys.exit(_complain(str(error)))


def _expected(message: str) -> str:
    """What absl says of a value that is not of its flag's type, in the words that all other refusals have."""
    parts = re.match(r"flag --(\w+)=(.*?): ", message, re.DOTALL)
    if parts is None or parts[1] not in flags.FLAGS or flags.FLAGS[parts[1]].flag_type() not in _WORDS:
        return message
    flag = flags.FLAGS[parts[1]]
    example = "" if flag.default is None or flag.flag_type() == "bool" else f" such as {flag.default}"
    return f"--{flag.name}={shortened(parts[2])} is not allowed: expected {_WORDS[flag.flag_type()]}{example}"


def _complain(message: str) -> int:
    sys.stderr.write(f"error: {console.shown(message.strip())}\n")
    return 2
