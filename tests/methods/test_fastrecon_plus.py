import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.methods import fastrecon_plus as plus
from tests import reference
from tests.helpers import assert_close, correlated_features


def stages(seed, *leading, sides=(8, 4, 2), channels=(5, 6, 7)):
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(correlated_features(rng, *leading, side, side, c)) for side, c in zip(sides, channels, strict=True)
    )


def embed(stages):
    return jax.vmap(plus.embed)(stages)


def test_scores_are_the_formula():
    support, query = stages(0, 3), stages(1)
    patches = plus.score(plus.fit(embed(support)), plus.embed(query))
    expected = np.zeros((4, 4))
    for known, one in zip(embed(support), plus.embed(query), strict=True):
        pool, rows = (np.asarray(x).reshape(-1, x.shape[-1]) for x in (known, one))
        squared = reference.soft_squared_distances(rows, pool, pool, soft_length=0.7, soft_spectrum=1.0).min(1)
        side = one.shape[0]
        expected += np.log(squared).reshape(side, side).repeat(4 // side, 0).repeat(4 // side, 1) / 2 / 3
    assert_close(patches, np.exp(expected), 1e-4)


def test_the_finest_of_three_stages_is_averaged_to_the_second_and_the_last_stays():
    one = stages(2)
    levels = plus.embed(one)
    assert [level.shape for level in levels] == [(4, 4, 5), (4, 4, 6), (2, 2, 7)]
    pooled = reference.local_pool(np.asarray(one[0]))
    assert_close(levels[0], pooled.reshape(4, 2, 4, 2, 5).mean((1, 3)))
    assert [level.shape for level in plus.embed(one[1:])] == [(4, 4, 6), (2, 2, 7)]


def test_sides_that_do_not_divide_each_other():
    support, query = (stages(seed, *lead, sides=(9, 5, 3)) for seed, lead in ((3, (2,)), (4, ())))
    assert plus.score(plus.fit(embed(support)), plus.embed(query)).shape == (5, 5)


def test_the_scale_of_a_stage_orders_nothing_anew():
    support, query = stages(5, 2), stages(6)

    def scores(scale):
        scaled = [(s * f, q * f) for s, q, f in zip(support, query, (1.0, scale, 1.0), strict=True)]
        return plus.score(plus.fit(embed(tuple(s for s, _ in scaled))), plus.embed([q for _, q in scaled]))

    assert_close(scores(100.0), scores(1.0), 1e-3)


def test_a_known_image_scores_nothing_and_a_changed_patch_the_most():
    support = stages(7, 2)
    state = plus.fit(embed(support))
    known = [stage[0] for stage in support]
    assert plus.score(state, plus.embed(known)).max() < 1e-4
    changed = [stage.at[stage.shape[0] * 3 // 4 :, : stage.shape[1] // 4 + 1].set(5.0) for stage in known]
    patches = np.asarray(plus.score(state, plus.embed(changed)))
    assert np.unravel_index(patches.argmax(), patches.shape)[0] >= 2
    assert np.unravel_index(patches.argmax(), patches.shape)[1] <= 1


def test_long_features_are_searched_for_in_few_coordinates():
    """Where they hold nearly all of the length the rows found are as near as the nearest, to a hundredth."""
    support, query = (stages(seed, *lead, sides=(8,), channels=(300,)) for seed, lead in ((8, (4,)), (9, ())))
    state = plus.fit(embed(support))
    assert state.levels[0].short.coordinates.shape == (256, plus.COORDINATES)
    whole = state._replace(levels=tuple(level._replace(short=None) for level in state.levels))
    quick, exact = (np.asarray(plus.score(one, plus.embed(query))) for one in (state, whole))
    assert (quick >= exact * (1 - 1e-5)).all()
    assert_close(quick, exact, 2e-2)


@pytest.mark.parametrize(("count", "ratio", "kept"), [(100, None, 100), (10_000, None, 8192), (100, 0.25, 25)])
def test_rows(count, ratio, kept):
    assert plus.rows(count, ratio) == kept


def test_a_coreset_keeps_rows_of_the_bank():
    features = embed(stages(10, 3))
    whole, part = plus.fit(features), plus.fit(features, coreset_ratio=0.25)
    for all_of, some in zip(whole.levels, part.levels, strict=True):
        assert some.bank.shape[0] == all_of.bank.shape[0] // 4
        assert {tuple(row) for row in np.asarray(some.bank).tolist()} <= {
            tuple(row) for row in np.asarray(all_of.bank).tolist()
        }
    with pytest.raises(ValueError, match=r"coreset ratio 2\.0 is not allowed"):
        plus.fit(features, coreset_ratio=2.0)
