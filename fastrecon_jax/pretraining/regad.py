"""RegAD's meta-training: good images of one category are brought to agree with each other, category by category."""

import functools
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key, PyTree, Scalar, UInt8

from fastrecon_jax import encoders
from fastrecon_jax.core import warp
from fastrecon_jax.encoders import layers
from fastrecon_jax.encoders.convolution import Convolution, biased
from fastrecon_jax.encoders.families import regad
from fastrecon_jax.encoders.layers import Layer
from fastrecon_jax.encoders.registry import IMAGENET_MEAN, IMAGENET_STD
from fastrecon_jax.encoders.weights import Random
from fastrecon_jax.pretraining import batch_norm
from fastrecon_jax.pretraining.batch_norm import Normed
from fastrecon_jax.training import loop

STAGES = tuple(regad.STRIDES)
CHANNELS = regad.CHANNELS[-1]
_PARTS = ("encoder", "head")  # of `Network`
_MOMENTUM = 0.9
MEASURED = 32  # images by which the BatchNorm of the ResNet begins


class Data(NamedTuple):
    """What all steps are given.

    Attributes:
        images: RGB, (n, H, W, 3), 0 to 255.
        order: which of them each step sees, all of one category, (steps, b).
        rates: learning rates of each step, those of the encoder and of the head, (steps, 2).
    """

    images: UInt8[Array | np.ndarray, "n H W 3"]
    order: Int[Array | np.ndarray, "steps b"]
    rates: Float[Array | np.ndarray, "steps 2"]


class Start(Random):
    """Random weights as PyTorch's layers begin with them, which are the authors'."""

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """That of `Random`, uniform in place of `he`."""
        return super().tensor(name, shape, init="uniform" if init == "he" else init, minimum=minimum)


class Head(nnx.Module):
    """The Siamese head: an encoder of three layers and a predictor of two, at each position alone.

    References:
        Chen and He, Exploring simple Siamese representation learning, CVPR 2021, section 3.
    """

    def __init__(self):
        def layer(name: str) -> Convolution:
            return Convolution(biased(Start(), f"head.{name}", (CHANNELS, CHANNELS, 1, 1)))

        self.encoder = nnx.List([Normed(layer("encoder1")), Normed(layer("encoder2")), layer("encoder3")])
        self.predictor = nnx.List([Normed(layer("predictor1")), layer("predictor2")])

    def __call__(self, x: Float[Array, "b h w c"]) -> tuple[Float[Array, "b h w c"], Float[Array, "b h w c"]]:
        """The predictions and the encodings of registered features."""
        z = _chain(list(self.encoder), x)
        return _chain(list(self.predictor), z), z


def _chain(parts: list[Layer], x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
    for part in parts[:-1]:
        x = jax.nn.relu(part(x))
    return parts[-1](x)


class Network(nnx.Module):
    """What is trained: the encoder, and the head that is left behind."""

    def __init__(self, encoder: regad.RegAD):
        self.encoder = encoder
        self.head = Head()

    def __call__(self, images: Float[Array, "b H W 3"], partners: Float[Array, "b b"]) -> Scalar:
        """The loss of a batch; row i of `partners` holds the weights of the images that are the support of image i."""
        _, queries, _ = self.encoder.warped(images)[-1]
        supports = jnp.einsum("ij,jhwc->ihwc", partners, queries, precision=jax.lax.Precision.HIGHEST)
        predicted, encoded = self.head(queries)
        predicted_too, encoded_too = self.head(supports)
        distance = jax.vmap(warp.negative_cosine)
        return (distance(predicted, encoded_too) + distance(predicted_too, encoded)).mean() / 2


def partners(key: Key[Array, ""], batch: int, shots: int) -> Float[Array, "b b"]:
    """For each image of a batch equal weights of `shots` others, drawn without replacement, that sum to 1."""
    drawn = jax.random.uniform(key, (batch, batch)) + 2 * jnp.eye(batch)  # no image is its own partner
    _, chosen = jax.lax.top_k(-drawn, shots)
    return jax.nn.one_hot(chosen, batch).sum(axis=1) / shots


def origin(weights: str, dtype: str) -> encoders.Encoder:
    """The ResNet-18 that training begins with; InputError where its weights cannot be used."""
    return encoders.create("resnet18", stages=STAGES, weights=weights, dtype=dtype, platform="gpu")


def begin(origin: encoders.Encoder, images: UInt8[np.ndarray, "n H W 3"]) -> Network:
    """The network before the first step.

    RegAD's images are not normalised: the first convolution takes that over, so that features begin as ImageNet's.
    """
    module = regad.build(Start(), STAGES)
    module.trunk = origin.module()
    first = module.trunk.conv1
    kernel, bias = np.asarray(first.kernel[...]), np.asarray(first.bias[...])
    kernel = kernel / np.asarray(IMAGENET_STD, np.float32)[:, None]
    bias = bias - np.einsum("ijcd,c->d", kernel, np.asarray(IMAGENET_MEAN, np.float32))
    module.trunk.conv1 = Convolution((kernel, bias), stride=first.stride)
    precision = jax.lax.Precision.DEFAULT if origin.dtype == "tfloat32" else jax.lax.Precision.HIGHEST
    layers.choose(module, "portable", precision)
    spread = np.unique(np.linspace(0, len(images) - 1, MEASURED).round().astype(int))
    batch_norm.unfold(module, jnp.asarray(images[spread], jnp.float32) / 255)
    network = Network(module)
    layers.choose(network, "portable", precision)
    return network


def rates(steps: int, *, first: Sequence[float], epochs: int) -> Float[np.ndarray, "steps 2"]:
    """The learning rates of each step: cosines from those of `first` to nearly 0, constant within an epoch."""
    passed = np.arange(steps) // (steps // epochs)
    cosine = (1 + np.cos(np.pi * passed / epochs)) / 2
    return (cosine[:, None] * np.asarray(first)).astype(np.float32)


def optimiser(clip: float) -> optax.GradientTransformation:
    """Momentum, behind a bound on the norms of the gradients of encoder and head unless it is 0."""
    momentum = optax.trace(decay=_MOMENTUM)
    # One bound for both would leave the head what the transformers do, whose gradients are ten to a hundred times its.
    each = {name: optax.clip_by_global_norm(clip) for name in _PARTS}
    return optax.chain(optax.partition(each, _part_of_each), momentum) if clip else momentum


def _part_of_each(parameters: PyTree) -> PyTree:
    """The name of the part of the network that each parameter belongs to, of `_PARTS`."""
    return jax.tree.map_with_path(lambda path, _: str(path[0].key), parameters)


def prepared(network: Network, shots: int, clip: float) -> tuple[loop.Step, loop.Fit]:
    """The step of `loop.train` and the state before it, of which `trained` makes weights."""
    definition, parameters, statistics = nnx.split(network, nnx.Param, nnx.BatchStat)
    return _step(definition, shots, clip), loop.start(parameters, optimiser(clip), statistics)


@functools.lru_cache(maxsize=1)  # one program for all categories that are left out
def _step(definition: Any, shots: int, clip: float) -> loop.Step:
    """Stochastic gradient descent with momentum."""
    momentum = optimiser(clip)

    def loss(parameters: PyTree, statistics: PyTree, key: Key[Array, ""], images: Array) -> tuple[Scalar, PyTree]:
        network = nnx.merge(definition, parameters, statistics, copy=True)
        value = network(images, partners(key, images.shape[0], shots))
        return value, nnx.state(network, nnx.BatchStat)

    def step(state: loop.Fit, key: Key[Array, ""], number: Scalar, data: Data) -> tuple[loop.Fit, Scalar]:
        images = data.images[data.order[number]].astype(jnp.float32) / 255
        (value, statistics), gradients = jax.value_and_grad(loss, has_aux=True)(
            state.parameters, state.extra, key, images
        )
        updates, changed = momentum.update(gradients, state.optimiser, state.parameters)
        rates = dict(zip(_PARTS, data.rates[number], strict=True))
        parameters = jax.tree.map(
            lambda part, x, change: x - rates[part] * change, _part_of_each(updates), state.parameters, updates
        )
        return loop.Fit(parameters, changed, statistics), value

    return step


def trained(network: Network, state: loop.Fit) -> dict[str, Float[np.ndarray, "..."]]:
    """The weights of `regad_resnet18` by name, every BatchNorm folded; changes the network."""
    nnx.update(network, state.parameters, state.extra)
    batch_norm.fold(network.encoder)
    return regad.named(network.encoder)
