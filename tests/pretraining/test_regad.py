"""The network of RegAD's meta-training: where it begins, its batches, its BatchNorm, and what it can learn."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

from fastrecon_jax import encoders, files
from fastrecon_jax.core import warp
from fastrecon_jax.encoders.convolution import Convolution
from fastrecon_jax.encoders.families import regad as family
from fastrecon_jax.encoders.weights import Random
from fastrecon_jax.pretraining import batch_norm, regad
from tests.helpers import assert_close


def pixels(count=4, side=32, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, side, side, 3)).astype(np.uint8)


@pytest.fixture
def one_stage(monkeypatch):
    """The network to its first stage, which compiles in seconds."""
    monkeypatch.setattr(regad, "STAGES", ("layer1",))
    monkeypatch.setattr(regad, "CHANNELS", 64)


def test_it_begins_as_the_resnet_with_its_transformers_at_the_identity(one_stage):
    origin = regad.origin("random", "float32")
    images = pixels(side=96)
    network = regad.begin(origin, images)
    (_, registered, matrices), *_ = network.encoder.warped(jnp.asarray(images, jnp.float32) / 255)
    assert_close(matrices, np.tile(np.eye(2, 3), (4, 1, 1)), 1e-6)
    # At the border the first convolution sees black where the ResNet sees the mean of ImageNet.
    assert_close(registered[:, 7:-7, 7:-7], origin(images)[0][:, 7:-7, 7:-7], 1e-3)


def test_the_support_is_other_images_of_the_batch():
    weights = np.asarray(regad.partners(jax.random.key(3), 6, 2))
    np.testing.assert_array_equal(np.diag(weights), 0)
    np.testing.assert_array_equal((weights > 0).sum(axis=1), 2)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    assert np.any(weights != np.asarray(regad.partners(jax.random.key(4), 6, 2)))


def normed(channels=5):
    rng = np.random.default_rng(0)
    return batch_norm.Normed(
        Convolution((rng.standard_normal((3, 3, 4, channels)).astype(np.float32), np.ones(channels, np.float32)))
    )


def test_batch_norm_against_numpy_and_its_running_statistics():
    layer, x = normed(), jnp.asarray(np.random.default_rng(1).standard_normal((3, 6, 6, 4)), jnp.float32)
    layer.scale[...], layer.shift[...] = jnp.arange(1.0, 6), jnp.arange(5.0)
    y = np.asarray(layer.convolution(x), np.float64)
    mean, variance = y.mean((0, 1, 2)), y.var((0, 1, 2))
    assert_close(layer(x), (y - mean) / np.sqrt(variance + 1e-5) * np.arange(1, 6) + np.arange(5), 1e-5)
    assert_close(layer.mean[...], 0.1 * mean, 1e-5)
    assert_close(layer.variance[...], 0.9 + 0.1 * variance, 1e-5)


def test_a_folded_batch_norm_is_that_of_the_running_statistics():
    layer, x = normed(), jnp.asarray(np.random.default_rng(1).standard_normal((3, 6, 6, 4)), jnp.float32)
    layer.measuring = True
    y = layer(x)
    assert_close(y, layer.convolution(x), 1e-6)
    assert_close(layer.folded()(x), y, 1e-4)
    layer.measuring = False
    assert_close(layer(x), y, 1e-4)


def test_no_gradient_flows_through_what_is_to_be_predicted():
    head = regad.Head()
    rng = np.random.default_rng(0)
    q, s = (jnp.asarray(rng.standard_normal((2, 2, 2, regad.CHANNELS)), jnp.float32) for _ in range(2))

    def loss(q, s):
        layer = nnx.clone(head)
        return jax.vmap(warp.negative_cosine)(layer(q)[0], layer(s)[1]).mean()

    by_q, by_s = jax.grad(loss, argnums=(0, 1))(q, s)
    assert np.abs(by_q).max() > 0
    np.testing.assert_array_equal(by_s, 0)


def test_the_rates_are_cosines_by_epochs():
    rates = regad.rates(6, first=(0.1, 0.2), epochs=3)
    cosine = np.repeat([0.1, 0.075, 0.025], 2)
    np.testing.assert_allclose(rates, np.stack([cosine, 2 * cosine], axis=1), rtol=1e-5)


def test_encoder_and_head_have_rates_and_bounds_of_their_own(one_stage):
    network = regad.begin(regad.origin("random", "float32"), pixels())
    step, before = regad.prepared(network, 1, 1e-3)
    data = regad.Data(pixels(), np.arange(len(pixels()))[None], np.array([[1.0, 2.0]], np.float32))
    after, _ = jax.jit(step)(before, jax.random.key(0), jnp.asarray(0), jax.tree.map(jnp.asarray, data))
    changes = jax.tree.map(jnp.subtract, after.parameters, before.parameters)
    norms = [float(optax.tree.norm(changes[part])) for part in ("encoder", "head")]
    np.testing.assert_allclose(norms, [1e-3, 2e-3], rtol=0.02)


def test_random_layers_begin_as_pytorchs():
    head = regad.Head()
    kernel = np.asarray(head.predictor[1].kernel[...])
    bound = 1 / np.sqrt(regad.CHANNELS)
    assert 0.99 * bound < np.abs(kernel).max() <= bound
    assert kernel.std() == pytest.approx(bound / np.sqrt(3), rel=0.05)


def test_a_transformer_learns_to_bring_a_turned_texture_back():
    y, x = np.mgrid[:28, :28]
    upright = jnp.asarray(np.stack([np.sin(x / 4 + i / 8) + np.cos(y / 5 - i / 8) for i in range(8)], -1), jnp.float32)
    turned = warp.affine(upright, warp.rotation_scale(jnp.array([np.deg2rad(12.0), 1.0, 1.0], jnp.float32)))
    transformer = family.Transformer(Random(), "stn", 8, 7)
    definition, parameters = nnx.split(transformer, nnx.Param)

    def loss(parameters):
        matrix = nnx.merge(definition, parameters)(turned[None])[0]
        inside = slice(6, -6)
        return jnp.square(warp.affine(turned, matrix) - upright)[inside, inside].mean()

    @jax.jit
    def step(parameters):
        return jax.tree.map(lambda w, g: w - 1e-4 * g, parameters, jax.grad(loss)(parameters))

    before = loss(parameters)
    for _ in range(50):
        parameters = step(parameters)
    assert loss(parameters) < before / 10
    matrix = nnx.merge(definition, parameters)(turned[None])[0]
    assert abs(np.rad2deg(np.arctan2(matrix[1, 0], matrix[0, 0])) + 12) < 2


def test_its_weights_are_an_encoder(one_stage, tmp_path):
    network = regad.begin(regad.origin("random", "float32"), pixels())
    _, state = regad.prepared(network, 1, 0.0)
    files.write_arrays(tmp_path / "w.safetensors", regad.trained(network, state), {"some": "text"})
    encoder = encoders.create("regad_resnet18", stages=("layer1",), weights=str(tmp_path / "w.safetensors"))
    assert dict(encoder.metadata) == {"some": "text"}
    expected = network.encoder(jnp.asarray(pixels(), jnp.float32) / 255)["layer1"]
    assert_close(encoder(pixels())[0], expected, 1e-3)
