"""DifferNet's flow: inverse, determinant, couplings against numpy, training on a bank of vectors."""

import jax
import jax.numpy as jnp
import numpy as np

from fastrecon_jax.methods import flow
from fastrecon_jax.training import loop

SMALL = flow.Shape(6, hidden=16, blocks=3)
ORDERS = jnp.asarray(flow.permutations(SMALL))


def vectors(*shape):
    return jnp.asarray(np.random.default_rng(0).standard_normal((*shape, 6)), jnp.float32)


def in_numpy(blocks, y):
    """The published formulas in float64."""

    def network(layers, x):
        for i, (weight, bias) in enumerate(layers):
            x = x @ np.asarray(weight, np.float64) + np.asarray(bias, np.float64)
            x = np.maximum(x, 0) if i < 3 else x
        return 0.636 * 3 * np.arctan(x[:3] / 3), x[3:]

    total = 0.0
    for k, (first, second) in enumerate(blocks):
        y = y[np.random.RandomState(k).permutation(6)]
        s, t = network(second, y[3:])
        u = y[:3] * np.exp(s) + t
        total += s.sum()
        s, t = network(first, u)
        y = np.concatenate([u, y[3:] * np.exp(s) + t])
        total += s.sum()
    return y, total


def test_the_inverse_comes_back():
    shape = flow.Shape(64, hidden=32)
    blocks, orders = flow.initialise(shape, jax.random.key(1)), jnp.asarray(flow.permutations(shape))
    y = jax.random.normal(jax.random.key(2), (64,))
    z, _ = flow.forward(blocks, orders, y)
    assert np.abs(z - y).max() > 0.1
    np.testing.assert_allclose(flow.inverse(blocks, orders, z), y, atol=1e-5)


def test_the_determinant_is_that_of_the_jacobian():
    blocks, y = flow.initialise(SMALL, jax.random.key(0)), vectors()
    _, determinant = flow.forward(blocks, ORDERS, y)
    jacobian = jax.jacfwd(lambda y: flow.forward(blocks, ORDERS, y)[0])(y)
    np.testing.assert_allclose(determinant, jnp.linalg.slogdet(jacobian)[1], atol=1e-5)


def test_couplings_are_the_formulas_in_float64():
    blocks, y = flow.initialise(SMALL, jax.random.key(0)), vectors()
    for actual, expected in zip(flow.forward(blocks, ORDERS, y), in_numpy(blocks, np.asarray(y, float)), strict=True):
        np.testing.assert_allclose(actual, expected, atol=1e-5)


def test_scales_are_bounded():
    assert float(jnp.abs(flow.soft_clamp(jnp.array([-1e9, 1e9]))).max()) < 3
    np.testing.assert_allclose(flow.soft_clamp(jnp.array([0.01])), 0.636 * 0.01, rtol=1e-4)


def trained(bank, seed=0, step=flow.step, steps=60):
    state = loop.start(flow.initialise(SMALL, jax.random.key(seed)), flow.optimiser())
    return loop.train(step, state, jax.random.key(seed), steps, data=bank, progress=False)


def test_the_loss_decreases_and_a_shifted_vector_is_ranked_last():
    bank = 0.1 * vectors(3, 16) + 1
    run = trained(bank, steps=100)
    assert run.losses[-10:].mean() < run.losses[:10].mean() - 0.1
    good = 0.1 * jax.random.normal(jax.random.key(5), (20, 6)) + 1
    queries = jnp.concatenate([good, good[:1] + 3])
    z, _ = jax.vmap(flow.forward, (None, None, 0))(run.state.parameters, ORDERS, queries)
    assert int(jnp.square(z).mean(axis=1).argmax()) == 20


def test_draws_at_once_are_the_loop_over_draws():
    banks = jnp.stack([vectors(2, 8), 2 * vectors(2, 8)])
    state = loop.start(flow.initialise(SMALL, jax.random.key(0)), flow.optimiser())
    both = loop.train(
        jax.vmap(flow.step, (0, None, None, 0)),
        jax.tree.map(lambda x: jnp.stack([x, x]), state),
        jax.random.key(0),
        10,
        data=banks,
        progress=False,
    )
    for i, bank in enumerate(banks):
        np.testing.assert_allclose(both.losses[:, i], trained(bank, steps=10).losses, rtol=1e-4)
