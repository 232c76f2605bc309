"""What holds for every method, through the registry."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from tests.helpers import assert_close, correlated_features

KEY = jax.random.key(0)
OPTIONS = {"patchcore": [{}, {"patchcore_approximate": False, "patchcore_reweighting": 9, "neighbours": 3}]}
METHODS = [
    methods.create(name, methods.MethodSettings(coreset_ratio=0.2, **options), map_size=16)
    for name in methods.names()
    for options in OPTIONS.get(name, [{}])
]
# The variant of PatchCore differs in how the coreset begins and in the image score: its edge cases are enough.
DEFAULTS = [i for i in range(len(METHODS)) if i == 0 or METHODS[i].name != METHODS[i - 1].name]
each_default = pytest.mark.parametrize("number", DEFAULTS, ids=lambda number: METHODS[number].name)
each_method = pytest.mark.parametrize("number", range(len(METHODS)), ids=lambda number: METHODS[number].name)


def stages(seed, *leading):
    rng = np.random.default_rng(seed)
    shapes = ((4, 4, 6), (2, 2, 10))
    return tuple(jnp.asarray(correlated_features(rng, *leading, *shape)) for shape in shapes)


def fit(method, support):
    return method.fit(jax.vmap(method.embed)(support), KEY)


def score(method, state, query):
    features = method.embed(query)
    patches = method.score(state, features)
    return patches, method.image_score(state, features, patches) if method.image_score else patches.max()


@functools.cache
def compiled(number):
    """Fit, score and the gradient of both, of METHODS[number]: compiled once for each number of images."""
    method = METHODS[number]

    def total(support, query):
        return sum(x.sum() for x in score(method, fit(method, support), query))

    return (
        jax.jit(functools.partial(fit, method)),
        jax.jit(functools.partial(score, method)),
        jax.jit(jax.value_and_grad(total, (0, 1))),
    )


SUPPORTS = {
    "one image": stages(0, 1),
    "duplicates": jax.tree.map(lambda x: jnp.repeat(x, 3, axis=0), stages(0, 1)),
    "constant": jax.tree.map(jnp.ones_like, stages(0, 3)),
    "zero": jax.tree.map(jnp.zeros_like, stages(0, 3)),
}


@each_method
@pytest.mark.parametrize("case", SUPPORTS)
def test_scores_and_gradients_are_finite(number, case):
    support, (_, _, value_and_grad) = SUPPORTS[case], compiled(number)
    for query in (stages(1), jax.tree.map(lambda x: x[0], support)):
        assert all(np.isfinite(x).all() for x in jax.tree.leaves(value_and_grad(support, query)))


@each_default
def test_draws_and_queries_are_batched_without_changing_a_score(number):
    method, (fit_one, score_one, _) = METHODS[number], compiled(number)
    supports, queries = stages(2, 2, 3), stages(3, 2)

    @jax.jit
    def fit_and_score(supports, queries):
        states = jax.vmap(functools.partial(fit, method))(supports)
        return jax.vmap(jax.vmap(functools.partial(score, method), (None, 0)), (0, None))(states, queries)

    patches, images = fit_and_score(supports, queries)
    for d in range(2):
        state = fit_one(jax.tree.map(lambda x, d=d: x[d], supports))
        for q in range(2):
            alone = score_one(state, jax.tree.map(lambda x, q=q: x[q], queries))
            assert_close(patches[d, q], alone[0])
            assert_close(images[d, q], alone[1])


@each_default
@pytest.mark.parametrize("argument", ["support", "query"])
def test_the_gradient_of_the_scores_is_that_of_differences(number, argument):
    fit_one, score_one, _ = compiled(number)
    start = {"support": stages(4, 3), "query": stages(5)}
    direction = stages(6, 3) if argument == "support" else stages(6)

    def move(t):
        moved = start | {argument: jax.tree.map(lambda x, v: x + t * v, start[argument], direction)}
        return score_one(fit_one(moved["support"]), moved["query"])[0].sum()

    step = jnp.float32(1e-3)
    assert_close(jax.grad(move)(jnp.float32(0)), (move(step) - move(-step)) / (2 * step), 1e-2)


@each_default
def test_rows_are_those_of_the_state(number):
    method = METHODS[number]
    state, rows = compiled(number)[0](stages(7, 3)), method.rows(3 * 16)
    kept = {
        "fastrecon": lambda: state.coreset.size,
        "fastrecon+": lambda: state.levels[0].bank.shape[0],
        "patchcore": lambda: state.bank.shape[0],
        "spade": lambda: state.levels[0][..., 0].size,
        "nearest": lambda: state.bank.shape[0],
    }
    assert rows == (kept[method.name]() if method.name in kept else None)


def test_coresets_have_the_authors_size_by_default():
    assert methods.create("fastrecon").rows(1000) == 10
    assert methods.create("patchcore").rows(1000) == 100
