"""3x3 convolutions of stride 1 as Winograd's F(m x m, 3x3): fewer multiplications, as batched matrix products."""

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Where the polynomials are evaluated, infinity beside; small and symmetric, so that rounding stays small.
_POINTS = {2: (0.0, 1.0, -1.0), 4: (0.0, 1.0, -1.0, 2.0, -2.0)}


@functools.cache
def matrices(m: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The transforms of F(m, 3) for the correlation y_i = Σ_k d_{i+k} g_k, y = A ((G g) * (B d)).

    Args:
        m: outputs of a tile, 2 or 4.

    Returns:
        A (m, m + 2), G (m + 2, 3) and B (m + 2, m + 2), float64.

    References:
        Lavin and Gray, Fast algorithms for convolutional neural networks, CVPR 2016.
    """
    points = np.array(_POINTS[m])
    n = m + 2
    others = [np.delete(points, i) for i in range(n - 1)]
    A, G, B = np.zeros((m, n)), np.zeros((n, 3)), np.zeros((n, n))
    A[:, :-1] = points ** np.arange(m)[:, None]
    A[-1, -1] = 1
    scales = [np.prod(point - other) for point, other in zip(points, others, strict=True)]
    G[:-1] = points[:, None] ** np.arange(3) / np.array(scales)[:, None]
    G[-1, -1] = 1
    B[:-1, :-1] = [np.poly(other)[::-1] for other in others]
    B[-1] = np.poly(points)[::-1]
    return A, G, B


def transform(kernel: Float[np.ndarray, "3 3 c d"], m: int) -> Float[np.ndarray, "n c d"]:
    """G g Gᵀ for each pair of channels, once, when weights are loaded.

    Args:
        kernel: (3, 3, c, d).
        m: outputs of a tile in each direction, 2 or 4.

    Returns:
        ((m + 2)², c, d), float32.
    """
    _, G, _ = matrices(m)
    transformed = np.einsum("ik,klcd,jl->ijcd", G, kernel.astype(np.float64), G, optimize=True)
    return transformed.reshape(-1, *kernel.shape[2:]).astype(np.float32)


def convolve(x: Float[Array, "b h w c"], transformed: Float[Array, "n c d"]) -> Float[Array, "b h w d"]:
    """Convolution of stride 1 with one pixel of zeros around.

    Args:
        x: (b, h, w, c).
        transformed: kernel, from `transform`.

    Returns:
        (b, h, w, d).
    """
    b, h, w, c = x.shape
    n = round(transformed.shape[0] ** 0.5)
    m = n - 2
    rows, columns = -(-h // m), -(-w // m)
    A, _, B = matrices(m)
    x = jnp.pad(x, ((0, 0), (1, rows * m + 1 - h), (1, columns * m + 1 - w), (0, 0)))
    below = jnp.stack(_combine(B, [x[:, i : i + m * (rows - 1) + 1 : m] for i in range(n)]))
    tiles = jnp.stack(_combine(B, [below[:, :, :, j : j + m * (columns - 1) + 1 : m] for j in range(n)]), axis=1)
    tiles = tiles.reshape(n * n, b * rows * columns, c)
    products = jnp.matmul(tiles, transformed, precision=jax.lax.Precision.HIGHEST)
    products = products.reshape(n, n, b, rows, columns, -1)
    inner = jnp.stack(_combine(A, list(products)))
    outer = jnp.stack(_combine(A, [inner[:, j] for j in range(n)]), axis=4)
    y = outer.transpose(1, 2, 0, 3, 4, 5).reshape(b, rows * m, columns * m, -1)
    return y[:, :h, :w]


def _combine(matrix: Float[np.ndarray, "p q"], parts: Sequence[Array]) -> list[Array]:
    """Each row's linear combination, without products by 0 and 1."""
    return [_sum(row, parts) for row in matrix]


def _sum(factors: Float[np.ndarray, " q"], parts: Sequence[Array]) -> Array:
    total = None
    for factor, part in zip(factors, parts, strict=True):
        if factor == 0:
            continue
        term = part if factor == 1 else -part if factor == -1 else part * part.dtype.type(factor)
        total = term if total is None else total + term
    return total
