"""Tables of learned positions, resampled to the patches of an image as the checkpoint's origin does it.

Every way is linear and separable: one small matrix for the rows and one for the columns, which depend on sizes alone.
"""

import numpy as np
from jax import numpy as jnp
from jax.lax import Precision
from jaxtyping import Array, Float

# By what is done: to the scale (n + 0.1) / m, as DINOv2's own program without registers does; to the size, as
# Hugging Face's does; to the size with a filter that widens as the table shrinks, as timm does for all, and all do with
# registers.
OFFSET, PLAIN, ANTIALIAS = WAYS = ("offset", "plain", "antialias")
_SHIFT = 0.1


def resample(table: Float[Array, "m m c"], height: int, width: int, *, way: str) -> Float[Array, "h w c"]:
    """A table of positions for so many patches; the table itself where it has as many.

    Args:
        table: one row for each position of a square, (m, m, c).
        height: rows of patches, h.
        width: columns of patches, w.
        way: one of `WAYS`.

    Returns:
        (h, w, c), float32.
    """
    side = table.shape[0]
    if (height, width) == (side, side):
        return table
    rows, columns = (jnp.asarray(matrix(side, n, way=way)) for n in (height, width))
    narrow = jnp.einsum("hm,mnc->hnc", rows, table, precision=Precision.HIGHEST)
    return jnp.einsum("wn,hnc->hwc", columns, narrow, precision=Precision.HIGHEST)


def matrix(inputs: int, outputs: int, *, way: str) -> Float[np.ndarray, "o i"]:
    """Bicubic resampling of one axis as a matrix, with PyTorch's conventions.

    Args:
        inputs: positions that the table has along the axis.
        outputs: patches along the axis.
        way: one of `WAYS`.

    Returns:
        (outputs, inputs), float32; each row sums to 1.

    Raises:
        ValueError: there is no such way.
    """
    if way not in WAYS:
        raise ValueError(f"unknown way {way!r} to resample positions: allowed are {', '.join(WAYS)}")
    step = inputs / (outputs + _SHIFT) if way == OFFSET else inputs / outputs
    centres = (np.arange(outputs) + 0.5) * step  # in positions of the table, of which i covers i to i + 1
    made = np.zeros((outputs, inputs))
    if way == ANTIALIAS:
        widened = max(step, 1.0)
        # Positions outside of the table have no weight, and the others theirs in proportion.
        made = _cubic((np.arange(inputs)[None] + 0.5 - centres[:, None]) / widened, a=-0.5)
        made /= made.sum(axis=1, keepdims=True)
        return made.astype(np.float32)
    for j, centre in enumerate(centres - 0.5):
        first = int(np.floor(centre))
        for i in range(first - 1, first + 3):  # positions outside of the table repeat its edge
            made[j, min(max(i, 0), inputs - 1)] += _cubic(np.asarray(centre - i), a=-0.75)
    return made.astype(np.float32)


def _cubic(x: Float[np.ndarray, "..."], *, a: float) -> Float[np.ndarray, "..."]:
    """Keys' cubic kernel, 0 beyond 2.

    References:
        Keys, Cubic convolution interpolation for digital image processing, 1981.
    """
    x = np.abs(x)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((a * x - 5 * a) * x + 8 * a) * x - 4 * a
    return np.where(x <= 1, near, np.where(x < 2, far, 0.0))
