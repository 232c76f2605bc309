import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import composition, detector, encoders, methods
from fastrecon_jax.data import images
from tests.helpers import assert_close

ENCODER = encoders.create("resnet18", weights="random")
SIZES = {"crop_size": 64, "image_size": 72}


def photographs(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 100, 90, 3), np.uint8)


def preprocessed(photos):
    return jnp.stack(
        [jnp.asarray(images.preprocess(Image.fromarray(photo), images.Preprocessing(**SIZES))) for photo in photos]
    )


@pytest.mark.parametrize("kind", ["", "max"])
@pytest.mark.parametrize("name", methods.names())
def test_the_same_as_pillow_and_the_detector(name, kind):
    method = methods.create(name, methods.MethodSettings(coreset_ratio=0.1), map_size=64)
    programs = detector.create(ENCODER, [method], image_score=kind, map_size=64, sigma=3.0)
    support, queries = (
        programs.encode(programs.params, preprocessed(photographs(seed, count))) for seed, count in ((0, 2), (1, 3))
    )
    states = programs.methods[0].fit(tuple(stage[None] for stage in support), detector.keys([0]))
    expected = programs.methods[0].score(states, queries)

    inspect = composition.compose(ENCODER, method, **SIZES, image_score=kind, sigma=3.0, height=100, width=90)
    arrays = composition.Arrays(ENCODER.params, jax.tree.map(lambda x: x[0], states))
    scores, maps = jax.jit(inspect)(arrays, jnp.asarray(photographs(1, 3)))
    assert_close(scores, expected.images[0], 1e-5)
    assert_close(maps, programs.maps(expected.patches[0]), 1e-5)


def test_images_of_another_size_are_refused():
    inspect = composition.compose(ENCODER, methods.create("nearest"), **SIZES, height=100, width=91)
    with pytest.raises(ValueError, match=r"images of \(100, 90, 3\) are not allowed: the part takes \(100, 91, 3\)"):
        inspect(composition.Arrays(ENCODER.params, None), jnp.asarray(photographs(0, 1)))
