"""Compiled programs that are kept, so that a later start neither traces nor lowers them."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np
from jax.experimental import serialize_executable

from fastrecon_jax.runtime import kept
from fastrecon_jax.runtime.compiler import Program

_PURPOSE = "program"
_LEAST = "jax_persistent_cache_min_compile_time_secs"

Leaves = list[Any]


class KeptProgram:
    """A program that is compiled for each set of shapes, or loaded as an earlier start compiled it.

    On accelerators JAX's own cache has to do, which spares the compilation alone. `facts` name, by their `repr`, all
    that the program depends on beside the shapes of its arguments.
    """

    def __init__(self, program: Program, facts: object):
        self.program, self.facts = program, facts
        self._loaded: dict[object, Callable[[Leaves], Any]] = {}

    def __call__(self, *arguments: Any) -> Any:
        """Run the program; while JAX traces it, for arguments that are no arrays, or if nothing is kept, as it is."""
        leaves, structure = jax.tree.flatten(arguments)
        arrays = all(isinstance(leaf, jax.Array) and not isinstance(leaf, jax.core.Tracer) for leaf in leaves)
        if not arrays or not kept.is_used() or jax.default_backend() != "cpu" or _is_looked_into():
            return self.program(*arguments)
        shapes = tuple((leaf.shape, leaf.dtype, leaf.weak_type, leaf.sharding) for leaf in leaves)
        if shapes not in self._loaded:
            facts = (self.facts, shapes)
            found = _load(kept.read(_PURPOSE, facts), leaves)
            self._loaded[shapes] = found or _compile(self.program.of_leaves(arguments, structure), leaves, facts)
        return self._loaded[shapes](leaves)

    def lower(self, *arguments: Any) -> jax.stages.Lowered:
        """Lower the program for these arguments, as `jax.jit(function).lower` does."""
        return self.program.lower(*arguments)


def _is_looked_into() -> bool:
    """Whether JAX is to check results or to run without compilation, which it does for its own programs alone."""
    config = jax.config
    return config.jax_disable_jit or config.jax_debug_nans or config.jax_debug_infs


def _load(stored: Any, leaves: Leaves) -> Callable[[Leaves], Any] | None:
    """The program from what was kept of it, on the devices of its arguments; None if it cannot be had."""
    devices = sorted(leaves[0].sharding.device_set, key=lambda device: device.id)
    with contextlib.suppress(Exception):  # whatever code that does not fit this machine brings about
        if stored is not None:
            return serialize_executable.deserialize_and_load(*stored, execution_devices=devices)
    return None


def _compile(jitted: Any, leaves: Leaves, facts: object) -> Callable[[Leaves], Any]:
    """Compile a program, and keep it if what is loaded of it gives the same results, bit for bit."""
    with _left_alone():
        compiled = jitted.lower(leaves).compile()
    with contextlib.suppress(Exception):  # not every device can say what it has compiled
        stored = serialize_executable.serialize(compiled)
        loaded = _load(stored, leaves)
        if loaded is not None and _equal(loaded(leaves), compiled(leaves)):
            kept.write(_PURPOSE, facts, stored)
    return compiled


def _equal(one: Any, other: Any) -> bool:
    pairs = zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True)
    return all(np.asarray(a).tobytes() == np.asarray(b).tobytes() for a, b in pairs)


@contextlib.contextmanager
def _left_alone() -> Iterator[None]:
    """Let JAX's own cache not take what is compiled: from there it would come in a form that cannot be kept.

    On a CPU (jax 0.10.2) an executable that was read from that cache is serialised without its functions.
    """
    before = jax.config.values[_LEAST]
    jax.config.update(_LEAST, float("inf"))
    try:
        yield
    finally:
        jax.config.update(_LEAST, before)
