import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.exporting import flat
from tests.helpers import assert_close

X = np.random.default_rng(0).integers(0, 256, (3, 4, 5, 3), np.uint8)
TABLE = jnp.arange(12, dtype=jnp.float32).reshape(3, 4)


def as_floats(x):
    return x.astype(jnp.float32)


def looped(x):
    def step(carry, row):
        return carry * 0.5 + row.sum(), carry + jnp.sum(row[None, None, None] * as_floats(x)[..., :1])

    total, sums = jax.lax.scan(step, jnp.float32(1), TABLE)
    return as_floats(x).mean((1, 2, 3)) + total, sums


def mapped(x):
    return jax.vmap(lambda one: jax.lax.map(lambda row: jnp.dot(row[:3], as_floats(one)[0, 0]), TABLE))(x)


def broadcast(x):
    return jax.vmap(lambda one: jnp.where(TABLE > 3, TABLE, jnp.sum(as_floats(one))))(x)


def padded(x):
    return jnp.pad(jax.nn.relu6(as_floats(x) - 3), ((0, 0), (1, 2), (0, 1), (0, 0)), constant_values=7.0)


def activated(x):
    return jax.nn.relu(as_floats(x) - 100)


def products(x):
    y = as_floats(x)
    last = jnp.einsum("bhwc,dc->bhwd", y, TABLE[:, :3])
    first = jnp.einsum("hH,bhwc->bHwc", TABLE.T, y)
    return last, first, jnp.einsum("bhwc,bhvc->bhwv", y, y), jnp.einsum("bhwc,bhwc->b", y, y)


def written(x):
    """Pieces are cut out and written back at places that a scan knows, one of them beyond the end."""

    def step(carry, place):
        top, left = place
        piece = jax.lax.dynamic_slice_in_dim(
            jax.lax.dynamic_slice_in_dim(as_floats(x), top, 2, axis=1), left, 3, axis=2
        )
        return jax.lax.dynamic_update_slice(carry, piece + 1000.0, (0, top, left, 0)), None

    return jax.lax.scan(step, as_floats(x), jnp.array([[0, 0], [1, 2], [9, 1]]))[0]


FUNCTIONS = [looped, mapped, broadcast, padded, activated, products, written]


@pytest.mark.parametrize("function", FUNCTIONS, ids=lambda function: function.__name__)
def test_a_flat_function_is_the_same_function_without_loops_calls_and_pads(function):
    (b,) = jax.export.symbolic_shape("b")
    symbolic = jax.ShapeDtypeStruct((b, *X.shape[1:]), jnp.uint8)
    flattened = flat.flatten(function, symbolic)
    jaxpr = jax.make_jaxpr(flattened)(symbolic).jaxpr
    assert not {equation.primitive.name for equation in jaxpr.eqns} & {
        *("scan", "while", "pad"),
        *("dynamic_slice", "dynamic_update_slice"),
    }

    flattened = flat.flatten(function, jax.ShapeDtypeStruct(X.shape, X.dtype))
    for actual, expected in zip(
        jax.tree.leaves(jax.jit(flattened)(X)), jax.tree.leaves(function(jnp.asarray(X))), strict=True
    ):
        assert_close(actual, expected, 1e-6)


def test_what_does_not_depend_on_the_argument_is_computed_beforehand():
    def function(x):
        return as_floats(x).sum() + jnp.linalg.norm(jnp.sin(TABLE) @ TABLE.T)

    (b,) = jax.export.symbolic_shape("b")
    symbolic = jax.ShapeDtypeStruct((b, *X.shape[1:]), jnp.uint8)
    jaxpr = jax.make_jaxpr(flat.flatten(function, symbolic))(symbolic).jaxpr
    assert not {equation.primitive.name for equation in jaxpr.eqns} & {"sin", "dot_general", "sqrt"}


def test_a_scan_backwards_is_refused():
    def function(x):
        return jax.lax.scan(lambda carry, row: (carry + row.sum(), carry), as_floats(x).sum(), TABLE, reverse=True)

    argument = jax.ShapeDtypeStruct(X.shape, X.dtype)
    with pytest.raises(NotImplementedError, match="a scan that runs backwards"):
        flat.flatten(function, argument)(X)
