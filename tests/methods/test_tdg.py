"""TDG: transformations and their inverses, patches, training that is taken up again, a planted anomaly."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import Training, tdg, tdg_networks, tdg_steps, tdg_training
from fastrecon_jax.methods import tdg_transformations as transformations
from fastrecon_jax.training import checkpoints

QUIET = Training(progress=False)
TINY = {
    "coarsest": 16,
    "finest": 24,
    "scales": 2,
    "width": 8,
    "steps": 80,
    "updates": 2,
    "transformations": 4,
    "side": 32,
}
BRIEF = TINY | {"steps": 4, "coarsest": 12, "finest": 13, "updates": 1}


def pictures(seed, count):
    """A ramp that tells each quarter turn, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 4, (count, 32, 32, 3))
    ramp = np.broadcast_to(np.linspace(40, 200, 32)[:, None, None], (32, 32, 3))
    return np.clip(ramp[None] + noise, 0, 255).astype(np.uint8)


def defective(image):
    """A piece of the ramp that runs the other way."""
    marked = image.copy()
    marked[2:13, 2:13] = marked[2:13, 2:13][::-1]
    return marked


def fit(images, seed=0, training=QUIET, **given):
    return methods.create("tdg", given, map_size=32).images.fit(None, images, jax.random.key(seed), training)


@pytest.fixture(autouse=True)
def short_segments(monkeypatch):
    monkeypatch.setattr(tdg_training, "SEGMENT", 2)


@functools.cache
def fitted():
    losses = []
    train = tdg_training.loop.train

    def kept(*arguments, **options):
        losses.append(train(*arguments, **options))
        return losses[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tdg_training.loop, "train", kept)
        return fit(pictures(0, 3), **TINY), [trained.losses for trained in losses]


@functools.cache
def scoring(lowest=1.0):
    return jax.jit(functools.partial(methods.create("tdg", TINY | {"lowest": lowest}, map_size=32).images.score, None))


def scored(state, image, lowest=1.0):
    return scoring(lowest)(state, jnp.asarray(image, jnp.float32))


def test_a_planted_anomaly_is_found_and_the_loss_falls_below_chance():
    state, losses = fitted()
    # M transformations, and the class of generated patches.
    assert len(losses) == 2
    assert all(of_scale[-1] < math.log(5) for of_scale in losses)
    assert losses[0][-1] < losses[0][0]
    good = [scored(state, image) for image in pictures(1, 3)]
    values, score = scored(state, defective(pictures(2, 1)[0]))
    assert score > max(of_good for _, of_good in good)
    assert values.shape == (32, 32)
    assert 0 <= values.min() <= values.max() <= 1
    # The quarter that holds it, and the one farthest from it.
    assert values[:16, :16].mean() > 1.5 * values[16:, 16:].mean()
    low = [scored(state, image, 0.1)[1] for image in (*pictures(1, 3), defective(pictures(2, 1)[0]))]
    assert low[3] > max(low[:3])
    assert low[3] > score  # the patches that fit worst


def test_the_same_key_gives_the_same_digits_and_another_one_others():
    one, again, other = (fit(pictures(0, 3), seed, **BRIEF) for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, one, again)
    assert np.abs(one.discriminators[0][0][0] - other.discriminators[0][0][0]).max() > 1e-3


def test_an_interrupted_training_goes_on_to_the_same_digits(tmp_path, monkeypatch):
    save, saved = checkpoints.save, []

    def interrupted(directory, identity, checkpoint):
        save(directory, identity, checkpoint)
        saved.append((directory.name, checkpoint.step))
        if len(saved) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", interrupted)
    training = Training(tmp_path / "state", progress=False)
    with pytest.raises(KeyboardInterrupt):
        fit(pictures(0, 3), training=training, **BRIEF)
    resumed = fit(pictures(0, 3), training=training, **BRIEF)
    assert saved == [("scale_1", 2), ("scale_1", 4), ("scale_2", 2), ("scale_2", 4)]
    jax.tree.map(np.testing.assert_array_equal, resumed, fit(pictures(0, 3), **BRIEF))
    with pytest.raises(InputError, match="holds checkpoints of another training run, which differs in images"):
        fit(pictures(5, 3), training=training, **BRIEF)


def test_a_loss_that_is_not_finite_stops_with_its_step(monkeypatch):
    plain = tdg_steps.Iteration.__call__

    def diverging(self, state, key, number, data):
        after, loss = plain(self, state, key, number, data)
        return after, jnp.where(number == 2, jnp.nan, loss)

    monkeypatch.setattr(tdg_steps.Iteration, "__call__", diverging)
    message = "tdg, scale 1 of 2: the loss is not finite at step 3; nothing was saved"
    with pytest.raises(InputError, match=message):
        fit(pictures(0, 2), **BRIEF | {"width": 7})  # a program of its own


def test_without_a_generator_the_classes_are_the_transformations():
    with_one, without = fit(pictures(0, 3), **BRIEF), fit(pictures(0, 3), generator=False, **BRIEF)
    assert [state.discriminators[0][-1][0].shape[-1] for state in (with_one, without)] == [5, 4]
    method = methods.create("tdg", BRIEF | {"generator": False}, map_size=32)
    values, score = method.images.score(None, without, jnp.asarray(pictures(1, 1)[0], jnp.float32))
    assert np.isfinite(values).all() and 0 < score < 1


@pytest.mark.parametrize("count", transformations.LISTS)
def test_transformations_are_as_many_as_they_say_and_all_different(count):
    listed = transformations.LISTS[count]
    image = jnp.asarray(np.random.default_rng(0).random((2, 16, 16, 3)), jnp.float32)
    made = jax.jit(transformations.transformed, static_argnums=1)(image, listed)
    assert made.shape == (count, 2, 16, 16, 3)
    np.testing.assert_array_equal(made[0], image)
    assert len({np.asarray(x).tobytes() for x in made}) == len(set(listed)) == count


def test_a_transformation_is_mirror_shift_turn_and_grey_in_this_order():
    image = np.random.default_rng(0).random((1, 20, 20, 3)).astype(np.float32)
    assert transformations.distance(20) == 3
    listed = (transformations.Transformation(flip=True, across=1, down=-1, quarters=1, grey=True),)
    expected = np.pad(image[0, :, ::-1], ((0, 3), (3, 0), (0, 0)), "reflect")[3:, :20]
    expected = np.rot90(expected) @ np.float32(transformations.GREY)
    made = transformations.transformed(jnp.asarray(image), listed)[0, 0]
    np.testing.assert_allclose(made, np.repeat(expected[..., None], 3, axis=-1), atol=1e-6)


@pytest.mark.parametrize("count", [16, 54])
def test_every_transformation_is_undone(count):
    listed = transformations.LISTS[count]
    image = jnp.asarray(np.random.default_rng(0).random((1, 14, 14, 1)), jnp.float32)
    plain = tuple(transformation._replace(grey=False) for transformation in listed)
    made = transformations.transformed(image, plain)[:, 0, :, :, 0]
    back, defined = transformations.brought_back(made, listed, transformations.distance(14))
    np.testing.assert_array_equal(back, defined * image[0, None, :, :, 0])
    assert {int(x) for x in defined.sum(axis=(1, 2))} == {14 * 14, 12 * 14, 12 * 12} - ({144} if count == 16 else set())


def test_a_patch_has_eleven_pixels_and_no_more():
    network, moments = tdg_networks.initialise(3, 4, 5, jax.random.key(0))
    layers = tdg_networks.folded(network, moments)
    gradient = jax.grad(lambda x: tdg_networks.plain(layers, x)[0, 4, 4].sum())(jnp.ones((1, 20, 20, 3)))
    seen = np.abs(gradient[0]).sum(axis=-1) > 0
    expected = np.zeros((20, 20), bool)
    expected[4 : 4 + tdg_networks.RECEPTIVE_FIELD, 4 : 4 + tdg_networks.RECEPTIVE_FIELD] = True
    np.testing.assert_array_equal(seen, expected)


def test_gradients_of_the_convolution_are_those_of_xla():
    x, kernel = (jax.random.normal(jax.random.key(i), shape) for i, shape in enumerate([(2, 7, 6, 3), (3, 3, 3, 4)]))

    def plain(x, kernel):
        numbers = ("NHWC", "HWIO", "NHWC")
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=numbers)

    def total(convolve):
        return jax.grad(lambda x, kernel: jnp.sin(convolve(x, kernel)).sum(), (0, 1))(x, kernel)

    jax.tree.map(
        functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5),
        total(tdg_networks._convolved),
        total(plain),
    )


def test_folded_statistics_score_as_the_batch_did():
    network, _ = tdg_networks.initialise(3, 4, 5, jax.random.key(0))
    images = jax.random.normal(jax.random.key(1), (2, 3, 12, 12, 3))
    outputs, seen = tdg_networks.forward(network, images)
    for group in range(2):
        layers = tdg_networks.folded(network, jax.tree.map(lambda x, i=group: x[i], seen))
        np.testing.assert_allclose(tdg_networks.plain(layers, images[group]), outputs[group], atol=1e-5)


def test_presets():
    small, paper = (tdg.sizes_of(tdg.Settings(trained_preset=name)) for name in ("small", "paper"))
    assert small.sides() == (16, 23, 32)
    assert paper.sides() == (25, 32, 40, 51, 64)
    assert (paper.transformations, paper.width, paper.steps, paper.updates, paper.step_images) == (54, 32, 1000, 3, 0)
    # Twice the width at the fifth scale, whose weights are new.
    tiny = paper._replace(coarsest=11, finest=15, width=2, transformations=4)
    states = [tdg_training._start(i, tiny, None, jax.random.key(0), generator=True) for i in (3, 4)]
    assert [state.discriminator.network.kernel.shape[2] for state in states] == [2, 4]
    assert methods.create("tdg").images.sides == (128,)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trained_preset": "big"}, "--trained_preset=big is not allowed: it must be one of small, paper"),
        ({"coarsest": 10}, "--coarsest=10 is not allowed: it must be from 11 to"),
        ({"coarsest": 40}, "--finest=0 is not allowed: 3 scales from 40 pixels on need at least 42, and it is 32"),
        ({"finest": 200}, "--side=0 is not allowed: it is 128, which cannot be reduced to --finest, 200"),
        ({"transformations": 5}, "--transformations=5 is not allowed: it must be one of 4, 16, 42, 54"),
        ({"lowest": 0.0}, "--lowest=0.0 is not allowed: it must be a number above 0 and at most 1"),
        ({"steps": -1}, "--steps=-1 is not allowed: it must be from 1 to"),
    ],
)
def test_values_out_of_range_are_refused(given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        methods.create("tdg", given)


def test_features_are_refused():
    with pytest.raises(InputError, match="tdg works on images, not on features: only eval runs it"):
        methods.create("tdg").embed(())
