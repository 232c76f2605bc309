"""DifferNet: three sizes, rotations, training that is taken up again, scores and maps of a planted anomaly."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import encoders, methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import Training, differnet, flow
from fastrecon_jax.methods import differnet_features as features
from fastrecon_jax.training import checkpoints
from tests.exporting import small_encoder

ENCODER = encoders.create("small", weights="random", stages=("fine",))
TINY = {"hidden": 16, "blocks": 1, "steps": 40, "bank_rotations": 4, "score_rotations": 2, "side": 32}
assert small_encoder.build  # it is registered
KINDS = differnet.SQUARE, differnet.LIKELIHOOD
QUIET = Training(progress=False)
ENCODE = jax.jit(lambda encoder, images: encoder(images))
pooled = jax.jit(features.pooled)


def pictures(seed, count):
    """A grey disc on black, as it lies the same at every angle, with a little noise."""
    noise = np.random.default_rng(seed).normal(0, 6, (count, 32, 32, 3))
    rows, columns = np.mgrid[:32, :32] - 15.5
    disc = np.where(rows**2 + columns**2 < 13**2, 120.0, 0.0)[None, :, :, None]
    return np.clip(disc + noise, 0, 255).astype(np.uint8)


def defective(image):
    marked = image.copy()
    marked[10:15, 18:23] = (255, 40, 40)
    return marked


def tiny(**settings):
    return methods.create("differnet", TINY | settings, map_size=32)


@functools.cache
def fitted(seed=0):
    return tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(seed), QUIET)


def scores_of(state, images):
    """Maps, and image scores of either kind."""
    square, likelihood = (functools.partial(tiny(score=kind).images.score, ENCODER, state) for kind in KINDS)

    def of_image(image):
        values, score = square(image)
        return values, score, likelihood(image)[1]

    return jax.jit(lambda x: jax.lax.map(of_image, x))(jnp.asarray(images, jnp.float32))


def test_a_planted_anomaly_is_found():
    queries = np.concatenate([pictures(1, 4), defective(pictures(2, 1)[0])[None]])
    maps, scores, likelihoods = scores_of(fitted(), queries)
    assert maps.shape == (5, 32, 32)
    assert np.isfinite(maps).all() and (np.asarray(maps) >= 0).all()
    assert scores[4] > scores[:4].max()
    # The map is higher about the anomaly than in the rest of the same image.
    inside = np.zeros((32, 32), bool)
    inside[8:17, 16:25] = True
    assert maps[4][inside].mean() > 1.5 * maps[4][~inside].mean()
    assert likelihoods[4] > likelihoods[:4].max()
    assert np.abs(likelihoods - scores).max() > 1e-3


def test_the_same_key_gives_the_same_scores_and_another_one_others():
    again = tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(0), QUIET)
    jax.tree.map(np.testing.assert_array_equal, again, fitted())
    other = tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(1), QUIET)
    assert np.abs(other.blocks[0].first[0][0] - fitted().blocks[0].first[0][0]).max() > 0.01


def test_an_interrupted_training_goes_on_to_the_same_digits(tmp_path, monkeypatch):
    monkeypatch.setattr(differnet, "SEGMENT", TINY["steps"] // 2)
    save, saved = checkpoints.save, []

    def interrupted(directory, identity, checkpoint):
        save(directory, identity, checkpoint)
        saved.append(checkpoint.step)
        if len(saved) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", interrupted)
    training = Training(tmp_path / "state", progress=False)
    with pytest.raises(KeyboardInterrupt):
        tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(0), training)
    resumed = tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(0), training)
    assert saved == [20, 40]
    whole = tiny().images.fit(ENCODER, pictures(0, 3), jax.random.key(0), QUIET)
    jax.tree.map(np.testing.assert_array_equal, resumed, whole)
    with pytest.raises(InputError, match="holds checkpoints of another training run, which differs in bank"):
        tiny().images.fit(ENCODER, pictures(5, 3), jax.random.key(0), training)


def test_a_loss_that_is_not_finite_stops_with_its_step(monkeypatch):
    plain = flow.step

    def diverging(state, key, number, bank):
        after, loss = plain(state, key, number, bank)
        return after, jnp.where(number == 6, jnp.nan, loss)

    monkeypatch.setattr(flow, "step", diverging)
    with pytest.raises(InputError, match="differnet: the loss is not finite at step 7; nothing was saved"):
        tiny().images.fit(ENCODER, pictures(0, 2), jax.random.key(0), QUIET)


def test_features_are_means_at_three_sizes():
    images = jnp.asarray(pictures(0, 2), jnp.float32)
    expected = [ENCODE(ENCODER, images[:, ::step, ::step])[0].mean(axis=(1, 2)) for step in (1, 2, 4)]
    np.testing.assert_allclose(pooled(ENCODER, images), np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-6)
    assert features.sides(448) == (448, 224, 112)


def test_rotations_do_not_depend_on_how_many_are_computed_together():
    image = jnp.asarray(pictures(0, 1)[0], jnp.float32)
    for count in (3, 11, 16):  # 3, 1 and 8 together
        rows = jax.jit(features.of_rotations, static_argnums=2)(ENCODER, image, count)
        assert rows.shape == (count, 3 * 16)
        for i in (0, count - 1):
            alone = pooled(ENCODER, features.turned(image, jnp.float32([i * 360 / count])))[0]
            np.testing.assert_allclose(rows[i], alone, rtol=1e-4, atol=1e-5)


def test_patches_that_are_not_whole_are_left_out():
    images = jnp.asarray(pictures(0, 1), jnp.float32)
    entry = dataclasses.replace(ENCODER.registration, multiple=6)
    # Sides of 32, 16 and 8 pixels become 30, 12 and 6.
    cut = pooled(dataclasses.replace(ENCODER, registration=entry), images)
    expected = [
        ENCODE(ENCODER, images[:, ::step, ::step][:, :side, :side])[0].mean(axis=(1, 2))
        for step, side in ((1, 30), (2, 12), (4, 6))
    ]
    np.testing.assert_allclose(cut, np.concatenate(expected, axis=1), rtol=1e-4, atol=1e-6)


def test_scale_of_the_features():
    state = fitted()
    rows = jax.jit(functools.partial(features.of_rotations, count=4))
    bank = np.stack([rows(ENCODER, jnp.asarray(x, jnp.float32)) for x in pictures(0, 3)])
    np.testing.assert_allclose(state.mean, bank.mean((0, 1)), rtol=1e-3, atol=1e-5)
    spread = bank.std((0, 1))
    least = 0.1 * np.sqrt((spread**2).mean())
    np.testing.assert_allclose(state.scale, np.maximum(spread, least), rtol=1e-2, atol=1e-5)
    assert (spread < least).any()  # with random weights some channels hardly change
    plain = tiny(standardise="no", steps=1).images.fit(ENCODER, pictures(0, 2), jax.random.key(0), QUIET)
    assert (plain.mean == 0).all() and (plain.scale == 1).all()


def test_presets():
    small, paper = (differnet.sizes_of(differnet.Settings(trained_preset=name)) for name in ("small", "paper"))
    assert paper == differnet.Preset(448, 2048, 8, 192, 64, 64, (32,), False)
    assert (small.hidden, small.blocks, small.steps, small.bank_rotations, small.score_rotations) == (
        512,
        8,
        192,
        16,
        8,
    )
    assert methods.create("differnet", map_size=96).images.sides == (96, 48, 24)
    assert methods.create("differnet", {"trained_preset": "paper"}, map_size=96).images.sides == (448, 224, 112)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"trained_preset": "big"}, "--trained_preset=big is not allowed: it must be one of small, paper"),
        ({"score": "max"}, "--score=max is not allowed: it must be square or likelihood"),
        ({"standardise": "true"}, "--standardise=true is not allowed: it must be one of preset, yes, no"),
        ({"hidden": 1}, "--hidden=1 is not allowed: it must be from 2 to"),
        ({"steps": -1}, "--steps=-1 is not allowed: it must be from 1 to"),
        ({"side": -4}, "--side=-4 is not allowed: it must be from 0 to"),
    ],
)
def test_values_out_of_range_are_refused(given, message):
    with pytest.raises(InputError, match=f"^{message}"):
        methods.create("differnet", given)


def test_an_odd_number_of_channels_is_refused():
    sizes = differnet.sizes_of(differnet.Settings(**TINY))
    with pytest.raises(InputError, match="the 9 channels of fine at 3 sizes are an odd number, choose other"):
        differnet.fit(
            ENCODER, pictures(0, 1), jax.random.key(0), QUIET, chosen=sizes, encode=lambda *_: jnp.ones((2, 9))
        )


def test_features_and_parts_are_refused():
    with pytest.raises(InputError, match="differnet works on images, not on features: only eval runs it"):
        methods.create("differnet").embed(())
    with pytest.raises(InputError, match=r"^--method=differnet is not possible here: it is trained on the images"):
        methods.check_makes_parts("differnet")
    assert "differnet" in methods.names()
    assert "differnet" not in methods.feature_names()
