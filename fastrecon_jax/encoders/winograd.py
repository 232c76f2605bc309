"""3x3 convolutions of stride 1 as Winograd's F(m x m, 3x3): fewer multiplications, as batched matrix products."""

import functools
import operator
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

    A product of polynomials of degrees 2 and m - 1 is known from its values at m + 2 points; the correlation is its
    transpose. Evaluation at the points gives G and A, interpolation from them B.

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
    # A_ij = p_j^i, transposed evaluation of a polynomial of degree m - 1; at infinity its highest coefficient.
    A[:, :-1] = points ** np.arange(m)[:, None]
    A[-1, -1] = 1
    # G_jk = p_j^k / Π_{l≠j} (p_j - p_l), evaluation of the kernel's polynomial over Lagrange's denominators.
    scales = [np.prod(point - other) for point, other in zip(points, others, strict=True)]
    G[:-1] = points[:, None] ** np.arange(3) / np.array(scales)[:, None]
    G[-1, -1] = 1
    # B_j holds the coefficients of Π_{l≠j} (x - p_l), Lagrange's numerators, the lowest first;
    # at infinity those of all factors.
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
    rows, columns = -(-h // m), -(-w // m)  # of tiles of m x m outputs, the last ones perhaps beyond the image
    A, _, B = matrices(m)
    # One pixel of zeros before, and after as many as the last tile reads.
    x = jnp.pad(x, ((0, 0), (1, rows * m + 1 - h), (1, columns * m + 1 - w), (0, 0)))
    # B d Bᵀ of all tiles d, n x n pixels every m: along the height, then along the width. Row i of every tile is one
    # strided slice of the image, so that no tile is ever cut out.
    below = jnp.stack(_combine(B, [x[:, i : i + m * (rows - 1) + 1 : m] for i in range(n)]))
    tiles = jnp.stack(_combine(B, [below[:, :, :, j : j + m * (columns - 1) + 1 : m] for j in range(n)]), axis=1)
    tiles = tiles.reshape(n * n, b * rows * columns, c)
    # (G g Gᵀ) * (B d Bᵀ), summed over input channels: one matrix product for each of the n² points. In full precision,
    # because the combinations around it cancel.
    products = jnp.matmul(tiles, transformed, precision=jax.lax.Precision.HIGHEST)
    products = products.reshape(n, n, b, rows, columns, -1)
    # A (…) Aᵀ: m x m outputs for each tile, along the height, then along the width.
    inner = jnp.stack(_combine(A, list(products)))  # (m, n, b, rows, columns, d)
    outer = jnp.stack(_combine(A, [inner[:, j] for j in range(n)]), axis=4)  # (m, b, rows, columns, m, d)
    # Tiles side by side, and what lies beyond the image cut off.
    y = outer.transpose(1, 2, 0, 3, 4, 5).reshape(b, rows * m, columns * m, -1)
    return y[:, :h, :w]


def _combine(matrix: Float[np.ndarray, "p q"], parts: Sequence[Array]) -> list[Array]:
    """Each row's linear combination, without products by 0 and 1."""
    return [_sum(row, parts) for row in matrix]


def _sum(factors: Float[np.ndarray, " q"], parts: Sequence[Array]) -> Array:
    terms = [
        part if factor == 1 else -part if factor == -1 else part * part.dtype.type(factor)
        for factor, part in zip(factors, parts, strict=True)
        if factor != 0
    ]
    return functools.reduce(operator.add, terms)
