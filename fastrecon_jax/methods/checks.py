"""Checks that every method must pass: the tests run them on our methods, `testing` runs them on a user's.

Each check takes a method and raises an AssertionError with a sentence that says what is wrong. The features are random
and small, and strongly correlated as an encoder's are.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors.numpy
from jaxtyping import Array, Float

from fastrecon_jax.core import scoring
from fastrecon_jax.methods.registry import Method, number_of_copies, registration

Stages = tuple[Float[Array, "..."], ...]
_SHAPES = ((6, 6, 6), (3, 3, 10), (2, 2, 12))  # shapes of the stages, the finest first
_RANK, _NOISE = 5, 0.1  # the features are a product of this rank, plus noise of this size
_TOLERANCE, _ORDER_TOLERANCE = 2e-4, 1e-3
_STORED = (np.float32, np.int32)  # types that a part file can hold


def make_stages(method: Method, seed: int, *leading: int) -> Stages:
    """Random stages for the method's strides, with leading axes: positive, of low rank, with a little noise."""
    rng, stages = np.random.default_rng(seed), []
    for h, w, c in _SHAPES[-len(method.strides) :]:
        latent = rng.standard_normal((*leading, h, w, _RANK)) @ rng.standard_normal((_RANK, c))
        stages.append(np.abs(latent + _NOISE * rng.standard_normal(latent.shape) + 1).astype(np.float32))
    return tuple(map(jnp.asarray, stages))


def _key() -> Array:
    return jax.random.key(0)


def fit_method(method: Method, support: Stages) -> Any:
    """Fit from stages; a method that asks for copies of the support images gets as many, each with a change."""
    features = jax.vmap(method.embed)(support)
    if not method.copies:
        return method.fit(features, _key())
    # Copy j is stronger by 10 % for each step, and has one foreign feature in a corner.
    count = number_of_copies(method.copies)
    copies = jax.tree.map(
        lambda x: jnp.stack([((1 + 0.1 * j) * x).at[:, 0, 0].add(3.0) for j in range(count)], axis=1).astype(x.dtype),
        support,
    )
    return method.fit(features, _key(), jax.vmap(jax.vmap(method.embed))(copies))


def score_method(method: Method, state: Any, query: Stages) -> tuple[Array, Array]:
    """Patch scores and image score of one image from its stages."""
    features = method.embed(query)
    patches = method.score(state, features)
    image = method.image_score(state, features, patches) if method.image_score else jnp.max(patches)
    return patches, image


@functools.lru_cache(maxsize=4)
def programs(method: Method) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """Fit and score, compiled once for all checks."""
    return jax.jit(functools.partial(fit_method, method)), jax.jit(functools.partial(score_method, method))


def _close(actual: Any, expected: Any, what: str, tolerance: float = _TOLERANCE) -> None:
    actual, expected = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    assert actual.shape == expected.shape, f"{what}: shapes {actual.shape} and {expected.shape} differ"
    error = np.abs(actual - expected).max() / max(np.abs(expected).max(), 1e-30)
    assert error <= tolerance, f"{what}: they differ by {error:.1e} of the largest value, more than {tolerance:.0e}"


def check_settings(method: Method) -> None:
    """Settings are a frozen dataclass in which every field has a default and a help text; the note is a string."""
    kind = registration(method.name).settings
    frozen = dataclasses.is_dataclass(kind) and kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert frozen, f"{kind.__name__} must be frozen"
    assert isinstance(method.settings, kind), f"method.settings must be a {kind.__name__}"
    for field in dataclasses.fields(kind):
        assert field.default is not dataclasses.MISSING, f"setting {field.name} has no default"
        assert field.metadata.get("help"), f"setting {field.name} has no help: make it with command_line.fields.setting"
    assert isinstance(method.note, str), "note must be a string"
    hash(method.settings)


def check_shapes(method: Method) -> None:
    """Patch scores are (h, w), float32, finite and not negative; image score and what is missing are finite numbers."""
    fit, score = programs(method)
    for k in (1, 3):
        patches, image = score(fit(make_stages(method, 0, k)), make_stages(method, 1))
        assert patches.ndim == 2, f"patch scores have {patches.ndim} axes, expected (h, w)"
        assert patches.dtype == image.dtype == jnp.float32, f"scores are {patches.dtype} and {image.dtype}, not float32"
        assert image.shape == (), f"the image score has shape {image.shape}, expected a scalar"
        assert np.isfinite(patches).all() and np.isfinite(image), f"scores are not finite with {k} support images"
        assert (np.asarray(patches) >= 0).all(), "patch scores must not be negative"
        if method.score_and_missing:
            state, features = fit(make_stages(method, 0, k)), method.embed(make_stages(method, 1))
            scored, missing = method.score_and_missing(state, features, None)
            np.testing.assert_allclose(scored, method.score(state, features), rtol=1e-5, err_msg="two kinds of scores")
            assert missing is not None, "what is missing must be a number, or the method must have no such function"
            assert missing.shape == (), f"what is missing has shape {missing.shape}, expected a scalar"
            assert np.isfinite(missing), f"what is missing is not finite with {k} support images"


def check_jit_equals_eager(method: Method) -> None:
    """Compiled and uncompiled scores agree."""
    support, query = make_stages(method, 0, 3), make_stages(method, 1)
    eager = score_method(method, fit_method(method, support), query)
    fit, score = programs(method)
    compiled = score(fit(support), query)
    for a, b, what in zip(compiled, eager, ("patch scores", "image scores"), strict=True):
        _close(a, b, f"{what} with jit and without")


def check_vmap_equals_loop(method: Method) -> None:
    """Draws and queries in a batch get the same scores as each one alone."""
    supports, queries = make_stages(method, 2, 2, 3), make_stages(method, 3, 2)
    states = jax.jit(jax.vmap(functools.partial(fit_method, method)))(supports)
    score = jax.vmap(functools.partial(score_method, method), (None, 0))
    patches, images = jax.jit(jax.vmap(score, (0, None)))(states, queries)
    fit_one, score_one = programs(method)
    for d in range(2):
        state = fit_one(jax.tree.map(lambda x, d=d: x[d], supports))
        for q in range(2):
            alone = score_one(state, jax.tree.map(lambda x, q=q: x[q], queries))
            _close(patches[d, q], alone[0], "patch scores in a batch and alone")
            _close(images[d, q], alone[1], "image scores in a batch and alone")


def check_gradients_are_finite(method: Method) -> None:
    """Scores and their gradients in query and support are finite, even for degenerate supports."""
    single = make_stages(method, 0, 1)
    supports = {
        "one image": single,
        "three copies of an image": jax.tree.map(lambda x: jnp.repeat(x, 3, axis=0), single),
        "constant features": jax.tree.map(lambda x: jnp.ones((3, *x.shape[1:])), single),
        "zero features": jax.tree.map(lambda x: jnp.zeros((3, *x.shape[1:])), single),
    }

    def total(support, query):
        return sum(scores.sum() for scores in score_method(method, fit_method(method, support), query))

    value_and_grad = jax.jit(jax.value_and_grad(total, (0, 1)))
    for name, support in supports.items():
        # An unrelated query, and a support image itself, whose distance to the support is 0.
        for query in (make_stages(method, 1), jax.tree.map(lambda x: x[0], support)):
            numbers = jax.tree.leaves(value_and_grad(support, query))
            assert all(np.isfinite(x).all() for x in numbers), f"scores or gradients are not finite with {name}"


def check_determinism(method: Method) -> None:
    """The same support and key give exactly the same scores."""
    support, query = make_stages(method, 0, 3), make_stages(method, 1)
    fit, score = programs(method)
    first, second = (score(fit(support), query) for _ in range(2))
    assert all(np.array_equal(a, b) for a, b in zip(first, second, strict=True)), "two equal fits score differently"


def check_order_of_shots(method: Method) -> None:
    """The order of the support images changes no score, unless the method says that it does (`order_matters`)."""
    if method.order_matters:
        return
    support, query = make_stages(method, 0, 3), make_stages(method, 1)
    fit, score = programs(method)
    reordered = jax.tree.map(lambda x: x[jnp.array([2, 0, 1])], support)
    for a, b in zip(score(fit(reordered), query), score(fit(support), query), strict=True):
        _close(a, b, "scores with the support images in another order", _ORDER_TOLERANCE)


def check_dtypes(method: Method) -> None:
    """Half-precision stages are accepted and scored in float32."""
    half = functools.partial(jax.tree.map, lambda x: x.astype(jnp.bfloat16))
    fit, score = programs(method)
    patches, image = score(fit(half(make_stages(method, 0, 3))), half(make_stages(method, 1)))
    assert patches.dtype == image.dtype == jnp.float32, "scores of bfloat16 stages must be float32"
    assert np.isfinite(patches).all() and np.isfinite(image), "scores of bfloat16 stages are not finite"


def check_state_in_a_file(method: Method) -> None:
    """The state is a tree of float32 and int32 arrays, and scores the same after a round trip through a file."""
    fit, score = programs(method)
    state, query = fit(make_stages(method, 0, 3)), make_stages(method, 1)
    leaves, structure = jax.tree.flatten(state)
    arrays = {str(i): np.asarray(leaf) for i, leaf in enumerate(leaves)}
    wrong = sorted({str(array.dtype) for array in arrays.values() if array.dtype not in _STORED})
    assert not wrong, f"the state holds arrays of {', '.join(wrong)}: part files hold float32 and int32"
    stored = safetensors.numpy.load(safetensors.numpy.save(arrays))
    restored = jax.tree.unflatten(structure, [jnp.asarray(stored[str(i)]) for i in range(len(leaves))])
    pairs = zip(score(restored, query), score(state, query), strict=True)
    assert all(np.array_equal(a, b) for a, b in pairs), "a state that was in a file scores differently"


def check_rows(method: Method) -> None:
    """`rows` returns None, or the number of rows that are kept of the pool and the copies that the method asks for."""
    for pool in (1, 36, 1000):
        rows, most = method.rows(pool), pool * (1 + number_of_copies(method.copies))
        assert rows is None or 1 <= rows <= most, f"rows({pool}) is {rows}, expected None or a number from 1 to {most}"


def check_map_size(method: Method) -> None:
    """Patch scores can be resized to an anomaly map of any size."""
    fit, score = programs(method)
    patches, _ = score(fit(make_stages(method, 0, 3)), make_stages(method, 1))
    anomaly_map = scoring.anomaly_map(patches, height=48, width=48)
    assert anomaly_map.shape == (48, 48) and np.isfinite(anomaly_map).all(), "the anomaly map is not (48, 48) or finite"


def check_anomalies_score_higher(method: Method) -> None:
    """A support image scores lower than a copy of it in which some features are foreign."""
    fit, score = programs(method)
    support = make_stages(method, 0, 3)
    state, good = fit(support), jax.tree.map(lambda x: x[0], support)
    rng = np.random.default_rng(9)
    foreign = tuple(
        stage.at[:2, :2].set(jnp.asarray(4 * rng.random((2, 2, stage.shape[-1])), stage.dtype)) for stage in good
    )
    low, high = (score(state, query)[1] for query in (good, foreign))
    assert high > low, f"an image with foreign features scores {high:.4g}, the good one {low:.4g}: higher is anomalous"


CHECKS: tuple[Callable[[Method], None], ...] = (
    check_settings,
    check_shapes,
    check_jit_equals_eager,
    check_vmap_equals_loop,
    check_gradients_are_finite,
    check_determinism,
    check_order_of_shots,
    check_dtypes,
    check_state_in_a_file,
    check_rows,
    check_map_size,
    check_anomalies_score_higher,
)
