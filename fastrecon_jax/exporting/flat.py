"""A traced function without loops and calls, in operations that convert well to other formats."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

FOLDED = 2**20  # bytes of the largest result that is computed beforehand: larger ones would only fill the file

Inputs = Sequence[Any]  # arrays, tracers and numbers


def flatten(function: Callable[..., Any], argument: jax.ShapeDtypeStruct) -> Callable[[jax.Array], list[jax.Array]]:
    """The same function up to rounding, with its results as a flat list: traced, it holds no scan, no call and no pad.

    `argument` tells the shape of the one array it takes, (b, H, W, 3) with b symbolic, and its type. What does not
    depend on it is computed.
    """
    closed = jax.make_jaxpr(lambda x: function(x))(argument)  # a function of its own: traces are kept by function
    return lambda x: _evaluate(closed, [x], x)


def _evaluate(closed: core.ClosedJaxpr, inputs: Inputs, argument: Any) -> list[Any]:
    jaxpr = closed.jaxpr
    values = dict(zip([*jaxpr.constvars, *jaxpr.invars], [*closed.consts, *inputs], strict=True))

    def read(atom):
        return atom.val if isinstance(atom, core.Literal) else values[atom]

    for equation in jaxpr.eqns:
        rule = _RULES.get(equation.primitive.name, _bind)
        results = rule(equation, [read(atom) for atom in equation.invars], argument)
        values.update(zip(equation.outvars, results, strict=True))
    return [read(atom) for atom in jaxpr.outvars]


def _bind(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """The operation itself: at once, if its inputs are known and its results small."""
    if _are_known(inputs) and all(_is_small(out.aval) for out in equation.outvars):
        with jax.ensure_compile_time_eval():
            results = equation.primitive.bind(*inputs, **equation.params)
    else:
        results = equation.primitive.bind(*inputs, **equation.params)
    return results if equation.primitive.multiple_results else [results]


def _are_known(inputs: Inputs) -> bool:
    return not any(isinstance(x, jax.core.Tracer) for x in inputs)


def _is_small(aval: Any) -> bool:
    static = all(isinstance(side, int) for side in aval.shape)
    return static and aval.size * aval.dtype.itemsize <= FOLDED


def _call(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    activation = _ACTIVATIONS.get(equation.params["name"])
    return [activation(*inputs)] if activation else _evaluate(equation.params["jaxpr"], inputs, argument)


def _custom(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    return _evaluate(equation.params["call_jaxpr"], inputs, argument)


def _scan(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """One iteration after the other, forwards."""
    if equation.params["reverse"]:
        raise NotImplementedError("a scan that runs backwards")
    constants, carried = equation.params["num_consts"], equation.params["num_carry"]
    consts, carry = inputs[:constants], inputs[constants : constants + carried]
    stacked = []
    for i in range(equation.params["length"]):
        entries = [_entry(x, i) for x in inputs[constants + carried :]]
        results = _evaluate(equation.params["jaxpr"], [*consts, *carry, *entries], argument)
        carry = results[:carried]
        stacked.append(results[carried:])
    return [*carry, *(jnp.stack(results) for results in zip(*stacked, strict=True))]


def _dimension(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """The size of the batch, which slices ask for and never use: nothing, which no operation takes."""
    return [None]


def _entry(x: Any, i: int) -> Any:
    """One entry along the first axis, itself known where the array is."""
    if not _are_known([x]):
        return jax.lax.index_in_dim(x, i, keepdims=False)
    with jax.ensure_compile_time_eval():
        return jax.lax.index_in_dim(jnp.asarray(x), i, keepdims=False)


def _window(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """A dynamic slice at a known place as one that is static, axis by axis."""
    x, *starts = inputs
    if not _are_known(starts):
        return _bind(equation, inputs, argument)
    for axis, (start, size) in enumerate(zip(starts, equation.params["slice_sizes"], strict=True)):
        if isinstance(x.shape[axis], int) and size != x.shape[axis]:
            first = min(max(int(start), 0), x.shape[axis] - size)  # as the operation clamps it
            x = jax.lax.slice_in_dim(x, first, first + size, axis=axis)
    return [x]


def _insert(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """A dynamic update at a known place: what stays, joined to it from the last axis to the first."""
    x, update, *starts = inputs
    if not _are_known(starts):
        return _bind(equation, inputs, argument)
    partly = [axis for axis in range(x.ndim) if isinstance(x.shape[axis], int) and x.shape[axis] != update.shape[axis]]
    places = {axis: min(max(int(starts[axis]), 0), x.shape[axis] - update.shape[axis]) for axis in partly}
    for axis in reversed(partly):
        around = x
        for other in partly[: partly.index(axis)]:
            around = jax.lax.slice_in_dim(around, places[other], places[other] + update.shape[other], axis=other)
        before = jax.lax.slice_in_dim(around, 0, places[axis], axis=axis)
        after = jax.lax.slice_in_dim(around, places[axis] + update.shape[axis], x.shape[axis], axis=axis)
        update = jnp.concatenate([part for part in (before, update, after) if part.shape[axis]], axis=axis)
    return [update]


def _pad(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """Joined to rows of the value: jax2onnx converts no pad of an array with a symbolic side."""
    x, value = inputs
    for axis, (before, after, interior) in enumerate(equation.params["padding_config"]):
        if interior or min(before, after) < 0:
            return _bind(equation, inputs, argument)
        if before or after:
            row = jnp.full_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis), value)
            x = jnp.concatenate([row] * before + [x] + [row] * after, axis=axis)
    return [x]


def _broadcast(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """First to the batch, by adding zeros of the argument's: jax2onnx may take another side for the symbolic one."""
    shape, axes = equation.params["shape"], equation.params["broadcast_dimensions"]
    symbolic = [axis for axis, side in enumerate(shape) if not isinstance(side, int)]
    x = jnp.asarray(inputs[0])
    if not symbolic or not all(isinstance(side, int) for side in x.shape):
        return _bind(equation, inputs, argument)
    (batch,) = symbolic
    sides = dict(zip(axes, x.shape, strict=True))
    x = jax.lax.reshape(x, tuple(sides.get(axis, 1) for axis in range(len(shape))))
    zeros = argument[:, :1, :1, :1].astype(jnp.float32) * 0
    zeros = jax.lax.reshape(zeros, tuple(side if axis == batch else 1 for axis, side in enumerate(shape)))
    kind = jnp.int32 if x.dtype == bool else x.dtype
    x = jnp.add(x.astype(kind), zeros.astype(kind)).astype(x.dtype)
    return [x if x.shape == shape else jax.lax.broadcast_in_dim(x, shape, tuple(range(len(shape))))]


def _dot(equation: core.JaxprEqn, inputs: Inputs, argument: Any) -> Sequence[Any]:
    """Products with a matrix on one side as `matmul`: jax2onnx has them as Einsum, which runtimes do slowly."""
    (left_axes, right_axes), (left_batch, right_batch) = equation.params["dimension_numbers"]
    (left, right), batch = inputs, tuple(range(len(left_batch)))
    plain = len(left_axes) == 1 and left_batch == right_batch == batch and not _are_known(inputs)
    if plain and right.ndim == len(batch) + 2 and (not batch or left.ndim == right.ndim):
        return [jnp.matmul(jnp.moveaxis(left, left_axes[0], -1), jnp.moveaxis(right, right_axes[0], -2))]
    if plain and not batch and left.ndim == 2:
        product = jnp.matmul(jnp.moveaxis(right, right_axes[0], -1), jnp.moveaxis(left, left_axes[0], -2))
        return [jnp.moveaxis(product, -1, 0)]
    return _bind(equation, inputs, argument)


# One operation each in ONNX, which runtimes join to the convolution before. jax2onnx replaces these functions while it
# runs, so they are looked up late.
_ACTIVATIONS = {"relu": lambda x: jax.nn.relu(x), "relu6": lambda x: jnp.clip(x, 0.0, 6.0)}
_RULES = {
    "scan": _scan,
    "jit": _call,
    "custom_jvp_call": _custom,
    "dim_as_value": _dimension,
    "dynamic_slice": _window,
    "dynamic_update_slice": _insert,
    "pad": _pad,
    "broadcast_in_dim": _broadcast,
    "dot_general": _dot,
}
