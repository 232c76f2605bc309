"""The one convolution of all encoders: weights with BatchNorm folded in, and the form that suits their shape."""

from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders import winograd
from fastrecon_jax.encoders.layers import Layer, Precise
from fastrecon_jax.encoders.weights import Source
from fastrecon_jax.encoders.wide_depthwise import wide_depthwise

_WIDE = 7  # side of a depthwise kernel from which its gradient has a form of its own
Padding = Sequence[tuple[int, int]]
Weights = tuple[Float[np.ndarray, "kh kw c d"], Float[np.ndarray, " d"]]


def folded(source: Source, name: str, norm: str, shape: tuple[int, int, int, int], *, epsilon: float) -> Weights:
    """A convolution with the BatchNorm behind it folded in, in float64.

    kernel' = kernel * scale,  bias' = beta - mean * scale,  scale = gamma / sqrt(variance + epsilon).

    Args:
        source: where weights come from; if it has a bias for the convolution, that is folded already.
        name: prefix of the convolution's tensors.
        norm: prefix of the BatchNorm's tensors.
        shape: what the kernel's is in the checkpoint, (d, c, kh, kw).
        epsilon: what the BatchNorm adds to the variance.

    Returns:
        Kernel (kh, kw, c, d) and bias (d,), float32.
    """
    if source.has(f"{name}.bias"):
        return biased(source, name, shape)
    kernel = _kernel(source, name, shape)
    channels = shape[:1]
    gamma = source.tensor(f"{norm}.weight", channels, init="ones").astype(np.float64)
    beta = source.tensor(f"{norm}.bias", channels, init="zeros").astype(np.float64)
    mean = source.tensor(f"{norm}.running_mean", channels, init="zeros").astype(np.float64)
    variance = source.tensor(f"{norm}.running_var", channels, init="ones", minimum=0.0).astype(np.float64)
    scale = gamma / np.sqrt(variance + epsilon)
    return (kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)


def biased(source: Source, name: str, shape: tuple[int, int, int, int]) -> Weights:
    """A convolution with a bias of its own.

    Args:
        source: where weights come from.
        name: prefix of the convolution's tensors.
        shape: what the kernel's is in the checkpoint, (d, c, kh, kw).

    Returns:
        Kernel (kh, kw, c, d) and bias (d,), float32.
    """
    kernel = _kernel(source, name, shape)
    return kernel.astype(np.float32), source.tensor(f"{name}.bias", shape[:1], init="zeros").astype(np.float32)


def _kernel(source: Source, name: str, shape: tuple[int, int, int, int]) -> Float[np.ndarray, "kh kw c d"]:
    return source.tensor(f"{name}.weight", shape).astype(np.float64).transpose(2, 3, 1, 0)


def symmetric(height: int, width: int, size: int, stride: int) -> Padding:
    """Padding of torch: floor(size / 2) on every side.

    Args:
        height: rows of the input; unused.
        width: columns of the input; unused.
        size: side of the kernel.
        stride: pixels between windows; unused.

    Returns:
        (before, after) for height and width.
    """
    del height, width, stride
    return [(size // 2, size // 2)] * 2


def tensorflow_same(height: int, width: int, size: int, stride: int) -> Padding:
    """Padding of TensorFlow's SAME: ceil(n / stride) outputs, the odd pixel after.

    Args:
        height: rows of the input.
        width: columns of the input.
        size: side of the kernel.
        stride: pixels between windows.

    Returns:
        (before, after) for height and width.
    """
    # The last of ceil(n / stride) windows must end inside the padded input.
    totals = [max(0, (-(-n // stride) - 1) * stride + size - n) for n in (height, width)]
    return [(total // 2, total - total // 2) for total in totals]


def no_padding(height: int, width: int, size: int, stride: int) -> Padding:
    """No padding: windows that lie inside the input, as for the patches of a transformer; arguments are unused."""
    del height, width, size, stride
    return [(0, 0)] * 2


PADDINGS: dict[str, Callable[..., Padding]] = {"symmetric": symmetric, "same": tensorflow_same, "none": no_padding}


def depthwise(
    x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"], stride: int, padding: Padding
) -> Float[Array, "b H W c"]:
    """Depthwise convolution as k*k shifted multiply-adds.

    XLA's own, by `feature_group_count`, is 8 to 150 times slower on a CPU.

    Args:
        x: (b, h, w, c).
        kernel: one filter for each channel, (k, k, 1, c).
        stride: pixels between windows, along both axes.
        padding: (before, after) for height and width.

    Returns:
        (b, H, W, c).
    """
    size = kernel.shape[0]
    x = jnp.pad(x, ((0, 0), *padding, (0, 0)))
    _, h, w, _ = x.shape
    height, width = (h - size) // stride + 1, (w - size) // stride + 1
    # y_hw = Σ_ij x_{h stride + i, w stride + j} kernel_ij: each term is a strided slice, `below` rows from its first to
    # its last and `right` columns, which XLA joins into one loop.
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
        stride: pixels between windows, along both axes.
        padding: (before, after) for height and width.
        precision: that products ask for; by default float32 in full, also where TF32 is the platform's own.

    Returns:
        (b, H, W, d).
    """
    # XLA's convolution of 1x1 kernels is slower on a CPU than the product it amounts to; padding is 0 for them.
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
        stride: pixels between windows, along both axes.
        padding: (before, after) for height and width.
        precision: that products ask for, see `dense`.

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


class Convolution(Layer):
    """x * kernel + bias.

    In bfloat16 a depthwise convolution is computed in float32, its kernel too, and so is every addition of a bias: the
    rest of the encoder is then half as far from float32.

    Attributes:
        kernel: (kh, kw, c, d), or (kh, kw, 1, c) for a depthwise one.
        bias: (d,).
        stride: pixels between windows, along both axes.
        padding: one of `PADDINGS`.
        depthwise: one filter for each channel.
        tile: side of Winograd's tiles, 2 or 4, if the kernel is 3x3 and the stride 1; otherwise 0.
        transformed: the kernel for Winograd's form, once `prepare` was called.
        wide: the kernel is one of `wide_depthwise`.
    """

    def __init__(
        self,
        weights: Weights,
        *,
        stride: int = 1,
        padding: str = "symmetric",
        depthwise: bool = False,
        tile: int = 0,
    ):
        if padding not in PADDINGS:
            raise ValueError(f"unknown padding {padding!r}: allowed are {', '.join(PADDINGS)}")
        self.kernel = (Precise if depthwise else nnx.Param)(jax.device_put(weights[0]))
        self.bias = Precise(jax.device_put(weights[1]))
        self.stride = stride
        self.padding = padding
        self.depthwise = depthwise
        self.wide = depthwise and self.kernel.shape[0] >= _WIDE and stride == 1 and padding == "symmetric"
        self.tile = tile if self.kernel.shape[:2] == (3, 3) and stride == 1 and padding != "none" else 0
        self.transformed: nnx.Param | None = nnx.data(None)

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
        # At stride 1 and size 3 all paddings but none are one pixel on each side, which Winograd's form assumes.
        if self.form == "fast" and self.transformed is not None:
            return winograd.convolve(x, self.transformed[...])
        kernel = self.kernel[...]
        padding = PADDINGS[self.padding](*x.shape[1:3], kernel.shape[0], self.stride)
        if self.form == "single":
            return single(x, kernel, self.stride, padding, self.precision)
        if self.wide:
            return wide_depthwise(x, kernel)
        if self.depthwise:
            return depthwise(x, kernel, self.stride, padding)
        return dense(x, kernel, self.stride, padding, self.precision)
