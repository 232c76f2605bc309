"""Where the program keeps what it can make again: the built-in data set and unpacked archives."""

import os
from pathlib import Path


def directory() -> Path:
    """The user's cache, `$XDG_CACHE_HOME/fastrecon_jax` or `~/.cache/fastrecon_jax`.

    Returns:
        The directory, which need not exist.
    """
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fastrecon_jax"
