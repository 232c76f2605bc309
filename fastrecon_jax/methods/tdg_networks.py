"""TDG's networks: four 3x3 convolutions with normalised batches and a last one, for patches of 11 by 11 pixels."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.core import linalg

HIDDEN = 4  # convolutions before the last one
MARGIN = HIDDEN + 1  # pixels that convolutions without padding take from each edge
RECEPTIVE_FIELD = 2 * MARGIN + 1
_SLOPE = 0.2  # of the leaky rectifier
_EPSILON = 1e-5  # added to variances
_MOMENTUM = 0.1  # share of a batch in the running statistics
_SPREAD = 0.02  # standard deviation of weights at the start


class Hidden(NamedTuple):
    """A convolution whose outputs are normalised over the batch, scaled and shifted."""

    kernel: Float[Array, "3 3 a c"]
    scale: Float[Array, " c"]
    shift: Float[Array, " c"]


class Network(NamedTuple):
    """What is trained: hidden layers, and the last convolution."""

    hidden: tuple[Hidden, ...]
    kernel: Float[Array, "3 3 c out"]
    bias: Float[Array, " out"]


class Moments(NamedTuple):
    """Means and variances of a hidden layer's channels; of g groups with a leading axis."""

    mean: Float[Array, "*g c"]
    variance: Float[Array, "*g c"]


# A network with its running statistics folded in: kernel and bias of each convolution.
Plain = tuple[tuple[Float[Array, "3 3 _ _"], Float[Array, " _"]], ...]


def initialise(inputs: int, width: int, outputs: int, key: PRNGKeyArray) -> tuple[Network, tuple[Moments, ...]]:
    """Weights before the first step, and the running statistics.

    Args:
        inputs: channels of the images.
        width: channels of the hidden layers.
        outputs: channels of the last convolution.
        key: random key.

    Returns:
        The network and its statistics, mean 0 and variance 1.
    """
    of_layers = jax.random.split(key, (HIDDEN + 1, 2))
    hidden = []
    for (of_kernel, of_scale), before in zip(of_layers[:HIDDEN], (inputs, *[width] * (HIDDEN - 1)), strict=True):
        kernel = _SPREAD * jax.random.normal(of_kernel, (3, 3, before, width))
        hidden.append(Hidden(kernel, 1 + _SPREAD * jax.random.normal(of_scale, (width,)), jnp.zeros(width)))
    last = _SPREAD * jax.random.normal(of_layers[HIDDEN, 0], (3, 3, width, outputs))
    moments = tuple(Moments(jnp.zeros(width), jnp.ones(width)) for _ in hidden)
    return Network(tuple(hidden), last, jnp.zeros(outputs)), moments


def forward(
    network: Network, images: Float[Array, "g b h w c"]
) -> tuple[Float[Array, "g b h2 w2 out"], tuple[Moments, ...]]:
    """The outputs in training: each group of images is normalised by its own statistics.

    Args:
        network: its weights.
        images: g groups of b images, (g, b, h, w, c).

    Returns:
        The outputs, (g, b, h - 10, w - 10, out), and the statistics of each hidden layer, of each group.
    """
    groups, x = images.shape[0], images
    seen = []
    for layer in network.hidden:
        x = _convolved(x.reshape(-1, *x.shape[2:]), layer.kernel)
        x = x.reshape(groups, -1, *x.shape[1:])
        mean, variance = x.mean(axis=(1, 2, 3)), x.var(axis=(1, 2, 3))
        seen.append(Moments(mean, variance))
        factor = layer.scale[None] * jax.lax.rsqrt(variance + _EPSILON)
        x = x * factor[:, None, None, None] + (layer.shift[None] - mean * factor)[:, None, None, None]
        x = jax.nn.leaky_relu(x, _SLOPE)
    x = _convolved(x.reshape(-1, *x.shape[2:]), network.kernel) + network.bias[None, None, None]
    return x.reshape(groups, -1, *x.shape[1:]), tuple(seen)


def followed(running: tuple[Moments, ...], seen: tuple[Moments, ...]) -> tuple[Moments, ...]:
    """Running statistics after a batch.

    Args:
        running: those before.
        seen: those of one group of the batch.

    Returns:
        Nine tenths of the former and a tenth of the latter.
    """
    return jax.tree.map(lambda old, new: (1 - _MOMENTUM) * old + _MOMENTUM * new, running, seen)


def folded(network: Network, running: tuple[Moments, ...]) -> Plain:
    """The network as it scores: running statistics in place of those of a batch, as parts of the convolutions.

    Args:
        network: trained weights.
        running: running statistics.

    Returns:
        Kernel and bias of each convolution.
    """
    layers = []
    for layer, (mean, variance) in zip(network.hidden, running, strict=True):
        factor = layer.scale * jax.lax.rsqrt(variance + _EPSILON)
        layers.append((layer.kernel * factor[None, None, None], layer.shift - mean * factor))
    return (*layers, (network.kernel, network.bias))


def plain(layers: Plain, images: Float[Array, "b h w c"]) -> Float[Array, "b h2 w2 out"]:
    """The outputs of a folded network.

    Args:
        layers: what `folded` returned.
        images: (b, h, w, c).

    Returns:
        The outputs, (b, h - 10, w - 10, out).
    """
    x = images
    for i, (kernel, bias) in enumerate(layers):
        x = _convolved(x, kernel) + bias[None, None, None]
        x = jax.nn.leaky_relu(x, _SLOPE) if i < HIDDEN else x
    return x


def inputs_of_generator(
    images: Float[Array, "b s s 3"], numbers: Int[Array, " b"]
) -> Float[Array, "b padded padded 4"]:
    """What a generator sees: images with noise, the number of the support image as a fourth channel, zeros around.

    Args:
        images: noise, and from the second scale on the image of the scale below, (b, s, s, 3).
        numbers: which support image each is of, from 0.

    Returns:
        (b, s + 10, s + 10, 4).
    """
    channel = jnp.broadcast_to(numbers.astype(jnp.float32)[:, None, None, None], (*images.shape[:3], 1))
    pad = (MARGIN, MARGIN)
    return jnp.pad(jnp.concatenate([images, channel], axis=-1), ((0, 0), pad, pad, (0, 0)))


def generated(
    layers: Plain, noise: Float[Array, "b s s 3"], below: Float[Array, "b s s 3"], numbers: Int[Array, " b"]
) -> Float[Array, "b s s 3"]:
    """Images of a folded generator: what it adds to those of the scale below.

    Args:
        layers: what `folded` returned.
        noise: times its amplitude, (b, s, s, 3).
        below: images of the scale below at this size, (b, s, s, 3); zeros at the coarsest scale.
        numbers: which support image each is of, from 0.

    Returns:
        The images, (b, s, s, 3), about -1 to 1.
    """
    return jnp.tanh(plain(layers, inputs_of_generator(noise + below, numbers))) + below


@jax.custom_vjp
def _convolved(x: Float[Array, "b h w c"], kernel: Float[Array, "3 3 c d"]) -> Float[Array, "b h2 w2 d"]:
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (1, 1),
        "VALID",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        precision=jax.lax.Precision.HIGHEST,
    )


def _with_inputs(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return _convolved(x, kernel), (x, kernel)


def _gradients(inputs: tuple[Array, Array], outer: Float[Array, "b h2 w2 d"]) -> tuple[Array, Array]:
    """Gradients as a plain convolution and nine products: XLA's own are 20 times slower in a loop on a CPU."""
    x, kernel = inputs
    h, w = outer.shape[1:3]
    # In the image: each output's gradient spread over its window, which is the mirrored kernel's convolution.
    spread = _convolved(jnp.pad(outer, ((0, 0), (2, 2), (2, 2), (0, 0))), kernel[::-1, ::-1].swapaxes(2, 3))

    def of_weight(i: int, j: int) -> Float[Array, "c d"]:
        seen = x[:, i : i + h, j : j + w].reshape(-1, x.shape[-1])
        return linalg.matmul(seen.T, outer.reshape(-1, outer.shape[-1]))

    return spread, jnp.stack([jnp.stack([of_weight(i, j) for j in range(3)]) for i in range(3)])


_convolved.defvjp(_with_inputs, _gradients)
