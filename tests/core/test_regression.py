import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.core import regression
from tests import reference
from tests.helpers import assert_close, correlated_features


def sample(seed, m=9, c=32, h=4, w=3):
    rng = np.random.default_rng(seed)
    features = correlated_features(rng, 3 * h * w + m, c)
    Q, mu, S = features[: h * w], features[h * w : 2 * h * w], features[-m:]
    return Q.reshape(h, w, c), S, mu.reshape(h, w, c)


def residual(Q, S, mu, lam):
    Q, S, mu, lam = (jnp.asarray(x, jnp.float32) for x in (Q, S, mu, lam))
    return regression.residual(regression.fit(S, mu, lam), Q)


def rows(x):
    return x.reshape(-1, x.shape[-1])


@pytest.mark.parametrize("lam", [0.0, 0.5, 2.0, 100.0])
def test_reconstruction_equals_the_published_inverse(lam):
    Q, S, mu = sample(0)
    expected = reference.reconstruct(rows(Q), S, rows(mu), lam)
    fitted = regression.fit(jnp.asarray(S), jnp.asarray(mu), jnp.float32(lam))
    assert_close(rows(regression.reconstruct(fitted, jnp.asarray(Q))), expected)
    assert_close(residual(Q, S, mu, lam).ravel(), np.linalg.norm(rows(Q) - expected, axis=1))


@pytest.mark.parametrize("lam", [0.0, 2.0])
@pytest.mark.parametrize("case", ["duplicate rows", "more rows than channels", "constant"])
def test_deficient_coresets_are_finite_and_right(case, lam):
    Q, S, mu = sample(1, m=40 if case == "more rows than channels" else 9)
    if case == "duplicate rows":
        S[3:7] = S[2]
    if case == "constant":
        S[:] = S[0]
    actual = residual(Q, S, mu, lam).ravel()
    expected = reference.residual(rows(Q), S, rows(mu), lam)
    assert np.abs(actual - expected).max() < 1e-6 * np.linalg.norm(rows(Q), axis=1).max()


def test_a_query_in_the_row_space_at_the_mean_has_no_residual():
    _, S, _ = sample(2, m=12)
    Q = S.reshape(4, 3, -1)
    assert np.max(residual(Q, S, Q, 2.0)) < 1e-5 * np.linalg.norm(Q)


def test_by_hand():
    S = jnp.array([[1.0, 0.0]])
    Q, mu = jnp.array([[[3.0, 4.0]]]), jnp.array([[[0.0, 7.0]]])
    # lam = 2: Qhat = ((3 + 2 * 0) / 3, 0) = (1, 0), so Q - Qhat = (2, 4).
    assert_close(residual(Q, S, mu, 2.0), [[np.sqrt(20)]])


def test_batches_of_queries_draws_and_categories_equal_loops():
    cases = [sample(seed) for seed in range(6)]
    Q, S, mu = (np.stack(x).reshape(2, 3, *x[0].shape) for x in zip(*cases, strict=True))  # (categories, draws, ...)
    lam = jnp.float32(2)
    fit = jax.vmap(jax.vmap(regression.fit, (0, 0, None)), (0, 0, None))
    score = jax.vmap(jax.vmap(jax.vmap(regression.residual, (None, 0)), (0, None)), (0, 0))
    actual = jax.jit(lambda Q, S, mu: score(fit(S, mu, lam), Q))(Q, S, mu)  # (categories, draws, queries, h, w)
    for a in range(2):
        for d in range(3):
            for q in range(3):
                assert_close(actual[a, d, q].ravel(), reference.residual(rows(Q[a, q]), S[a, d], rows(mu[a, d]), 2.0))


@pytest.mark.parametrize("lam", [0.0, 2.0])
@pytest.mark.parametrize("argument", ["query", "coreset", "mean", "lam"])
def test_gradients_against_finite_differences_in_float64(argument, lam):
    Q, S, mu = sample(4, c=12)
    arguments = {"query": Q, "coreset": S, "mean": mu, "lam": np.float32(lam)}
    direction = np.random.default_rng(5).standard_normal(np.shape(arguments[argument])) if argument != "lam" else 1.0

    def reference_total(step):
        moved = {name: np.asarray(x, np.float64) for name, x in arguments.items()}
        moved[argument] = moved[argument] + step * direction
        Q, S, mu, lam = moved.values()
        return reference.residual(rows(Q), S, rows(mu), lam).sum()

    slope = jax.grad(lambda x: residual(*(arguments | {argument: x}).values()).sum())(jnp.asarray(arguments[argument]))
    slope = jnp.vdot(slope, jnp.asarray(direction, jnp.float32))
    forward, back = (1e-7, 0) if argument == "lam" and lam == 0 else (1e-5, 1e-5)  # lam cannot fall below 0
    difference = (reference_total(forward) - reference_total(-back)) / (forward + back)
    assert slope == pytest.approx(difference, rel=2e-4, abs=1e-3)
