"""Packages that only exporting needs, imported where they are used."""

import importlib
from types import ModuleType

from fastrecon_jax.errors import InputError


def require(name: str, *, extra: str) -> ModuleType:
    """Import a package.

    Args:
        name: of the package.
        extra: of this program's extras, the one that installs it.

    Returns:
        The package.

    Raises:
        InputError: it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        message = f'exporting needs {error.name}, which is not installed: run `pip install -e ".[{extra}]"`'
        raise InputError(message) from None
