"""From an image to its scores: the pure composition, and the programs that the evaluation compiles from it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import detector, encoders, methods
from fastrecon_jax.core import features, scoring
from fastrecon_jax.data import geometry
from fastrecon_jax.detector import Detector
from fastrecon_jax.evaluation import programs as compiled
from tests.helpers import assert_close, encoded_copies

ENCODER = encoders.create("resnet18", weights="random")
METHOD = methods.create("fastrecon", {"coreset_ratio": 0.1})


@pytest.fixture(scope="module")
def programs():
    return compiled.create(ENCODER, [METHOD], map_size=64)


def pictures(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, (*shape, 64, 64, 3)), jnp.uint8)


def encode(programs, images):
    return programs.encode(programs.encoder, images)


def in_draws(stages, draws):
    return tuple(stage.reshape(draws, -1, *stage.shape[1:]) for stage in stages)


def copies_in_draws(programs, images, method, draws):
    """The argument behind the keys of a method that asks for copies."""
    copies = encoded_copies(lambda changed: encode(programs, changed), images, method)
    return (in_draws(copies, draws),) if copies else ()


def test_scores_equal_the_parts_put_together_by_hand(programs):
    support, queries = pictures(0, 2), pictures(1, 3)
    stages = encode(programs, support)
    states = programs.methods[0].fit(tuple(s[None] for s in stages), detector.keys([None]))
    scores = programs.methods[0].score(states, encode(programs, queries))

    def embed(image):
        return features.combine([stage[0] for stage in ENCODER(image[None])])

    state = METHOD.fit(jnp.stack([embed(image) for image in support]), jax.random.key(0))
    for i, query in enumerate(queries):
        patches = METHOD.score(state, embed(query))
        assert_close(scores.patches[0, i], patches, 1e-4)
        assert_close(scores.image[0, i], scoring.image_score(patches), 1e-4)


def test_a_score_does_not_depend_on_the_other_queries(programs):
    states = programs.methods[0].fit(tuple(s[None] for s in encode(programs, pictures(0, 2))), detector.keys([0]))
    queries = pictures(1, 4)
    others = jnp.concatenate([queries[:1], pictures(2, 3)])
    one, other = (programs.methods[0].score(states, encode(programs, batch)).image[0, 0] for batch in (queries, others))
    assert one == other


def test_draws_are_fitted_together_as_each_alone(programs):
    supports = tuple(s.reshape(3, 2, *s.shape[1:]) for s in encode(programs, pictures(0, 6)))
    queries = encode(programs, pictures(1, 2))
    together = programs.methods[0].score(programs.methods[0].fit(supports, detector.keys([0, 1, 2])), queries)
    for d in range(3):
        alone = programs.methods[0].score(
            programs.methods[0].fit(tuple(s[d : d + 1] for s in supports), detector.keys([d])), queries
        )
        assert_close(together.image[d], alone.image[0], 1e-5)


def test_batches_of_one_shape_compile_once():
    traces = []

    def embed(stages):
        traces.append(1)
        return features.combine(stages)

    programs = compiled.create(ENCODER, [METHOD._replace(embed=embed)], map_size=64)
    states = programs.methods[0].fit(tuple(s[None] for s in encode(programs, pictures(0, 2))), detector.keys([0]))
    traces.clear()
    for seed in range(3):
        programs.methods[0].score(states, encode(programs, pictures(seed, 4)))
    assert len(traces) == 1


def test_maps_have_the_size_asked_for(programs):
    assert programs.maps(jnp.ones((2, 8, 8))).shape == (2, 64, 64)


def test_feature_shape_is_that_of_the_features(programs):
    stages = [s[0] for s in encode(programs, pictures(0, 1))]
    assert detector.feature_shape(ENCODER, METHOD, 64) == METHOD.embed(stages).shape == (8, 8, 384)


def test_an_unknown_method_is_refused():
    with pytest.raises(ValueError, match="unknown method 'magic': allowed are differnet, fastrecon"):
        methods.create("magic")


def test_the_image_score_is_the_methods_own_unless_another_is_asked_for(programs):
    method = methods.create("nearest")
    own, largest = (
        compiled.create(ENCODER, [method], image_score=kind, map_size=64).methods[0] for kind in ("", "max")
    )
    states = own.fit(tuple(s[None] for s in encode(programs, pictures(0, 2))), detector.keys([0]))
    queries = encode(programs, pictures(1, 2))
    scores = own.score(states, queries)
    embedded = method.embed([stage[0] for stage in queries])
    state = jax.tree.map(lambda x: x[0], states)
    assert_close(scores.image[0, 0], method.image_score(state, embedded, scores.patches[0, 0]))
    assert_close(largest.score(states, queries).image, scores.patches.max((2, 3)))


def test_copies_reach_a_method_that_asks_for_them_and_no_other():
    """(k, n) in front, in the features of the method."""
    seen = []

    def fit(features, key, *copies):
        seen.append((features.shape, [x.shape for x in copies]))
        return METHOD.fit(features, key)

    stages = [jnp.ones((2, *shape)) for shape in ((4, 4, 3), (2, 2, 5))]
    changed = [jnp.ones((2, 3, *shape)) for shape in ((4, 4, 3), (2, 2, 5))]
    for asked, given, expected in (
        ((), (), []),
        ((), tuple(changed), []),
        (("turns",), tuple(changed), [(2, 3, 4, 4, 8)]),
    ):
        Detector(METHOD._replace(fit=fit, copies=asked), 64).fit(tuple(stages), jax.random.key(0), given)
        assert seen.pop() == ((2, 4, 4, 8), expected)


@pytest.mark.parametrize("name", methods.feature_names())
def test_every_method_runs_on_the_stages_of_an_encoder(programs, name):
    (whole,) = compiled.create(ENCODER, [methods.create(name)], map_size=64).methods
    support = pictures(0, 4)
    supports = in_draws(encode(programs, support), 2)
    states = whole.fit(supports, detector.keys([0, 1]), *copies_in_draws(programs, support, whole.method, 2))
    scores = whole.score(states, encode(programs, pictures(1, 3)))
    assert scores.patches.shape == (2, 3, 8, 8)
    assert scores.image.shape == (2, 3)
    assert np.isfinite(scores.patches).all() and np.isfinite(scores.image).all()


def photographs(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 100, 90, 3), np.uint8)


def preprocessed(photos):
    sizes = geometry.Preprocessing(image_size=72, crop_size=64)
    return jnp.stack([jnp.asarray(geometry.preprocess(Image.fromarray(photo), sizes)) for photo in photos])


@pytest.mark.parametrize("kind", ["", "max"])
@pytest.mark.parametrize("name", methods.feature_names())
def test_an_inspection_of_photographs_is_that_of_pillow_and_the_programs(name, kind):
    method = methods.create(name, map_size=64)
    programs = compiled.create(ENCODER, [method], image_score=kind, map_size=64, sigma=3.0)
    support, queries = (preprocessed(photographs(seed, count)) for seed, count in ((0, 2), (1, 3)))
    copies = copies_in_draws(programs, support, method, 1)
    states = programs.methods[0].fit(in_draws(encode(programs, support), 1), detector.keys([0]), *copies)
    expected = programs.methods[0].score(states, encode(programs, queries))

    pure, state = Detector(method, 64, kind, 3.0), jax.tree.map(lambda x: x[0], states)

    @jax.jit
    def inspect(encoder, state, photos):
        return pure.inspect_photographs(encoder, state, photos, image_size=72)

    inspection = inspect(ENCODER, state, jnp.asarray(photographs(1, 3)))
    assert_close(inspection.score, expected.image[0], 1e-5)
    assert_close(inspection.map, programs.maps(expected.patches[0]), 1e-5)


@pytest.mark.parametrize("at_once", [1, 2])
@pytest.mark.parametrize("ignored", [False, True])
def test_images_scored_in_turn_score_as_all_at_once(at_once, ignored):
    method = methods.create("fastrecon+", {"coreset_rows": 20, "light": False}, map_size=32)
    rng = np.random.default_rng(0)
    support, queries = (
        tuple(jnp.asarray(rng.random((n, side, side, c)), jnp.float32) for side, c in ((8, 5), (4, 6), (2, 7)))
        for n in (2, 3)
    )
    ignore = np.arange(32)[:, None] + np.zeros(32, int) < 9 if ignored else None
    at_the_same_time = Detector(method, 32, ignore=ignore)
    in_turn = Detector(method, 32, ignore=ignore, at_once=at_once)
    state = at_the_same_time.fit(support, jax.random.key(0))
    expected = at_the_same_time.inspect(state, queries)
    found = in_turn.inspect(state, queries)
    assert found.map.shape == (3, 32, 32) and len(set(found.score.tolist())) == 3
    for actual, wanted in zip(found, expected, strict=True):
        assert_close(actual, wanted, 1e-5)
    for i in range(3):
        assert_close(found.missing[i], in_turn.missing(state, tuple(stage[i] for stage in queries)), 1e-5)
        assert_close(found.score[i], in_turn.score(state, tuple(stage[i] for stage in queries)).image, 1e-5)
