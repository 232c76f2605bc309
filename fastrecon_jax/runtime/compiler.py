"""What lets XLA be fast on a CPU: options of its compiler, and memory that is kept instead of given back."""

import ctypes
import functools
import sys
from collections.abc import Callable
from typing import Any

import jax
import threadpoolctl

# XLA's fusions of convolutions and products into YNNPACK cost a tenth to a quarter of an encoder's speed (jax 0.10.2).
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
# Of glibc's malloc.h, and how much: allocations of up to 1 GiB come from one heap, which keeps up to 2 GiB.
_MALLOC = {"M_ARENA_MAX": (-8, 1), "M_MMAP_THRESHOLD": (-3, 2**30), "M_TRIM_THRESHOLD": (-1, 2**31 - 1)}


@functools.cache
def compiler_options() -> dict[str, str]:
    """Options of the compiler for the default platform, those that this version of XLA knows.

    Returns:
        By name; empty on accelerators.
    """
    if jax.default_backend() != "cpu":
        return {}
    return {name: value for name, value in _CPU_OPTIONS.items() if _known(name, value)}


def _known(name: str, value: str) -> bool:
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options={name: value})
    except jax.errors.JaxRuntimeError:
        return False
    return True


def jit(function: Callable[..., Any]) -> "Program":
    """`jax.jit` with `compiler_options`, which stays composable: inside other transformations it is a plain `jax.jit`.

    Args:
        function: pure, of arrays.

    Returns:
        The program.
    """
    return Program(function)


class Program:
    """A jitted function.

    Attributes:
        lower: see `jax.jit`.
    """

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function, updated=())
        self._inside = jax.jit(function)

    @functools.cached_property
    def _outside(self) -> Any:
        return jax.jit(self.__wrapped__, compiler_options=compiler_options() or None)

    def __call__(self, *arguments: Any) -> Any:
        """Run it; jax refuses options of the compiler inside its transformations."""
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments))
        return (self._inside if traced else self._outside)(*arguments)

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """As that of `jax.jit`."""
        return self._outside.lower(*arguments)


def keep_blas_to_one_thread() -> None:
    """Let each of LAPACK's routines run in the thread of XLA that called it, until the process ends.

    On a CPU, XLA calls SciPy's OpenBLAS for factorisations, from several threads at once; the threads of both wait for
    each other actively, which made a Cholesky factorisation of two 1024x1024 matrices take 2.5 s instead of 0.07.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")


def keep_memory() -> None:
    """Have malloc keep what it is given back, where it is glibc's; for whole programs, not for a library's import.

    XLA allocates the intermediate results of every call anew. By default malloc takes large ones from the kernel and
    gives them back at once, and the kernel clears each page at its first use: a third to a half of an encoder's time.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in _MALLOC.values():
            mallopt(parameter, value)
