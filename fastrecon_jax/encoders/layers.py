"""What all encoders have in common: parameters that stay precise, forms that are chosen once, LayerNorm, GELU."""

from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.weights import Source

FORMS = ("fast", "portable", "single")


class Precise(nnx.Param):
    """A parameter that stays float32 in an encoder of another dtype: few numbers on which much depends."""


class Layer(nnx.Module):
    """A layer with products: its form and their precision are chosen when the encoder is built, see `choose`.

    A layer of one form alone ignores `form`; one without products has no need of this class.

    Attributes:
        form: `fast` on a CPU, `portable` in a program for several platforms, or `single`, each convolution as one
            operation: fastest on accelerators, and in other runtimes than XLA's.
        precision: that products ask for: HIGHEST, which is float32 in full, or the platform's own.
    """

    form: str = "portable"
    precision: jax.lax.Precision = jax.lax.Precision.HIGHEST

    def prepare(self) -> None:
        """Compute from float32 weights, once, what the form `fast` takes beside them; by default nothing."""


def layers(module: nnx.Module) -> Iterator[Layer]:
    """Every `Layer` of a module."""
    return (part for _, part in nnx.iter_modules(module) if isinstance(part, Layer))


def choose(module: nnx.Module, form: str, precision: jax.lax.Precision) -> None:
    """Set form and precision of every layer of a module."""
    for layer in layers(module):
        layer.form, layer.precision = form, precision


class LayerNorm(nnx.Module):
    """(x - mean) / sqrt(variance + epsilon) scale + bias over the channels of each position, in float32.

    Attributes:
        scale: (c,).
        bias: (c,).
        epsilon: what is added to the variance.
    """

    def __init__(self, source: Source, name: str, width: int, *, epsilon: float):
        self.scale = Precise(jax.device_put(source.tensor(f"{name}.weight", (width,), init="ones").astype(np.float32)))
        self.bias = Precise(jax.device_put(source.tensor(f"{name}.bias", (width,), init="zeros").astype(np.float32)))
        self.epsilon = epsilon

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Normalise (..., c); float32."""
        y = standardise(x, self.epsilon)
        scale, bias = (part[...].reshape((1,) * (y.ndim - 1) + part[...].shape) for part in (self.scale, self.bias))
        return y * scale + bias


def standardise(x: Float[Array, "*b c"], epsilon: float) -> Float[Array, "*b c"]:
    """(x - mean) / sqrt(variance + epsilon) over the channels of each position.

    Args:
        x: (..., c), of a floating type.
        epsilon: what is added to the variance, above 0.

    Returns:
        float32, (..., c).
    """
    x = x.astype(jnp.float32)
    centred = x - x.mean(axis=-1, keepdims=True)
    # The variance is the mean of squares of what is centred: the mean of squares less the square of the mean loses all
    # digits where the mean is large.
    return centred * jax.lax.rsqrt(jnp.square(centred).mean(axis=-1, keepdims=True) + epsilon)


def gelu(x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
    """X Φ(x), exact, with Φ the normal distribution: not the approximation by tanh, which moves features by 1e-3.

    Args:
        x: of any shape, float32.

    Returns:
        The same shape.
    """
    return 0.5 * x * (1 + jax.lax.erf(x * (0.5**0.5)))
