"""How XLA is set up: compiler options, the cache of compiled programs, devices."""

from pathlib import Path

__all__ = ["configure"]


def configure() -> Path | None:
    """Set up the process as the commands do; in a notebook or a service, call it once before anything is computed.

    Memory is kept between calls, LAPACK runs in a single thread, and compiled programs are kept on disk. Importing the
    package alone changes none of this.

    Returns:
        The directory of the compiled programs, or None if they are not kept, see `compilation_cache.enable`.
    """
    from fastrecon_jax.runtime import compilation_cache, compiler  # jax: `runtime.cpu` is read without it

    compiler.keep_memory()
    compiler.keep_blas_to_one_thread()
    return compilation_cache.enable()
