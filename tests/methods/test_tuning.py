import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.methods import fastrecon, tuning
from tests.helpers import assert_close

KEY = jax.random.key(0)
AUTO = methods.create("fastrecon", {"lam": "auto", "coreset_ratio": "auto"})


def parts(seed, count, *, moved, channels=24, rank=6):
    """Images (count, 6, 6, c) of a part whose features span few directions, with four defective copies each.

    Every position has a feature of its own; `moved` shuffles the positions of each image. Defects take the feature of
    another position (which only positions tell) or leave the span (which only the row space tells).
    """
    rng = np.random.default_rng(seed)
    basis, layout = rng.standard_normal((rank, channels)), rng.standard_normal((36, rank))
    images, copies = [], []
    for _ in range(count):
        order = rng.permutation(36) if moved else np.arange(36)
        image = (layout[order] + 0.05 * rng.standard_normal((36, rank))) @ basis
        image += 0.02 * rng.standard_normal(image.shape)
        of_image = []
        for i in range(4):
            copy, place = image.copy(), rng.integers(36)
            copy[place] = rng.standard_normal(channels) * 3 if moved else image[(place + 7 + i) % 36]
            of_image.append(copy)
        images.append(image)
        copies.append(of_image)
    return (jnp.asarray(np.array(x, np.float32).reshape(*np.shape(x)[:-2], 6, 6, channels)) for x in (images, copies))


def test_aligned_parts_get_the_distribution_term_and_moved_ones_do_not():
    aligned, moved = (tuning.choose(*parts(0, 4, moved=moved)) for moved in (False, True))
    assert aligned.lam > 0
    assert moved.lam == 0


def test_the_choice_is_the_best_of_what_was_tried():
    choice = tuning.choose(*parts(1, 3, moved=True))
    assert choice.separation.shape == (len(tuning.LAMS), len(tuning.sizes(24, 72)))
    lam, size = tuning.LAMS.index(float(choice.lam)), tuning.sizes(24, 72).index(int(choice.rows))
    assert choice.separation[lam, size] == choice.separation.max()
    assert 0 <= choice.separation.min() <= choice.separation.max() <= 1
    assert choice.separation.max() > 0.9  # the planted defects are plain


def test_separation_by_the_definition():
    support, copies = parts(2, 3, moved=False)
    (lam, m), good, painted = (1.0, 5), [], []
    for i in range(3):
        state = fastrecon.fit(jnp.delete(support, i, axis=0, assume_unique_indices=True), KEY, lam=lam, rows=m)
        good.append(float(fastrecon.score(state, support[i]).max()))
        painted += [float(fastrecon.score(state, copy).max()) for copy in copies[i]]
    gaps = np.log(painted)[None] - np.log(good)[:, None]
    expected = jax.scipy.stats.norm.cdf(jnp.asarray(gaps, jnp.float32) / 0.1).mean()
    found = tuning.choose(support, copies, lams=(lam,), tried=(m,))
    assert_close(found.separation, [[expected]], 1e-4)


@pytest.mark.parametrize("given", [("lam", "coreset_ratio"), ("lam",), ("coreset_ratio",)], ids="+".join)
@pytest.mark.parametrize("count", [1, 2, 3])
def test_the_fit_is_that_of_the_numbers_chosen(given, count):
    support, copies = parts(3, count, moved=True)
    method = methods.create("fastrecon", dict.fromkeys(given, "auto"))
    choice = method.choose(support, copies)
    state = method.fit(support, KEY, copies)
    numbers = method.settle(choice)
    assert "auto" not in (numbers.lam, numbers.coreset_ratio)
    expected = methods.create("fastrecon", numbers).fit(support, KEY)
    assert_close(fastrecon.score(state, copies[0, 0]), fastrecon.score(expected, copies[0, 0]), 1e-4)
    assert float(choice.lam) == (float(state.regression.lam) if "lam" in given else 2.0)
    assert (np.asarray(state.coreset) >= 0).sum() == expected.coreset.shape[0]


def test_draws_are_batched_without_changing_a_choice():
    draws = [tuple(parts(seed, 3, moved=bool(seed % 2))) for seed in (4, 5)]
    supports, copies = (jnp.stack(x) for x in zip(*draws, strict=True))
    states = jax.jit(jax.vmap(lambda s, c: AUTO.fit(s, KEY, c)))(supports, copies)
    for i, (support, defective) in enumerate(draws):
        alone = AUTO.fit(support, KEY, defective)
        assert_close(states.regression.lam[i], alone.regression.lam)
        assert_close(states.coreset[i], alone.coreset)


def test_one_image_says_nothing_of_positions():
    assert tuning.choose(*parts(6, 1, moved=False)).lam == 0
