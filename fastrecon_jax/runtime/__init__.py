"""What is said to XLA: compiler options, the cache of compiled programs, devices."""

from pathlib import Path

from fastrecon_jax.runtime import compilation_cache, compiler

__all__ = ["configure"]


def configure() -> Path | None:
    """Set up the process as the commands do it: call it once, before anything is computed, in a notebook or a service.

    Memory is kept between calls, LAPACK works in one thread, and compiled programs are kept on disk. An import alone
    changes nothing of the process.

    Returns:
        The directory of the compiled programs; None if they are not kept, see `compilation_cache.enable`.
    """
    compiler.keep_memory()
    compiler.keep_blas_to_one_thread()
    return compilation_cache.enable()
