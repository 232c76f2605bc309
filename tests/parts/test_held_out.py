"""Images that are held out of a fit, one by one or a few at a time."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.methods import fastrecon_plus
from fastrecon_jax.parts import fitting, held_out
from fastrecon_jax.parts.engine import open_engine
from tests.helpers import assert_close
from tests.parts.helpers import photo, recipe, settings


@pytest.mark.parametrize("count", [2, 5, 16, 17, 33, 50, 100, 257, 1000])
def test_each_image_is_held_out_once_in_at_most_sixteen_folds(count):
    folds = held_out.folds(count)
    assert sorted(np.concatenate(folds)) == list(range(count))
    assert len(folds) == count if count <= held_out.MOST_FOLDS else len(folds) <= held_out.MOST_FOLDS
    # Neighbours in the list stay in the fit.
    assert all(np.diff(fold).min() > 1 for fold in folds if len(fold) > 1)


def test_folds_of_several_images_are_fits_without_them(monkeypatch):
    monkeypatch.setattr(held_out, "MOST_FOLDS", 2)
    known, bars = open_engine(recipe("nearest")), []

    class Bar:
        def __init__(self, **options):
            self.n = 0
            bars.append(options | {"bar": self})

        __enter__ = lambda self: self  # noqa: E731
        __exit__ = lambda self, *error: None  # noqa: E731

        def update(self, count):
            self.n += count

    stages = fitting.encode(known, np.stack([photo(seed).pixels for seed in range(4)]))
    found = held_out.inspect(known, None, stages, (), bars=Bar).inspection
    for held in held_out.folds(4, 2):
        others = np.setdiff1d(np.arange(4), held)
        state = known.fit(tuple(stage[others] for stage in stages), jax.random.key(0), ())
        assert_close(found.score[held], known.inspect_stages(state, tuple(stage[held] for stage in stages)).score, 1e-5)
    assert [(one["desc"], one["total"], one["bar"].n) for one in bars] == [("holding out", 4, 4)]


@pytest.mark.parametrize(("seconds", "at_once"), [(17.0, 1), (15.0, 2), (1e-9, 2)])
def test_more_images_are_held_out_at_a_time_where_there_is_little_time(seconds, at_once):
    known, ticks = open_engine(recipe("nearest")), itertools.count(0.0, 2.0)
    stages = fitting.encode(known, np.stack([photo(seed).pixels for seed in range(8)]))
    # Each fold takes 2 s: the clock is read before and after it, 2 s later, so that 8 folds take 16.
    found = held_out.inspect(known, None, stages, (), seconds=seconds, clock=lambda: next(ticks))
    unhurried = held_out.inspect(known, None, stages, ())
    assert (found.at_once, found.hurried) == (at_once, at_once > 1)
    assert (unhurried.at_once, unhurried.hurried) == (1, False)
    assert found.inspection.score.shape == (8,)
    # A model of fewer images finds an image no closer than one of all others.
    assert (found.inspection.score >= unhurried.inspection.score - 1e-5).all()


def test_a_hurried_calibration_says_so():
    photos = [photo(seed) for seed in range(6)]
    known = open_engine(recipe("nearest"))
    hurried = [
        said for said in fitting.fit(known, photos, name="disc", rate=0.05, seconds=1e-9).warnings if "max_s" in said
    ]
    assert len(hurried) == 1
    assert "held out 2 of 6 images at a time" in hurried[0]
    assert not any("max_s" in said for said in fitting.fit(known, photos, name="disc", rate=0.05).warnings)


def test_candidates_of_an_image_do_not_depend_on_the_others():
    chosen = fastrecon_plus.Settings(light=False, coreset_rows=8)
    features = tuple(jnp.asarray(np.random.default_rng(c).random((6, 6, 6, c)), jnp.float32) for c in (4, 6))
    state = fastrecon_plus.fit(features, settings=chosen)
    kept = fastrecon_plus.thin(state, features, settings=chosen)
    assert [x.shape for x in kept] == [(6, 6), (6, 6)]  # four banks of 8 rows, shared by 6 images
    reordered = fastrecon_plus.thin(state, tuple(x[::-1] for x in features), settings=chosen)
    jax.tree.map(lambda a, b: np.testing.assert_array_equal(a, b[::-1]), kept, reordered)
    few = tuple(x[:5] for x in features)
    assert fastrecon_plus.thin(state, few, settings=chosen) == (None, None)


def test_a_bank_is_chosen_among_the_candidates():
    chosen = fastrecon_plus.Settings(light=False, coreset_rows=8)
    features = (jnp.asarray(np.random.default_rng(0).random((4, 6, 6, 5)), jnp.float32),)
    kept = (jnp.tile(jnp.arange(4), (4, 1)),)
    (level,) = fastrecon_plus.fit(features, settings=chosen, kept=kept).levels
    (whole,) = fastrecon_plus.fit(features, settings=settings("fastrecon+", light=False, coreset_rows=144)).levels
    allowed = np.asarray(whole.bank).reshape(4, 36, -1)[:, :4].reshape(16, -1)
    distances = np.abs(np.asarray(level.bank)[:, None] - allowed[None]).max(-1)
    assert level.bank.shape[0] == 8
    assert distances.min(1).max() < 1e-5
