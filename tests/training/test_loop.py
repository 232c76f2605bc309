"""The training loop: segments, checkpoints, and a stop where the loss is not finite."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.training import loop

TARGET = jnp.array([1.0, -2.0, 3.0])
ADAM = optax.adam(0.1)


def loss(parameters, count, key, data):
    noise = 0.1 * jax.random.normal(key, data.shape)
    return jnp.square(parameters["w"] - data - noise).mean(), count + 1


STEP = loop.gradient_step(loss, ADAM)


def run(steps=20, step=STEP, seed=0, **options):
    state = loop.start({"w": jnp.zeros(3)}, ADAM, jnp.zeros((), int))
    return loop.train(step, state, jax.random.key(seed), steps, data=TARGET, progress=False, **options)


def assert_equal(one, other):
    jax.tree.map(np.testing.assert_array_equal, one, other)


def interrupted_after(calls):
    """A step whose program can be made only so many times."""
    left = [calls]

    def step(*arguments):
        left[0] -= 1
        if left[0] < 0:
            raise KeyboardInterrupt
        return STEP(*arguments)

    return step


def test_the_loss_decreases_and_what_changes_along_is_kept():
    trained = run(100)
    assert trained.losses.shape == (100,)
    assert trained.losses[-1] < trained.losses[0] / 20
    assert int(trained.state.extra) == 100


def test_segments_change_no_digit():
    assert_equal(run(20, segment=20), run(20, segment=7))


def test_it_is_the_plain_loop():
    state = loop.start({"w": jnp.zeros(3)}, ADAM, jnp.zeros((), int))
    for i in range(5):
        state, _ = STEP(state, jax.random.fold_in(jax.random.key(0), i), jnp.asarray(i), TARGET)
    np.testing.assert_allclose(run(5).state.parameters["w"], state.parameters["w"], rtol=1e-5)


def test_an_interrupted_run_goes_on_to_the_same_digits(tmp_path):
    whole = run(20, segment=8)
    directory = tmp_path / "run"
    # The last segment is shorter and so a program of its own, before which the first run dies.
    with pytest.raises(KeyboardInterrupt):
        run(20, segment=8, step=interrupted_after(1), directory=directory)
    assert [path.name for path in directory.iterdir() if path.name.isdigit()] == ["16"]
    calls = []

    def counted(*arguments):
        calls.append(arguments)
        return STEP(*arguments)

    assert_equal(run(20, segment=8, step=counted, directory=directory), whole._replace(resumed=16))
    assert len(calls) == 1  # traced once, for the four steps that were left
    # A finished run is read, not repeated.
    assert_equal(run(20, segment=8, step=interrupted_after(0), directory=directory), whole._replace(resumed=20))


@pytest.mark.parametrize("change", [{"seed": 1}, {"steps": 30}, {"identity": {"rate": 2}}])
def test_checkpoints_of_another_run_are_refused(tmp_path, change):
    run(4, identity={"rate": 1}, directory=tmp_path)
    with pytest.raises(InputError, match="of another training run, which differs in"):
        run(**{"steps": 4, "identity": {"rate": 1}, "directory": tmp_path} | change)


@pytest.mark.parametrize("kept", [False, True])
def test_a_loss_that_is_not_finite_stops_at_its_step(tmp_path, kept):
    def diverging(state, key, number, data):
        state, value = STEP(state, key, number, data)
        return state, jnp.where(number == 12, jnp.nan, value)

    with pytest.raises(loop.NotFiniteError, match=r"the loss is not finite at step 13; .*") as caught:
        run(20, segment=5, step=diverging, directory=tmp_path if kept else None)
    assert caught.value.step == 13
    if kept:
        assert "checkpoint, of step 10, is in" in str(caught.value)
        assert [path.name for path in tmp_path.iterdir() if path.name.isdigit()] == ["10"]


def test_a_weight_that_is_not_finite_is_never_kept(tmp_path):
    def diverging(state, key, number, data):
        state, value = STEP(state, key, number, data)
        return state._replace(parameters={"w": jnp.where(number == 19, jnp.inf, state.parameters["w"])}), value

    with pytest.raises(loop.NotFiniteError, match="a weight is not finite at step 20"):
        run(20, segment=10, step=diverging, directory=tmp_path)
    assert [path.name for path in tmp_path.iterdir() if path.name.isdigit()] == ["10"]


def test_draws_at_once_are_the_loop_over_draws():
    def start():
        return loop.start({"w": jnp.zeros(3)}, ADAM, jnp.zeros((), int))

    targets = jnp.stack([TARGET, 2 * TARGET])
    both = loop.train(
        jax.vmap(STEP, (0, None, None, 0)),
        jax.tree.map(lambda x: jnp.stack([x, x]), start()),
        jax.random.key(0),
        10,
        data=targets,
        progress=False,
    )
    assert both.losses.shape == (10, 2)
    for i, target in enumerate(targets):
        alone = loop.train(STEP, start(), jax.random.key(0), 10, data=target, progress=False)
        np.testing.assert_allclose(both.state.parameters["w"][i], alone.state.parameters["w"], rtol=1e-5)
