"""From patch scores to the anomaly map and the image score."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PyTree

from fastrecon_jax.core import linalg

# What `image_score` takes, in the words of error messages.
IMAGE_SCORES = "max, or topXp for the mean of the largest X %, X above 0 and at most 100, such as top1p or top0.2p"
_DECIMALS = 6  # digits after the point of a percentage, at most


def bilinear_matrix(source: int, target: int) -> Float[Array, "target source"]:
    """Linear interpolation along one axis as a matrix, with sample points at pixel centres and edges repeated.

    Args:
        source: number of input samples.
        target: number of output samples.

    Returns:
        B, (target, source), such that output = B input, as with cv2.INTER_LINEAR; each row sums to 1.
    """
    # Output i lies at (i + 1/2) source / target - 1/2 among the inputs; clipping repeats the edge samples.
    position = (jnp.arange(target, dtype=jnp.float32) + 0.5) * (source / target) - 0.5
    position = jnp.clip(position, 0.0, source - 1.0)
    # The hat function: two inputs on either side get 1 - distance, all others 0.
    return jnp.maximum(0.0, 1.0 - jnp.abs(position[:, None] - jnp.arange(source, dtype=jnp.float32)[None]))


def gaussian_matrix(size: int, sigma: float) -> Float[Array, "size size"]:
    """Gaussian blur along one axis as a matrix, cut off at 4 sigma, with the signal mirrored at its ends.

    Args:
        size: number of samples.
        sigma: standard deviation of the blur, in samples, at least 0; 0 for no blur.

    Returns:
        G, (size, size), such that output = G input, as with scipy.ndimage.gaussian_filter1d; each row sums to 1.
    """
    if sigma == 0:
        return jnp.eye(size, dtype=jnp.float32)
    # scipy's radius for truncate = 4.
    radius = int(4 * sigma + 0.5)
    offset = jnp.arange(-radius, radius + 1)
    # exp(-x² / 2 sigma²), normalised to sum 1.
    weights = jax.nn.softmax(-0.5 * jnp.square(offset.astype(jnp.float32) / sigma))
    period = (jnp.arange(size)[:, None] + offset[None]) % (2 * size)
    mirrored = jnp.minimum(period, 2 * size - 1 - period)  # d c b a | a b c d | d c b a
    # Mirrored samples may coincide, so weights are added rather than set.
    rows = jnp.broadcast_to(jnp.arange(size)[:, None], mirrored.shape)
    return jnp.zeros((size, size), jnp.float32).at[rows, mirrored].add(jnp.broadcast_to(weights[None], mirrored.shape))


def anomaly_map(
    patch_scores: Float[Array, "h w"], *, height: int, width: int, sigma: float = 4.0
) -> Float[Array, "height width"]:
    """Bilinear resize of the patch scores to the pixels, followed by a Gaussian blur.

    Args:
        patch_scores: scores of one image, (h, w).
        height: height of the map, in pixels.
        width: width of the map, in pixels.
        sigma: standard deviation of the Gaussian blur, in pixels, at least 0; 0 for none.

    Returns:
        The anomaly map, (height, width), in units of the patch scores.

    References:
        Fang et al., FastRecon, ICCV 2023, with cv2.resize and scipy's gaussian_filter in the published code.
    """
    h, w = patch_scores.shape
    # Both are linear and separable: A s Bᵀ, with blur times resize for each axis.
    vertical = linalg.matmul(gaussian_matrix(height, sigma), bilinear_matrix(h, height))
    horizontal = linalg.matmul(gaussian_matrix(width, sigma), bilinear_matrix(w, width))
    return linalg.matmul(linalg.matmul(vertical, patch_scores), horizontal.T)


def covered(mask: Bool[Array, "H W"], height: int, width: int) -> Bool[Array, "height width"]:
    """Positions of a coarser grid of which any part is marked.

    Args:
        mask: true for marked pixels or positions, (H, W).
        height: rows of the coarser grid, at most H.
        width: columns of the coarser grid, at most W.

    Returns:
        True for the positions whose area holds a marked pixel, (height, width).
    """
    rows, columns = _membership(mask.shape[0], height), _membership(mask.shape[1], width)
    # The number of marked pixels of each position, exact in float32.
    return linalg.matmul(linalg.matmul(rows, mask.astype(jnp.float32)), columns.T) > 0


def _membership(size: int, count: int) -> Float[Array, "count size"]:
    """1 where a pixel lies in the area of a position: from floor(i H / h) up to ceil((i + 1) H / h)."""
    position, pixel = jnp.arange(count)[:, None], jnp.arange(size)[None]
    first, beyond = position * size // count, -(-(position + 1) * size // count)
    return ((pixel >= first) & (pixel < beyond)).astype(jnp.float32)


def is_image_score(kind: str) -> bool:
    """Whether `image_score` knows a kind.

    Args:
        kind: name of an image score, such as `max` or `top0.2p`.

    Returns:
        True if it does.
    """
    return kind == "max" or _share(kind) is not None


def _share(kind: str) -> tuple[int, int] | None:
    """Numerator and denominator of the share that `topXp` names, above 0 and at most 1; None for anything else."""
    whole, point, decimals = kind.removeprefix("top").removesuffix("p").partition(".")
    written = kind == f"top{whole}{point}{decimals}p" and 0 < len(whole) <= 3 and len(decimals) <= _DECIMALS
    digits = whole + decimals
    if not written or bool(point) != bool(decimals) or not (digits.isascii() and digits.isdecimal()):
        return None
    numerator, denominator = int(digits), 100 * 10 ** len(decimals)
    return (numerator, denominator) if 0 < numerator <= denominator else None


def image_score(patch_scores: Float[Array, "h w"], kind: str = "max") -> Float[Array, ""]:
    """Image score from the patch scores, before they are resized or blurred.

    Args:
        patch_scores: scores of one image, (h, w).
        kind: `max` for the largest patch score (FastRecon), or `topXp` for the mean of the largest X %, at least one
            of them, X a decimal number above 0 and at most 100: `top1p` (AnomalyDINO), `top0.2p`.

    Returns:
        The image score, in units of the patch scores.

    Raises:
        ValueError: `kind` is neither.

    References:
        Fang et al., FastRecon, ICCV 2023; Damm et al., AnomalyDINO, WACV 2025.
    """
    if kind == "max":
        return jnp.max(patch_scores)
    share = _share(kind)
    if share is None:
        raise ValueError(f"unknown image score {kind!r}: allowed are {IMAGE_SCORES}")
    # The floor of an exact product: 29 % of 100 are 29, in floating point 28.999...
    count = max(1, share[0] * patch_scores.size // share[1])
    return jnp.mean(jax.lax.top_k(patch_scores.ravel(), count)[0])


def mean_of_largest(state: PyTree, features: PyTree, patch_scores: Float[Array, "h w"]) -> Float[Array, ""]:
    """Mean of the largest 1 % of the patch scores: `top1p` with the signature of a method's own image score.

    Args:
        state: what the method's `fit` returned; unused.
        features: features of one query image; unused.
        patch_scores: scores of the query image, (h, w).

    Returns:
        The image score, in units of the patch scores.

    References:
        Damm et al., AnomalyDINO, WACV 2025, and the authors' code.
    """
    del state, features
    return image_score(patch_scores, "top1p")
