"""Depthwise convolutions with wide kernels: the shifted sums of `convolution.depthwise`, with a short gradient."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


@jax.custom_vjp
def wide_depthwise(x: Float[Array, "b h w c"], kernel: Float[Array, "k k 1 c"]) -> Float[Array, "b h w c"]:
    """Depthwise convolution with stride 1 and zeros beyond the border, for kernels of odd sides.

    The same sums as `convolution.depthwise`, whose gradient by transposing its k² slices takes minutes to compile for
    kernels of 7x7.

    Args:
        x: (b, h, w, c).
        kernel: one filter for each channel, (k, k, 1, c), k odd.

    Returns:
        (b, h, w, c).
    """
    size = kernel.shape[0]
    terms = [_shifted(x, size, i, j) * kernel[i, j, None, None] for i in range(size) for j in range(size)]
    return sum(terms[1:], terms[0])


def _shifted(x: Float[Array, "b h w c"], size: int, i: int, j: int) -> Float[Array, "b h w c"]:
    _, h, w, _ = x.shape
    return _framed(x, size)[:, i : i + h, j : j + w]


def _framed(x: Float[Array, "b h w c"], size: int) -> Float[Array, "b H W c"]:
    border = (size // 2, size // 2)
    return jnp.pad(x, ((0, 0), border, border, (0, 0)))


def _forward(x: Array, kernel: Array) -> tuple[Array, tuple[Array, Array]]:
    return wide_depthwise(x, kernel), (x, kernel)


def _backward(kept: tuple[Array, Array], gradient: Array) -> tuple[Array, Array]:
    x, kernel = kept
    _, h, w, _ = x.shape
    size = kernel.shape[0]
    framed = _framed(x, size)

    def of_tap(tap: Array) -> Array:
        """Σ_bhw gradient_bhw x_{h + i, w + j}, for one element of the kernel."""
        i, j = tap // size, tap % size
        rows = jax.lax.dynamic_slice_in_dim(framed, i, h, axis=1)
        return (jax.lax.dynamic_slice_in_dim(rows, j, w, axis=2) * gradient).sum((0, 1, 2))

    # In the input it is the convolution with the kernel turned by half a turn.
    of_kernel = jax.lax.map(of_tap, jnp.arange(size * size)).reshape(kernel.shape)
    return wide_depthwise(gradient, kernel[::-1, ::-1]), of_kernel


wide_depthwise.defvjp(_forward, _backward)
