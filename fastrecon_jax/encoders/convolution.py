"""The one convolution of all encoders: weights with BatchNorm folded in, and the form that suits their shape."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders import winograd

Padding = Sequence[tuple[int, int]]
FORMS = ("fast", "portable", "single")


def symmetric(size: int) -> Padding:
    """Padding of torch: floor(size / 2) on every side.

    Args:
        size: of the kernel.

    Returns:
        (before, after) for height and width.
    """
    return [(size // 2, size // 2)] * 2


def tensorflow_same(height: int, width: int, size: int, stride: int) -> Padding:
    """Padding of TensorFlow's SAME: ceil(n / stride) outputs, the odd pixel after.

    Args:
        height: of the input.
        width: of the input.
        size: of the kernel.
        stride: of the kernel.

    Returns:
        (before, after) for height and width.
    """
    totals = [max(0, (-(-n // stride) - 1) * stride + size - n) for n in (height, width)]
    return [(total // 2, total - total // 2) for total in totals]


def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int, padding: Padding
) -> Float[Array, "b H W c"]:
    """Depthwise convolution as k*k shifted multiply-adds.

    XLA's own, by `feature_group_count`, is 8 to 150 times slower on a CPU.

    Args:
        x: (b, h, w, c).
        kernel: one filter for each channel, (k, k, 1, c).
        stride: of both axes.
        padding: (before, after) for height and width.

    Returns:
        (b, H, W, c).
    """
    size = kernel.shape[0]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    _, h, w, _ = x.shape
    height, width = (h - size) // stride + 1, (w - size) // stride + 1
    below, right = (height - 1) * stride + 1, (width - 1) * stride + 1
    terms = [
        x[:, i : i + below : stride, j : j + right : stride] * kernel[i, j, None, None]
        for i in range(size)
        for j in range(size)
    ]
    return sum(terms[1:], terms[0])


def dense(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l c d"],
    stride: int,
    padding: Padding,
    precision: jax.lax.Precision = jax.lax.Precision.HIGHEST,
) -> Float[Array, "b H W d"]:
    """Convolution over all channels, a 1x1 kernel as a matrix product.

    Args:
        x: (b, h, w, c).
        kernel: (k, l, c, d).
        stride: of both axes.
        padding: (before, after) for height and width.
        precision: of the products; by default float32 in full, also where TF32 is the platform's own.

    Returns:
        (b, H, W, d).
    """
    if kernel.shape[:2] == (1, 1):
        return jnp.matmul(x[:, ::stride, ::stride], kernel[0, 0], precision=precision)
    return single(x, kernel, stride, padding, precision)


def single(
    x: Float[Array, "b h w c"],
    kernel: Float[Array, "k l _ d"],
    stride: int,
    padding: Padding,
    precision: jax.lax.Precision = jax.lax.Precision.HIGHEST,
) -> Float[Array, "b H W d"]:
    """Any convolution as one operation of XLA's, which other runtimes have too and run fast.

    Args:
        x: (b, h, w, c).
        kernel: (k, l, c, d), or one filter for each channel, (k, k, 1, c).
        stride: of both axes.
        padding: (before, after) for height and width.
        precision: of the products, see `dense`.

    Returns:
        (b, H, W, d).
    """
    return jax.lax.conv_general_dilated(
        x,
        kernel,
        (stride, stride),
        padding,
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=x.shape[-1] // kernel.shape[2],
        precision=precision,
    )


class Precise(nnx.Param):
    """A parameter that stays float32 in an encoder of another type: few numbers on which much depends."""


class Convolution(nnx.Module):
    """x * kernel + bias.

    In bfloat16 a depthwise convolution is computed in float32, its kernel too, and so is every addition of a bias: the
    rest of the encoder is then half as far from float32.

    Attributes:
        kernel: (kh, kw, c, d), or (kh, kw, 1, c) for a depthwise one.
        bias: (d,).
        stride: of both axes.
        same: whether the padding is TensorFlow's SAME instead of torch's symmetric one.
        depthwise: one filter for each channel.
        tile: side of Winograd's tiles if the kernel is 3x3 and the stride 1.
        transformed: the kernel for Winograd's form, once `prepare` was called.
        form: one of `FORMS`.
        precision: of the products.
    """

    def __init__(
        self,
        weights: tuple[Float[np.ndarray, "kh kw c d"], Float[np.ndarray, " d"]],
        *,
        stride: int = 1,
        same: bool = False,
        depthwise: bool = False,
        tile: int = 0,
    ):
        self.kernel = (Precise if depthwise else nnx.Param)(jax.device_put(weights[0]))
        self.bias = Precise(jax.device_put(weights[1]))
        self.stride = stride
        self.same = same
        self.depthwise = depthwise
        self.tile = tile if self.kernel.shape[:2] == (3, 3) and stride == 1 else 0
        self.transformed = nnx.data(None)
        self.form = "portable"
        self.precision = jax.lax.Precision.HIGHEST

    def prepare(self) -> None:
        """Transform the kernel for Winograd's form, where that is faster."""
        if self.tile:
            kernel = np.asarray(self.kernel[...])
            self.transformed = nnx.data(nnx.Param(jax.device_put(winograd.transform(kernel, self.tile))))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Convolve; the result has the type of the input."""
        bias = self.bias[...]
        y = self._products(x.astype(self.kernel.dtype))
        return (y.astype(bias.dtype) + bias[None, None, None]).astype(x.dtype)

    def _products(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        if self.form == "fast" and self.transformed is not None:
            return winograd.convolve(x, self.transformed[...])
        kernel = self.kernel[...]
        size = kernel.shape[0]
        padding = tensorflow_same(*x.shape[1:3], size, self.stride) if self.same else symmetric(size)
        if self.depthwise and self.form != "single":
            return depthwise(x, kernel, self.stride, padding)
        form = single if self.form == "single" else dense
        return form(x, kernel, self.stride, padding, self.precision)
