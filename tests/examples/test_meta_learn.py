"""Meta-learning: gradients through the scores to lam, the stages' weights and the projection."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import scoring
from fastrecon_jax.methods import fastrecon
from tests.helpers import assert_close, correlated_features

WIDTHS = (4, 8)


@pytest.fixture
def meta(examples):
    import meta_learn

    return meta_learn


@pytest.fixture
def categories(meta):
    """Two categories whose defects show in the first channel of one position."""
    found = []
    for seed in (0, 1):
        features = correlated_features(np.random.default_rng(seed), 18, 4, 4, sum(WIDTHS), rank=12)
        defective = np.arange(10) >= 5
        features[13:, 2, 1, 0] += 3
        found.append(meta.Features(features[:8], features[8:], defective))
    return found


def episode(meta, category):
    return jax.tree.map(jnp.asarray, meta.sample(np.random.default_rng(0), category, shots=3, queries=4))


@functools.cache
def program(meta):
    return jax.jit(meta.ranking_loss, static_argnames=("widths", "temperature"))


def loss(meta, settings, one, temperature=0.3):
    return program(meta)(settings, one, widths=WIDTHS, temperature=temperature)


def test_rank_0_begins_with_the_published_settings(meta, categories):
    one = episode(meta, categories[0])
    state = jax.jit(fastrecon.fit)(one.support, jax.random.key(0))
    expected = jax.jit(jax.vmap(lambda x: scoring.image_score(fastrecon.score(state, x))))(one.good)
    settings = meta.initial(WIDTHS, 0, jax.random.key(0))
    scores = jax.jit(functools.partial(meta.image_scores, widths=WIDTHS))(settings, one.support, one.good)
    assert_close(scores, expected)


def learn(meta, categories, config):
    with jax.numpy_dtype_promotion("standard"):  # optax's Adam promotes its counter
        return meta.learn(categories, WIDTHS, config)


@pytest.mark.parametrize("rank", [0, 5])
def test_gradients_are_the_slopes_of_the_loss(meta, categories, rank):
    one, settings = episode(meta, categories[0]), meta.initial(WIDTHS, rank, jax.random.key(1))
    value_and_slope = jax.jit(jax.value_and_grad(lambda x: loss(meta, x, one)))
    for name, slope in value_and_slope(settings)[1]._asdict().items():
        if slope is None:
            continue
        assert jnp.isfinite(slope).all()
        assert jnp.abs(slope).max() > 0
        step = 1e-4 * slope / jnp.square(slope).sum()  # changes the loss by 1e-4
        above, below = (
            value_and_slope(settings._replace(**{name: getattr(settings, name) + sign * step}))[0] for sign in (1, -1)
        )
        assert_close(jnp.vdot(slope, step), (above - below) / 2, tolerance=1e-2)


def test_the_loss_knows_no_scale(meta, categories):
    one, settings = episode(meta, categories[0]), meta.initial(WIDTHS, 5, jax.random.key(1))
    assert_close(
        loss(meta, settings._replace(stages=settings.stages + 1.5), one), loss(meta, settings, one), tolerance=1e-4
    )


def test_the_loss_is_small_where_defects_score_high(meta, categories):
    one, settings = episode(meta, categories[0]), meta.initial(WIDTHS, 0, jax.random.key(0))
    turned = one._replace(good=one.defective, defective=one.good)
    assert loss(meta, settings, one, 0.01) < loss(meta, settings, turned, 0.01)
    same = one._replace(defective=one.good[:1], good=one.good[:1])
    assert_close(loss(meta, settings, same), np.log(2))


def test_learning_lowers_the_loss_and_depends_on_the_seed_alone(meta, categories):
    config = meta.MetaConfig(shots=3, queries=4, steps=20, rank=5, learning_rate=0.05)
    learned, losses = learn(meta, categories, config)
    assert np.mean(losses[-5:]) < 0.8 * np.mean(losses[:5])
    start = meta.initial(WIDTHS, 5, jax.random.key(0))
    assert all((now != then).all() for now, then in zip(learned, start, strict=True))
    again, same = learn(meta, categories, config)
    assert same == losses
    assert all((now == then).all() for now, then in zip(learned, again, strict=True))


def test_no_image_is_both_in_the_support_and_a_query(meta):
    numbers = np.arange(18, dtype=np.float32)[:, None, None, None]
    category = meta.Features(numbers[:8], numbers[8:], np.arange(10) >= 5)
    for seed in range(20):
        drawn = meta.sample(np.random.default_rng(seed), category, shots=3, queries=9)
        taken, good, bad = (set(x.ravel().tolist()) for x in drawn)
        assert len(taken) == 3
        assert not taken & good
        assert good <= set(range(13))
        assert bad <= set(range(13, 18))


def test_nothing_is_learned_from_what_is_held_out(meta, data):
    dataset = meta.datasets.open_dataset("", str(data))
    assert meta.split(meta.MetaConfig(held_out=("part",)), dataset) == (("other",), ("part",))
    with pytest.raises(ValueError, match="cannot be learned from and held out: part"):
        meta.split(meta.MetaConfig(category=("part", "other"), held_out=("part",)), dataset)
    with pytest.raises(ValueError, match="nothing is left to learn from: other, part are held out"):
        meta.split(meta.MetaConfig(), dataset)
