"""Compiled programs kept in the user's cache directory, so that only the first start of a command compiles them."""

import contextlib
import hashlib
import logging
import os
import platform
from pathlib import Path

import jax

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import cache_limits, kept

VARIABLE = "FASTRECON_COMPILATION_CACHE"
OFF = "off"
KEPT = "kept"  # folder for what this program keeps beside the programs that JAX does
_SETTINGS = {"jax_persistent_cache_min_compile_time_secs": 0.0, "jax_persistent_cache_min_entry_size_bytes": -1}


def enable() -> Path | None:
    """Keep compiled programs on disk from now on, and return their directory; call it before anything is computed.

    The directory, one for each kind of processor, lies in the one that the environment variable
    FASTRECON_COMPILATION_CACHE names, by default fastrecon_jax/xla in the user's cache directory. The result is None if
    the variable is `off`, if jax already has a cache directory, or if the directory cannot be used, which is logged and
    costs nothing but speed. Nothing that lies there is looked at before it is used; see `cache_limits` for how large
    the directory grows and what becomes of damaged programs.
    """
    asked = os.environ.get(VARIABLE, "")
    if asked.lower() == OFF or jax.config.jax_compilation_cache_dir:
        return None
    parent = asked or str(Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "fastrecon_jax" / "xla")
    try:
        directory = files.expanded(parent) / _processor()
        directory.mkdir(parents=True, exist_ok=True)
        _try_to_write(directory)
    except (InputError, OSError, ValueError) as error:
        reason = files.reason(error) if isinstance(error, OSError) else error
        logging.getLogger(__name__).warning(
            f"{parent} cannot be used ({reason}): programs are compiled at each start; set {VARIABLE} to another "
            f"directory, or to {OFF}"
        )
        return None
    for name, value in _SETTINGS.items():
        jax.config.update(name, value)
    jax.config.update("jax_compilation_cache_dir", str(directory))
    kept.use(directory / KEPT)
    cache_limits.watch(directory, directory / KEPT)
    return directory


def _processor() -> str:
    """The processor's architecture and a hash of its features, because machines may share a home directory."""
    instructions = ""
    # Up to the line of the first core: there may be hundreds.
    with contextlib.suppress(OSError), Path("/proc/cpuinfo").open(encoding="utf-8", errors="replace") as lines:
        instructions = next((line.rstrip("\n") for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine() or 'any'}-{hashlib.sha256(instructions.encode()).hexdigest()[:8]}"


def _try_to_write(directory: Path) -> None:
    probe = directory / f".probe.{os.getpid()}"
    try:
        probe.write_bytes(b"0")
    finally:
        probe.unlink(missing_ok=True)
