import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import detector, encoders, methods
from fastrecon_jax.core import features, scoring
from fastrecon_jax.encoders.registry import normalise
from tests.helpers import assert_close

ENCODER = encoders.create("resnet18", weights="random")
METHOD = methods.create("fastrecon", methods.MethodSettings(coreset_ratio=0.1))


@pytest.fixture(scope="module")
def programs():
    return detector.create(ENCODER, [METHOD], map_size=64)


def pictures(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).integers(0, 256, (*shape, 64, 64, 3)), jnp.uint8)


def encode(programs, images):
    return programs.encode(programs.params, images)


def test_scores_equal_the_parts_put_together_by_hand(programs):
    support, queries = pictures(0, 2), pictures(1, 3)
    stages = encode(programs, support)
    states = programs.methods[0].fit(tuple(s[None] for s in stages), detector.keys([None]))
    scores = programs.methods[0].score(states, encode(programs, queries))

    def embed(image):
        outputs = ENCODER.apply(ENCODER.params, normalise(image[None]))
        return features.combine([stage[0] for stage in outputs])

    state = METHOD.fit(jnp.stack([embed(image) for image in support]), jax.random.key(0))
    for i, query in enumerate(queries):
        patches = METHOD.score(state, embed(query))
        assert_close(scores.patches[0, i], patches, 1e-4)
        assert_close(scores.images[0, i], scoring.image_score(patches), 1e-4)


def test_a_score_does_not_depend_on_the_other_queries(programs):
    states = programs.methods[0].fit(tuple(s[None] for s in encode(programs, pictures(0, 2))), detector.keys([0]))
    queries = pictures(1, 4)
    others = jnp.concatenate([queries[:1], pictures(2, 3)])
    one, other = (
        programs.methods[0].score(states, encode(programs, batch)).images[0, 0] for batch in (queries, others)
    )
    assert one == other


def test_draws_are_fitted_together_as_each_alone(programs):
    supports = tuple(s.reshape(3, 2, *s.shape[1:]) for s in encode(programs, pictures(0, 6)))
    queries = encode(programs, pictures(1, 2))
    together = programs.methods[0].score(programs.methods[0].fit(supports, detector.keys([0, 1, 2])), queries)
    for d in range(3):
        alone = programs.methods[0].score(
            programs.methods[0].fit(tuple(s[d : d + 1] for s in supports), detector.keys([d])), queries
        )
        assert_close(together.images[d], alone.images[0], 1e-5)


def test_batches_of_one_shape_compile_once():
    traces = []

    def embed(stages):
        traces.append(1)
        return features.combine(stages)

    programs = detector.create(ENCODER, [METHOD._replace(embed=embed)], map_size=64)
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
    with pytest.raises(ValueError, match="unknown method 'magic': allowed are fastrecon"):
        methods.create("magic")


def test_the_image_score_is_the_methods_own_unless_another_is_asked_for(programs):
    method = methods.create("nearest")
    own, largest = (
        detector.create(ENCODER, [method], image_score=kind, map_size=64).methods[0] for kind in ("", "max")
    )
    states = own.fit(tuple(s[None] for s in encode(programs, pictures(0, 2))), detector.keys([0]))
    queries = encode(programs, pictures(1, 2))
    scores = own.score(states, queries)
    embedded = method.embed([stage[0] for stage in queries])
    state = jax.tree.map(lambda x: x[0], states)
    assert_close(scores.images[0, 0], method.image_score(state, embedded, scores.patches[0, 0]))
    assert_close(largest.score(states, queries).images, scores.patches.max((2, 3)))


@pytest.mark.parametrize("name", methods.names())
def test_every_method_runs_on_the_stages_of_an_encoder(programs, name):
    (whole,) = detector.create(ENCODER, [methods.create(name)], map_size=64).methods
    states = whole.fit(
        tuple(s.reshape(2, 2, *s.shape[1:]) for s in encode(programs, pictures(0, 4))), detector.keys([0, 1])
    )
    scores = whole.score(states, encode(programs, pictures(1, 3)))
    assert scores.patches.shape == (2, 3, 8, 8)
    assert scores.images.shape == (2, 3)
    assert np.isfinite(scores.patches).all() and np.isfinite(scores.images).all()
