"""An encoder with its weights: stages, dtypes, forms, and what `jit` sees of it."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import encoders
from fastrecon_jax.encoders import encoder as encoding
from fastrecon_jax.encoders.families import efficientnet, resnet
from tests.helpers import assert_close

EIGHT_BITS = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8)


def pictures(seed, *shape):
    """Floating images around grey, about as bright and as contrasted as photographs."""
    values = 115 + 55 * np.random.default_rng(seed).standard_normal((*shape, 3))
    return jnp.asarray(values, jnp.float32)


def size(encoder):
    return sum(leaf.size for leaf in jax.tree.leaves(encoder))


def run(encoder, images):
    return jax.jit(lambda encoder, images: encoder(images))(encoder, images)


def program(encoder, images=EIGHT_BITS):
    return str(jax.make_jaxpr(lambda encoder, images: encoder(images))(encoder, images))


@pytest.mark.parametrize("name", [*efficientnet.VARIANTS, *resnet.VARIANTS])
def test_default_stages_have_strides_8_and_16(name):
    encoder = encoders.create(name, weights="random")
    stages = jax.eval_shape(encoder, jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.uint8))
    assert [stage.shape[:3] for stage in stages] == [(2, 8, 12), (2, 4, 6)]
    assert encoder.weights == "random"


def test_stages_are_returned_finest_first_and_only_as_far_as_asked():
    encoder = encoders.create("resnet18", stages=("layer2", "layer1"), weights="random", platform="gpu")
    assert encoder.stages == ("layer1", "layer2")
    full = encoders.create("resnet18", stages=("layer4",), weights="random", platform="gpu")
    assert size(encoder) < size(full) / 10


def test_bfloat16_stays_near_float32():
    for name in ("resnet18", "efficientnet_lite0"):
        exact, rounded = (encoders.create(name, weights="random", dtype=dtype) for dtype in ("float32", "bfloat16"))
        a, b = (run(e, pictures(0, 1, 64, 64))[0] for e in (exact, rounded))
        assert_close(b, a, 0.05)
        assert "bf16[" in program(rounded) and "bf16[" not in program(exact)


def test_bfloat16_with_trained_weights_is_off_by_three_percent_in_the_mean():
    rng = np.random.default_rng(0)
    coarse = rng.standard_normal((1, 16, 16, 3)).repeat(14, 1).repeat(14, 2)
    images = jnp.asarray(115 + 55 * (coarse + 0.3 * rng.standard_normal((1, 224, 224, 3))), jnp.float32)
    stages = tuple(encoders.registration("efficientnet_lite0").stages)
    exact, rounded = (
        encoders.create("efficientnet_lite0", stages=stages, dtype=dtype) for dtype in ("float32", "bfloat16")
    )
    for a, b in zip(run(exact, images), run(rounded, images), strict=True):
        difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
        assert np.sqrt(np.square(difference).mean() / np.square(a).mean()) < 0.04
        assert np.abs(difference).max() < 0.08 * np.abs(a).max()


def test_bfloat16_takes_half_of_the_memory():
    exact, rounded = (
        encoders.create("efficientnet_lite0", weights="random", dtype=dtype) for dtype in ("float32", "bfloat16")
    )
    memory = [sum(x.nbytes for x in jax.tree.leaves(encoder)) for encoder in (exact, rounded)]
    assert memory[1] < 0.57 * memory[0]


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_products_ask_for_full_precision(name):
    """On a CPU float32 is float32 anyway; a GPU or TPU rounds to TF32 or bfloat16 unless it is told not to."""
    text = program(encoders.create(name, weights="random"))
    products = text.count("dot_general[") + text.count("conv_general_dilated[")
    assert text.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products > 10


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": "vgg"}, "unknown encoder 'vgg': allowed are .*efficientnet_lite0"),
        ({"name": "resnet18", "stages": ("stage3",)}, "unknown stage 'stage3' of resnet18: allowed are layer1"),
        ({"name": "resnet18", "weights": "random", "dtype": "int8"}, "unknown dtype 'int8': allowed are float32"),
        ({"name": "resnet50_v1"}, "no pretrained weights to fetch: pass the path .* those of resnet50 would load too"),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        encoders.create(**arguments)


def test_normalise_is_imagenets_unless_told_otherwise():
    white = jnp.full((1, 1, 1, 3), 255, jnp.uint8)
    expected = [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    assert_close(encoding.normalise(white).ravel(), expected, 1e-6)
    assert_close(encoding.normalise(white, (0.5, 0.0, 1.0), (0.5, 1.0, 1.0)).ravel(), [1, 1, 0], 1e-7)


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1", "efficientnet_lite0"])
def test_convolutions_as_single_operations_change_nothing_but_rounding(name):
    encoder = encoders.create(name, weights="random")
    single, images = encoders.single_operations(encoder), pictures(0, 2, 40, 32)
    for expected, actual in zip(run(encoder, images), run(single, images), strict=True):
        assert_close(actual, expected, 1e-5)
    text = program(single)
    assert "conv_general_dilated" in text and "dot_general" not in text


def test_only_the_cpu_has_transformed_weights():
    on = {platform: encoders.create("resnet18", weights="random", platform=platform) for platform in ("cpu", "gpu")}
    assert size(on["cpu"]) > 2 * size(on["gpu"])
    assert "dot_general" in program(on["cpu"]) and "dot_general" not in program(on["gpu"])


def test_gradients_pass_through_all_forms():
    encoder = encoders.create("resnet18", weights="random", stages=("layer1",))
    gradient = jax.jit(jax.grad(lambda images, encoder: encoder(images)[0].sum()))
    fast, plain = (gradient(pictures(0, 5, 32, 32), form) for form in (encoder, encoders.portable(encoder)))
    assert jnp.max(jnp.abs(fast - plain)) < 1e-4 * jnp.max(jnp.abs(plain))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_tfloat32_is_the_platforms_own_precision(platform):
    plain, own = (
        encoders.create("resnet18", weights="random", dtype=dtype, platform=platform)
        for dtype in ("float32", "tfloat32")
    )
    # Winograd's products alone, which are a CPU's, stay in full precision.
    for form in (own, encoders.portable(own), encoders.single_operations(own)):
        assert ("HIGHEST" in program(form)) == (form.form == "fast")
    assert "HIGHEST" in program(plain)
    for expected, actual in zip(run(plain, pictures(0, 1, 32, 32)), run(own, pictures(0, 1, 32, 32)), strict=True):
        assert actual.dtype == jnp.float32
        assert_close(actual, expected, 1e-5)


def test_encoders_of_equal_structure_share_a_program():
    """Weights are arguments: those of another checkpoint, or a form made twice, compile nothing anew."""
    first, second = (encoders.create("resnet18", weights="random", stages=("layer1",)) for _ in range(2))
    traced = []

    @jax.jit
    def count(encoder):
        traced.append(encoder)
        return encoder.params[0]

    for encoder in (first, second, jax.tree.map(lambda x: x + 1, first)):
        count(encoder)
    assert len(traced) == 1
    for encoder in (encoders.portable(first), encoders.portable(second)):
        count(encoder)
    assert len(traced) == 2


def test_the_leaves_are_the_weights_and_nothing_slows_jit_down():
    encoder = encoders.create("efficientnet_lite0", weights="random")
    leaves = jax.tree.leaves(encoder)
    assert all(a is b for a, b in zip(leaves, encoder.params, strict=True))
    assert type(encoder.params) is tuple  # flattened without Python, as a module is not
    assert all(a is b for a, b in zip(leaves, jax.tree.leaves(encoders.portable(encoder)), strict=True))
    with pytest.raises(dataclasses.FrozenInstanceError):
        encoder.name = "other"


def test_what_the_module_changes_does_not_reach_the_encoder():
    encoder = encoders.create("resnet18", weights="random", stages=("layer1",))
    encoder.module().conv1.stride = 1
    assert encoder.module().conv1.stride == 2
