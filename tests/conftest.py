"""Every test runs strictly: no implicit promotion, no warnings, shapes checked at run time.

Compiled programs are kept between runs, in the user's cache, and shared by the processes of a run and by the commands
that tests start.
"""

import contextlib
import ctypes
import gc
import os
import pathlib
import sys
import time

os.environ.setdefault("FASTRECON_COMPILATION_CACHE", "~/.cache/fastrecon_jax/tests")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("fastrecon_jax", "beartype.beartype")

from fastrecon_jax.runtime import compilation_cache, kept  # noqa: E402

SHARED = pathlib.Path(os.environ.get("FASTRECON_SHARED") or pathlib.Path(__file__).resolve().parents[2] / "shared")
_PROGRAMS_KEPT = 30 * 24 * 3600  # seconds
_MEMORY = 1_400_000_000  # bytes that a process may hold between two tests
# Found once, since tests replace what ctypes loads.
_trim = getattr(ctypes.CDLL(None), "malloc_trim", None) if sys.platform.startswith("linux") else None

# Values that are kept, see `runtime.kept`, are of no use here: each change of a file of the program makes them anew.
# The first process clears the directory up; the others, and commands, find it in the environment.
if (_directory := compilation_cache.enable()) is not None:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(_directory)
    kept.stop()
    for _entry in _directory.iterdir():
        with contextlib.suppress(OSError):
            if time.time() - _entry.stat().st_mtime > _PROGRAMS_KEPT:
                _entry.unlink()


def pytest_runtest_teardown():
    """A process that has grown large drops its compiled programs, which stay on disk."""
    if _resident() > _MEMORY:
        jax.clear_caches()
        gc.collect()
        if _trim is not None:
            _trim(0)  # glibc's malloc would keep the memory


def _resident() -> int:
    """Bytes of memory that this process holds now; 0 where the system does not say."""
    with contextlib.suppress(OSError):
        return int(pathlib.Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    return 0


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Real images, weights and reference results: FASTRECON_SHARED, or `shared` beside the checkout; else skips."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real images and weights in {SHARED}, which is missing")
    return SHARED
