"""Linear layers and the two kinds of MLP of vision transformers; sums stay float32 in other dtypes."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.layers import Layer, Precise, gelu
from fastrecon_jax.encoders.weights import Source


class Linear(Layer):
    """x W + b, the products in the dtype of the weights, the sums in float32.

    Attributes:
        kernel: (inputs, outputs).
        bias: (outputs,).
    """

    def __init__(self, kernel: Float[np.ndarray, "i o"], bias: Float[np.ndarray, " o"]):
        self.kernel = nnx.Param(jax.device_put(np.ascontiguousarray(kernel, np.float32)))
        self.bias = Precise(jax.device_put(np.asarray(bias, np.float32)))

    def __call__(self, x: Float[Array, "*b i"]) -> Float[Array, "*b o"]:
        """Apply the layer to (..., inputs); float32."""
        kernel, bias = self.kernel[...], self.bias[...]
        y = jnp.matmul(x.astype(kernel.dtype), kernel, precision=self.precision, preferred_element_type=jnp.float32)
        return y + bias.reshape((1,) * (y.ndim - 1) + bias.shape)


def linear(source: Source, name: str, inputs: int, outputs: int) -> Linear:
    """A linear layer by the tensor names of torch.

    Args:
        source: where weights come from.
        name: prefix of its tensors.
        inputs: channels that go in.
        outputs: channels that come out.

    Returns:
        The layer.
    """
    weight = source.tensor(f"{name}.weight", (outputs, inputs), init="lecun")
    return Linear(weight.T, source.tensor(f"{name}.bias", (outputs,), init="zeros"))


class Mlp(nnx.Module):
    """Linear, exact GELU, linear."""

    def __init__(self, source: Source, name: str, width: int, hidden: int):
        self.fc1 = linear(source, f"{name}.fc1", width, hidden)
        self.fc2 = linear(source, f"{name}.fc2", hidden, width)

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Apply it to (..., c)."""
        return self.fc2(gelu(self.fc1(x)))


class GatedMlp(nnx.Module):
    """SwiGLU: silu(a) b through a linear layer, with [a, b] from one linear layer.

    References:
        Shazeer, GLU variants improve transformer, 2020.
    """

    def __init__(self, source: Source, name: str, width: int, hidden: int):
        self.w12 = linear(source, f"{name}.w12", width, 2 * hidden)
        self.w3 = linear(source, f"{name}.w3", hidden, width)

    def __call__(self, x: Float[Array, "*b c"]) -> Float[Array, "*b c"]:
        """Apply it to (..., c)."""
        gate, value = jnp.split(self.w12(x), 2, axis=-1)
        return self.w3(gate * jax.nn.sigmoid(gate) * value)
