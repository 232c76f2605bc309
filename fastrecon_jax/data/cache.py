"""Where the program keeps what it can make again: the built-in data set and unpacked archives."""

import os
from pathlib import Path

from fastrecon_jax import files


def directory() -> Path:
    """The user's cache, `$XDG_CACHE_HOME/fastrecon_jax` or `~/.cache/fastrecon_jax`, which need not exist.

    InputError where there is no home directory.
    """
    return files.expanded(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fastrecon_jax"
