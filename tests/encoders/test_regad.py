import jax
import jax.numpy as jnp
import numpy as np

from fastrecon_jax import encoders
from fastrecon_jax.core import warp
from fastrecon_jax.encoders.families import regad, resnet
from fastrecon_jax.encoders.weights import Random, Tensors
from tests.helpers import assert_close

STAGES = tuple(regad.STRIDES)


def images(count=2, side=64):
    return np.random.default_rng(0).random((count, side, side, 3)).astype(np.float32)


def test_untrained_transformers_change_nothing():
    x = jnp.asarray(images())
    plain = resnet.ResNet(Random(), resnet.VARIANTS["resnet18"], STAGES)(x)
    registered = regad.build(Random(), STAGES)(x)
    for name in STAGES:
        assert_close(registered[name], plain[name], 1e-4)


def test_values_are_between_0_and_1_and_not_normalised():
    encoder = encoders.create("regad_resnet18", weights="random", stages=("layer1",))
    pixels = np.random.default_rng(1).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    expected = regad.build(Random(), ("layer1",))(jnp.asarray(pixels, jnp.float32) / 255)
    assert_close(encoder(pixels)[0], expected["layer1"], 1e-3)


def turned(angles):
    module = regad.build(Random(), STAGES)
    for transformer, angle in zip(module.transformers, angles, strict=True):
        transformer.fc2.bias = transformer.fc2.bias.replace(jnp.array([angle, 0.0, 0.0], jnp.float32))
    return module


def test_stages_are_brought_back_in_the_opposite_order():
    module, x = turned((0.3, -0.2, 0.1)), jnp.asarray(images())
    outputs = module(x)
    (_, _, first), (_, _, second), (_, third, matrices) = module.warped(x)
    for change in (matrices, second, first):
        third = jax.vmap(warp.affine)(third, jax.vmap(warp.inverse)(change))
    assert_close(outputs["layer3"], third, 1e-5)


def test_weights_come_back_from_their_names():
    module = turned((0.3, -0.2, 0.1))
    source = Tensors(regad.named(module))
    again = regad.build(source, STAGES)
    source.finish(source="here", encoder="regad_resnet18", may_be_unread=lambda name: False)
    for name, stage in module(jnp.asarray(images())).items():
        assert_close(again(jnp.asarray(images()))[name], stage, 1e-6)
