"""Modules of the user's that register methods and encoders, imported before flags are defined."""

import importlib
import importlib.metadata
import importlib.util
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from fastrecon_jax.errors import InputError

FLAG = "plugin"
HELP = "modules, or .py files, that register more methods or encoders; several with commas"
GROUP = "fastrecon_jax.plugins"  # of entry points: installed packages that register something


def load(arguments: Sequence[str]) -> None:
    """Import installed plugins and those that the command line names, before the rest of it is parsed.

    Raises:
        InputError: a plugin cannot be imported.
    """
    for entry in importlib.metadata.entry_points(group=GROUP):
        _imported(f"entry point {entry.name} = {entry.value}", entry.load)
    load_all(named(arguments))


def named(arguments: Sequence[str]) -> list[str]:
    """The plugins in `--plugin=a,b` and `--plugin a,b`."""
    values = []
    for i, argument in enumerate(arguments):
        flag, equals, value = argument.partition("=")
        if argument == "--":
            break
        if flag in (f"--{FLAG}", f"-{FLAG}"):
            values.append(value if equals else "".join(arguments[i + 1 : i + 2]))
    return [name for value in values for name in value.split(",") if name]


def load_all(names: Sequence[str]) -> None:
    """Import several plugins; one that is imported already is left as it is."""
    for name in names:
        load_one(name)


def load_one(name: str) -> None:
    """Import a module by its name, from the working directory too, or a file by its path.

    Raises:
        InputError: it cannot be imported.
    """
    if name.endswith(".py"):
        _imported(f"--{FLAG}={name}", lambda: _from_file(Path(name).expanduser()))
        return
    if str(Path.cwd()) not in sys.path and "" not in sys.path:  # an installed command does not search it
        sys.path.append(str(Path.cwd()))
    _imported(f"--{FLAG}={name}", lambda: importlib.import_module(name))


def _from_file(path: Path) -> None:
    if path.stem in sys.modules and getattr(sys.modules[path.stem], "__file__", None) == str(path.resolve()):
        return
    spec = importlib.util.spec_from_file_location(path.stem, path.resolve())
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[path.stem]
        raise


def _imported(shown: str, load: Callable[[], object]) -> None:
    """A plugin is a program of somebody else's: whatever it raises is told with its name."""
    try:
        load()
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise InputError(f"{shown} cannot be imported: {reason}") from error
