"""What makes XLA fast on a CPU: compiler options, and memory that is kept instead of returned to the system."""

import ctypes
import functools
import os
import sys
from collections.abc import Callable
from typing import Any

import jax
import threadpoolctl

# Fusing convolutions and products into YNNPACK makes convolutional encoders 10 to 25 % slower (jax 0.10.2), and
# transformers faster: see `Program`.
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": ""}
_BLAS_THREADS = "OPENBLAS_NUM_THREADS"
# Parameters from glibc's malloc.h.
_ARENA_MAX, _MMAP_THRESHOLD, _TRIM_THRESHOLD = -8, -3, -1


@functools.cache
def compiler_options() -> dict[str, str]:
    """Compiler options for the default platform that this version of XLA accepts; none on accelerators."""
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
    """`jax.jit` with `compiler_options`; inside other transformations of JAX it is a plain `jax.jit`."""
    return Program(function)


class Program:
    """A jitted function of arrays.

    Where an argument has a true attribute `products`, as the encoders do that are mostly products of large matrices,
    it is compiled without `compiler_options`, and takes YNNPACK's products instead of XLA's own.
    """

    def __init__(self, function: Callable[..., Any]):
        functools.update_wrapper(self, function, updated=())
        self._inside = jax.jit(function)

    @functools.cached_property
    def _outside(self) -> Any:
        return jax.jit(self.__wrapped__, compiler_options=compiler_options() or None)

    def __call__(self, *arguments: Any) -> Any:
        """Run the program, without options while it is traced: JAX refuses compiler options inside transformations."""
        traced = any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(arguments))
        return (self._inside if traced else self._chosen(arguments))(*arguments)

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """Lower the program for these arguments, as `jax.jit(function).lower` does."""
        return self._chosen(arguments).lower(*arguments)

    def of_leaves(self, arguments: tuple[Any, ...], structure: Any) -> Any:
        """The same program as a jitted function of the list of leaves into which such arguments are flattened."""
        options = None if self._of_products(arguments) else compiler_options() or None

        def kept(leaves: list[Any]) -> Any:
            return self.__wrapped__(*structure.unflatten(leaves))

        return jax.jit(kept, compiler_options=options)

    def _chosen(self, arguments: tuple[Any, ...]) -> Any:
        return self._inside if self._of_products(arguments) else self._outside

    def _of_products(self, arguments: tuple[Any, ...]) -> bool:
        return any(getattr(argument, "products", False) for argument in arguments)


def keep_blas_to_one_thread() -> None:
    """Run LAPACK's routines in the XLA thread that calls them, until the process ends.

    On a CPU, XLA calls SciPy's OpenBLAS for factorisations from several threads at once. The threads of both then spin
    while they wait for each other: factoring two 1024x1024 matrices took 2.5 s instead of 0.07 s.
    """
    threadpoolctl.threadpool_limits(1, user_api="blas")
    os.environ.setdefault(_BLAS_THREADS, "1")  # for libraries that are loaded later


def keep_memory(*, arenas: int = 1) -> None:
    """Let glibc's malloc keep freed memory; for whole programs, not for the import of a library.

    XLA allocates the intermediate results of every call anew. By default malloc takes large blocks from the kernel and
    returns them at once, and the kernel clears each page at its first use: a third to a half of an encoder's time.
    Here allocations up to 1 GiB come from heaps that keep 2 GiB; threads of several devices would wait for each other
    at a single heap, an arena.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in ((_ARENA_MAX, arenas), (_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, 2**31 - 1)):
            mallopt(parameter, value)
