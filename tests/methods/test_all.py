"""What holds for every registered method, and for the variants that take another path."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods, testing
from fastrecon_jax.methods import checks, registry
from tests.helpers import assert_close

VARIANTS = {
    "fastrecon, auto": ("fastrecon", {"lam": "auto", "coreset_ratio": "auto"}),
    "patchcore, exact": (
        "patchcore",
        {"approximate": False, "reweighting": 9, "neighbours": 3, "coreset_ratio": 0.2},
    ),
    "fastrecon+, coreset": ("fastrecon+", {"coreset_ratio": 0.2}),
    "fastrecon+, one way": ("fastrecon+", {"both_ways": False, "light": False}),
}
METHODS = {name: methods.create(name) for name in methods.feature_names()} | {
    name: methods.create(*arguments) for name, arguments in VARIANTS.items()
}
METHODS["nearest, copies"] = methods.with_copies(METHODS["nearest"], ("light", "turns"))
METHODS["fastrecon+, copies"] = methods.with_copies(METHODS["fastrecon+"], ("turns", "flip"))


@pytest.mark.parametrize("check", testing.METHOD_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", METHODS)
def test_the_contract(name, check):
    check(METHODS[name])


def test_one_call_runs_every_check(monkeypatch):
    ran = []
    monkeypatch.setattr(testing, "METHOD_CHECKS", [ran.append, ran.append])
    testing.check_method("nearest")
    testing.check_method(METHODS["nearest"])
    assert [method.name for method in ran] == ["nearest"] * 4


BROKEN = {
    "negative": (lambda state, x: -jnp.ones(x.shape[:2]), checks.check_shapes, "must not be negative"),
    "of the wrong type": (lambda state, x: x[..., 0].astype(jnp.bfloat16), checks.check_shapes, "not float32"),
    "of the wrong shape": (lambda state, x: x, checks.check_shapes, "has|have 3 axes, expected"),
    "the same for all": (lambda state, x: jnp.ones(x.shape[:2]), checks.check_anomalies_score_higher, "higher is"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_scores_that_break_the_contract_fail_a_check(name):
    score, check, message = BROKEN[name]
    with pytest.raises(AssertionError, match=message):
        check(METHODS["nearest"]._replace(score=score, image_score=None))


def test_a_state_that_no_file_holds_fails_a_check():
    broken = METHODS["nearest"]._replace(fit=lambda features, key: jnp.zeros(3, jnp.int8), score=lambda s, x: x[..., 0])
    with pytest.raises(AssertionError, match="arrays of int8: part files hold float32 and int32"):
        checks.check_state_in_a_file(broken)


@pytest.mark.parametrize("argument", ["support", "query"])
@pytest.mark.parametrize("name", methods.feature_names())
def test_the_gradient_of_the_scores_is_that_of_differences(name, argument):
    method = METHODS[name]
    start = {"support": checks.make_stages(method, 4, 3), "query": checks.make_stages(method, 5)}
    direction = checks.make_stages(method, 6, 3) if argument == "support" else checks.make_stages(method, 6)

    @jax.jit
    def move(t):
        moved = start | {argument: jax.tree.map(lambda x, v: x + t * v, start[argument], direction)}
        return checks.score_method(method, checks.fit_method(method, moved["support"]), moved["query"])[0].sum()

    step = jnp.float32(1e-3)
    assert_close(jax.grad(move)(jnp.float32(0)), (move(step) - move(-step)) / (2 * step), 1e-2)


KEPT = {
    "fastrecon": lambda state: state.coreset.size,
    "fastrecon+": lambda state: state.levels[0].bank.shape[0],
    "patchcore": lambda state: state.bank.shape[0],
    "spade": lambda state: state.levels[0][..., 0].size,
    "nearest": lambda state: state.bank.shape[0],
}


@pytest.mark.parametrize("name", methods.feature_names())
def test_rows_are_those_of_the_state(name):
    method = methods.create(name, {"coreset_ratio": 0.2} if name in ("fastrecon", "patchcore") else {})
    fit, _ = checks.programs(method)
    support = checks.make_stages(method, 7, 3)
    state = fit(support)
    positions = method.embed([stage[0] for stage in support])
    positions = jax.tree.leaves(positions)[0].shape[:2]
    assert method.rows(3 * int(np.prod(positions))) == (KEPT[name](state) if name in KEPT else None)


def test_coresets_have_the_authors_size_by_default():
    assert methods.create("fastrecon").rows(1000) == 10
    assert methods.create("patchcore").rows(1000) == 100


def test_names_are_registered_once_and_are_names():
    with pytest.raises(ValueError, match=r"method 'nearest' is registered by fastrecon_jax\.methods\.nearest already"):
        registry.register("nearest")(lambda settings, *, map_size: None)
    for name in ("", "all", "a b", "a,b", "a=b", "a/b"):
        with pytest.raises(ValueError, match="cannot be the name of a method"):
            registry.register(name)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match=r"unknown method 'magic': allowed are .*fastrecon, "):
        methods.create("magic")
