"""BatchNorm while an encoder is trained: put behind its convolutions, and folded into them again at the end."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.convolution import Convolution
from fastrecon_jax.encoders.families import regad
from fastrecon_jax.encoders.layers import Layer

EPSILON = 1e-5
MOMENTUM = 0.1  # share of a batch in the running mean and variance


class Normed(Layer):
    """A convolution with a BatchNorm behind it, by the statistics of the batch.

    Attributes:
        convolution: what is trained along.
        scale: factor of each normalised channel, (d,).
        shift: added then, (d,).
        mean: running mean, (d,).
        variance: running variance, (d,).
        measuring: while true, a batch changes nothing and its statistics become scale, shift and running ones, after
            which the BatchNorm of this batch is the identity.
    """

    measuring: bool = False

    def __init__(self, convolution: Convolution):
        d = convolution.kernel.shape[-1]
        self.convolution = convolution
        self.scale, self.shift = nnx.Param(jnp.ones(d)), nnx.Param(jnp.zeros(d))
        self.mean, self.variance = nnx.BatchStat(jnp.zeros(d)), nnx.BatchStat(jnp.ones(d))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Convolve and normalise."""
        y = self.convolution(x)
        mean, variance = y.mean(axis=(0, 1, 2)), y.var(axis=(0, 1, 2))
        if self.measuring:
            self.scale[...], self.shift[...] = jnp.sqrt(variance + EPSILON), mean
            self.mean[...], self.variance[...] = mean, variance
            return y
        for kept, new in ((self.mean, mean), (self.variance, variance)):
            kept[...] = (1 - MOMENTUM) * kept[...] + MOMENTUM * jax.lax.stop_gradient(new)
        factor = self.scale[...] * jax.lax.rsqrt(variance + EPSILON)
        return (y - mean[None, None, None]) * factor[None, None, None] + self.shift[...][None, None, None]

    def folded(self) -> Convolution:
        """The convolution alone, which gives what the running mean and variance give."""
        factor = self.scale[...] / jnp.sqrt(self.variance[...] + EPSILON)
        kernel = self.convolution.kernel[...] * factor[None, None, None]
        bias = (self.convolution.bias[...] - self.mean[...]) * factor + self.shift[...]
        old = self.convolution
        return Convolution(
            (np.asarray(kernel), np.asarray(bias)), stride=old.stride, padding=old.padding, tile=old.tile
        )


def unfold(module: regad.RegAD, images: Float[Array, "b H W 3"]) -> None:
    """Put a BatchNorm behind each convolution.

    Those of the ResNet begin as the identity on the given images, from whose statistics they are made: what the
    BatchNorm of the checkpoint was is folded into its kernels. Those of the transformers begin with 1 and 0.
    """
    _replace(module, Normed)
    trunk = [part for _, part in nnx.iter_modules(module.trunk) if isinstance(part, Normed)]
    for part in trunk:
        part.measuring = True
    module.warped(images)
    for part in trunk:
        part.measuring = False


def fold(module: regad.RegAD) -> None:
    """Fold each BatchNorm into its convolution again."""
    _replace(module, Normed.folded)


def _replace(module: regad.RegAD, make: Callable[..., Layer]) -> None:
    module.trunk.conv1 = make(module.trunk.conv1)
    for block in (block for blocks in module.trunk.layers for block in blocks):
        block.convolutions = nnx.List(make(part) for part in block.convolutions)
        if block.shortcut is not None:
            block.shortcut = nnx.data(make(block.shortcut))
    for transformer in module.transformers:
        transformer.conv1, transformer.conv2 = make(transformer.conv1), make(transformer.conv2)
