"""From patch scores to the anomaly map and the image score."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PyTree

from fastrecon_jax.core import linalg

IMAGE_SCORES = ("max", "top1p")


def bilinear_matrix(source: int, target: int) -> Float[Array, "target source"]:
    """Linear interpolation along one axis, sample points at pixel centres, edges repeated: cv2.INTER_LINEAR.

    Args:
        source: number of input samples.
        target: number of output samples.

    Returns:
        B, (target, source), whose rows sum to 1: output = B input.
    """
    position = (jnp.arange(target, dtype=jnp.float32) + 0.5) * (source / target) - 0.5
    position = jnp.clip(position, 0.0, source - 1.0)
    return jnp.maximum(0.0, 1.0 - jnp.abs(position[:, None] - jnp.arange(source, dtype=jnp.float32)[None]))


def gaussian_matrix(size: int, sigma: float) -> Float[Array, "size size"]:
    """Gaussian blur along one axis, cut at 4 sigma, the signal mirrored at its ends: scipy.ndimage.gaussian_filter1d.

    Args:
        size: number of samples.
        sigma: standard deviation in samples; 0 leaves the signal as it is.

    Returns:
        G, (size, size), whose rows sum to 1: output = G input.
    """
    if sigma == 0:
        return jnp.eye(size, dtype=jnp.float32)
    radius = int(4 * sigma + 0.5)
    offset = jnp.arange(-radius, radius + 1)
    weights = jax.nn.softmax(-0.5 * jnp.square(offset.astype(jnp.float32) / sigma))
    period = (jnp.arange(size)[:, None] + offset[None]) % (2 * size)
    mirrored = jnp.minimum(period, 2 * size - 1 - period)  # d c b a | a b c d | d c b a
    rows = jnp.broadcast_to(jnp.arange(size)[:, None], mirrored.shape)
    return jnp.zeros((size, size), jnp.float32).at[rows, mirrored].add(jnp.broadcast_to(weights[None], mirrored.shape))


def anomaly_map(
    patch_scores: Float[Array, "h w"], *, height: int, width: int, sigma: float = 4.0
) -> Float[Array, "height width"]:
    """Bilinear resize of the patch scores to the pixels, then a Gaussian blur: both at once as A s Bᵀ.

    Args:
        patch_scores: (h, w).
        height: pixels of the map.
        width: pixels of the map.
        sigma: of the blur, in pixels.

    Returns:
        The anomaly map, (height, width), in units of the patch scores.

    References:
        Fang et al., FastRecon, ICCV 2023, with cv2.resize and scipy's gaussian_filter in the published code.
    """
    h, w = patch_scores.shape
    vertical = linalg.matmul(gaussian_matrix(height, sigma), bilinear_matrix(h, height))
    horizontal = linalg.matmul(gaussian_matrix(width, sigma), bilinear_matrix(w, width))
    return linalg.matmul(linalg.matmul(vertical, patch_scores), horizontal.T)


def image_score(patch_scores: Float[Array, "h w"], kind: str = "max") -> Float[Array, ""]:
    """One number for the image, from the raw patch scores.

    Args:
        patch_scores: (h, w).
        kind: `max`, the largest (FastRecon), or `top1p`, the mean of the largest 1 %, at least one (AnomalyDINO).

    Returns:
        The score, in units of the patch scores.

    Raises:
        ValueError: another kind.

    References:
        Fang et al., FastRecon, ICCV 2023; Damm et al., AnomalyDINO, WACV 2025.
    """
    if kind == "max":
        return jnp.max(patch_scores)
    if kind == "top1p":
        return jnp.mean(jax.lax.top_k(patch_scores.ravel(), max(1, patch_scores.size // 100))[0])
    raise ValueError(f"unknown image score {kind!r}: allowed are {', '.join(IMAGE_SCORES)}")


def mean_of_largest(state: PyTree, features: PyTree, patch_scores: Float[Array, "h w"]) -> Float[Array, ""]:
    """Mean of the largest 1 % of the patch scores, at least one: `top1p` in the form of a method's own image score.

    Args:
        state: of the method; unused.
        features: of one query; unused.
        patch_scores: (h, w).

    Returns:
        The score, in units of the patch scores.

    References:
        Damm et al., AnomalyDINO, WACV 2025, and the authors' code.
    """
    del state, features
    return image_score(patch_scores, "top1p")
