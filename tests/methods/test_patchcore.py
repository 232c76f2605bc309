import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods, testing
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import patchcore
from tests import reference
from tests.helpers import assert_close, correlated_features

KEY = jax.random.key(0)
CONCATENATED = methods.create("patchcore", {"features": "concatenated", "coreset_ratio": 0.2})
embed = jax.jit(
    lambda *stages, dimensions: patchcore.embed(stages, dimensions=dimensions), static_argnames="dimensions"
)
fit = jax.jit(patchcore.fit, static_argnames=("coreset_ratio", "projection", "starting_points"))
score = jax.jit(patchcore.score, static_argnames="neighbours_count")
image_score = jax.jit(patchcore.image_score, static_argnames="reweighting")


def small_stages(rng, *leading):
    return correlated_features(rng, *leading, 6, 8, 5), correlated_features(rng, *leading, 3, 4, 7)


@pytest.mark.parametrize("dimensions", [9, 16, 60])
def test_embedding_against_the_authors_order_in_numpy(dimensions):
    stages = small_stages(np.random.default_rng(0))
    actual = embed(*stages, dimensions=dimensions)
    assert_close(actual, reference.patchcore_embed(stages, dimensions), 1e-6)


def test_embedding_of_one_stage_by_hand():
    """Three bins of a 3x3 patch are its rows: around the pixel 1 of [[1, 2], [3, 4]] they sum to 0, 3 and 7."""
    embedded = embed(jnp.array([[[1.0], [2]], [[3], [4]]]), dimensions=3)
    assert_close(embedded[0, 0], [0, 1, 7 / 3])
    assert_close(embedded[0, 1], [0, 1, 7 / 3])
    assert_close(embedded[1, 1], [1, 7 / 3, 0])


def test_embedding_of_two_stages_by_hand():
    """The coarse pixel 9 gives 0, 3, 0 everywhere; behind the fine stage's 0, 1, 7/3, pairs are averaged."""
    embedded = embed(jnp.array([[[1.0], [2]], [[3], [4]]]), jnp.full((1, 1, 1), 9.0), dimensions=3)
    assert_close(embedded[0, 0], [1 / 2, 7 / 6, 3 / 2])
    assert_close(embedded[1, 0], [(1 + 7 / 3) / 2, 0, 3 / 2])


def test_embedding_interpolates_the_coarse_stage_by_hand():
    """Coarse pixels 0 and 9 under four columns: the middles of their patches are 0, 1/4, 3/4 and 1 of the way."""
    fine, coarse = jnp.zeros((1, 4, 1)), jnp.array([[[0.0], [9.0]]])
    embedded = embed(fine, coarse, dimensions=9)  # pairs of nine zeros and the nine entries
    # Bin 6 averages entries 3 and 4, left neighbour and middle. Left of the coarse pixels are 0 and 0.
    assert_close(embedded[0, :, 6], np.array([0, 9 / 4, 27 / 4, 9]) / 2)


def bank_of(support):
    return support.reshape(-1, support.shape[-1])


def test_scores_by_hand():
    """Rows (0, 0), (3, 0) and (0, 4) are 25, 16 and 9 from the query (3, 4)."""
    support = jnp.array([[[[0.0, 0], [3, 0], [0, 4]]]])
    query = jnp.array([[[3.0, 4], [0, 0], [3, 0]]])
    state = fit(support, KEY, coreset_ratio=1.0)
    np.testing.assert_array_equal(score(state, query), [[9, 0, 0]])
    np.testing.assert_array_equal(score(state, query, neighbours_count=2), [[12.5, 4.5, 4.5]])
    patches = score(state, query)
    assert image_score(state, query, patches) == 9
    # The nearest row is (0, 4), 3 away; the row nearest to that is (0, 0), 5 away.
    assert_close(image_score(state, query, patches, reweighting=2), 3 * (1 - 1 / (1 + np.exp(2))))
    assert_close(
        image_score(state, query, patches, reweighting=9),
        3 * (1 - 1 / (1 + np.exp(2) + np.exp(1))),
    )
    assert image_score(state, query, patches, reweighting=1) == 3


@pytest.mark.parametrize("neighbours", [1, 3, 500])
def test_scores_against_numpy(neighbours):
    rng = np.random.default_rng(1)
    support, query = correlated_features(rng, 2, 5, 6, 16), correlated_features(rng, 5, 6, 16)
    state = fit(jnp.asarray(support), KEY, coreset_ratio=0.4)
    assert state.bank.shape == (24, 16)
    np.testing.assert_array_equal(state.bank, bank_of(support)[state.coreset])
    nearest = np.sort(reference.distances(query.reshape(30, 16), np.asarray(state.bank)), 1)[:, :neighbours]
    patches = score(state, jnp.asarray(query), neighbours_count=neighbours)
    assert_close(patches, np.square(nearest).mean(1).reshape(5, 6), 1e-6)


def test_reweighted_score_against_numpy():
    rng = np.random.default_rng(2)
    support, query = correlated_features(rng, 2, 5, 6, 16), correlated_features(rng, 5, 6, 16)
    state = fit(jnp.asarray(support), KEY, coreset_ratio=0.4)
    patches = score(state, jnp.asarray(query))
    farthest = query.reshape(30, 16)[int(patches.argmax())]
    for b in (2, 9, 24, 100):
        actual = image_score(state, jnp.asarray(query), patches, reweighting=b)
        assert_close(actual, reference.reweighted(farthest, np.asarray(state.bank), min(b, 24)))


def test_reweighted_score_does_not_overflow():
    support = jnp.array([[[[0.0], [1000.0]]]])
    query = jnp.array([[[500.0], [-400.0]]])
    state = fit(support, KEY, coreset_ratio=1.0)
    assert_close(
        image_score(state, query, score(state, query), reweighting=2), 250
    )  # two rows equally far: half of the distance


def test_exact_coreset_against_numpy():
    """The authors begin with the norm of each row of the matrix of all distances."""
    support = correlated_features(np.random.default_rng(3), 2, 6, 6, 12)
    state = fit(jnp.asarray(support), KEY, coreset_ratio=0.3, projection=0, starting_points=0)
    pool = bank_of(support)
    start = np.linalg.norm(reference.distances(pool, pool), axis=1)
    np.testing.assert_array_equal(state.coreset, reference.greedy_k_center_from(pool, 21, start))


def test_approximate_coreset_against_numpy():
    """With as many starting points as rows nothing is random: the mean distance to all."""
    support = correlated_features(np.random.default_rng(4), 2, 6, 6, 12)
    state = fit(jnp.asarray(support), KEY, coreset_ratio=0.3, projection=0, starting_points=72)
    pool = bank_of(support)
    start = reference.distances(pool, pool).mean(1)
    np.testing.assert_array_equal(state.coreset, reference.greedy_k_center_from(pool, 21, start))


def test_approximate_coreset_covers_almost_as_well_as_the_exact_one():
    pool = correlated_features(np.random.default_rng(5), 1, 15, 20, 32)

    def radius(**options):
        bank = fit(jnp.asarray(pool), KEY, coreset_ratio=0.1, **options).bank
        return reference.distances(bank_of(pool), np.asarray(bank)).min(1).max()

    assert radius() < 1.25 * radius(projection=0, starting_points=0)


def test_projection_is_left_out_where_it_changes_no_dimension():
    support = jnp.asarray(correlated_features(np.random.default_rng(6), 1, 6, 6, 12))
    chosen = [fit(support, KEY, coreset_ratio=0.3, projection=d, starting_points=0).coreset for d in (0, 12, 3)]
    np.testing.assert_array_equal(chosen[0], chosen[1])
    assert (chosen[0] != chosen[2]).any()


def test_concatenated_features_against_numpy():
    """Means of 3x3 positions with zeros outside, the coarse stage repeated twice along both axes, all channels kept."""
    fine, coarse = small_stages(np.random.default_rng(7))
    expected = np.concatenate([mean_of_nine(fine), mean_of_nine(coarse).repeat(2, axis=0).repeat(2, axis=1)], axis=-1)
    assert_close(CONCATENATED.embed([jnp.asarray(fine), jnp.asarray(coarse)]), expected, 1e-6)


def mean_of_nine(stage):
    h, w, _ = stage.shape
    padded = np.pad(stage.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    return sum(padded[i : i + h, j : j + w] for i in range(3) for j in range(3)) / 9


def test_concatenated_features_by_hand():
    """Around each pixel of [[1, 2], [3, 4]] lie all four and five zeros, around the coarse pixel eight zeros."""
    embedded = CONCATENATED.embed([jnp.array([[[1.0], [2]], [[3], [4]]]), jnp.full((1, 1, 1), 9.0)])
    assert_close(embedded, np.broadcast_to([10 / 9, 1], (2, 2, 2)))


def test_features_are_averaged_by_default():
    stages = [jnp.asarray(stage) for stage in small_stages(np.random.default_rng(8))]
    for method in (methods.create("patchcore"), methods.create("patchcore", {"features": "averaged"})):
        np.testing.assert_array_equal(method.embed(stages), patchcore.embed(stages))
        assert method.note == "coreset 0.1"
    assert methods.create("patchcore", {"features": "concatenated"}).note == "coreset 0.1, concatenated"


@pytest.mark.parametrize("value", ["", "pooled", "Averaged"])
def test_other_features_are_refused(value):
    with pytest.raises(InputError, match=f"--features={value} is not allowed: it must be averaged or concatenated"):
        patchcore.Settings(features=value)


@pytest.mark.parametrize("check", testing.METHOD_CHECKS, ids=lambda check: check.__name__)
def test_concatenated_features_keep_the_contract(check):
    check(CONCATENATED)
