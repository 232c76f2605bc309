"""Which positions of an image show the part and which the background, from the features of that image alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from fastrecon_jax.core import linalg

ANOMALY_DINO = 10.0  # AnomalyDINO's threshold, for the tokens of DINOv2
_ITERATIONS = 24  # of the power iteration; its error falls by (λ₂/λ₁)² with each
_FRAME, _FILLED = 0.2, 0.35  # share of each side beyond the middle, and share of the middle that a part fills


def first_component(features: Float[Array, "h w c"]) -> Float[Array, "h w"]:
    """Coordinate of each position along the direction in which the features of one image vary most.

    Args:
        features: features of one image, (h, w, c).

    Returns:
        Coordinates around their mean, (h, w), in units of the features. The sign is that in which the entry of the
        direction with the largest magnitude is positive; features that are all the same give zeros.
    """
    h, w, c = features.shape
    rows = jax.lax.stop_gradient(features.reshape(h * w, c))
    rows = rows - rows.mean(axis=0)[None]
    # The longest row is unlikely to be orthogonal to the direction. By a product: an index would depend on the data.
    lengths = jnp.sum(jnp.square(rows), axis=1)
    longest = (jnp.arange(h * w) == jnp.argmax(lengths)).astype(rows.dtype)
    direction = linalg.unit_rows(linalg.matmul(longest[None], rows))  # (1, c)

    def iterate(direction: Float[Array, "1 c"], _: None) -> tuple[Float[Array, "1 c"], None]:
        # v ← XᵀX v / ||XᵀX v||
        return linalg.unit_rows(linalg.matmul(linalg.matmul(direction, rows.T), rows)), None

    direction = jax.lax.scan(iterate, direction, None, length=_ITERATIONS)[0]
    # Either of the two ends is the largest; of equal ones the positive.
    positive = jnp.max(direction) >= -jnp.min(direction)
    sign = jnp.where(positive, 1.0, -1.0).astype(rows.dtype)
    return sign * linalg.matmul(direction, rows.T).reshape(h, w)


def mask(features: Float[Array, "h w c"], threshold: float = ANOMALY_DINO) -> Bool[Array, "h w"]:
    """Positions of the part, by the first principal component of the image's features.

    A position shows the part where its component exceeds the threshold. The sign of a principal component means
    nothing, so that the opposite side is taken if the first one fills at most 35 % of the middle of the image, 60 % of
    its height and width: parts are expected there. The mask is then made larger by one position, and gaps of one
    position are closed. Where that leaves nothing, all positions count, so that no image passes unseen.

    Args:
        features: features of one image, (h, w, c).
        threshold: component above which a position shows the part, in units of the features, at least 0; 0 divides at
            the mean, whatever the scale of the features.

    Returns:
        True for positions that show the part, (h, w), at least one of them.

    References:
        Damm et al., AnomalyDINO, WACV 2025, and the authors' code: 10, for the last tokens of DINOv2 ViT-S/14. There
        an image without any position of the part scores 0.
    """
    component = first_component(features)
    h, w = component.shape
    side, other = (above.astype(features.dtype) for above in (component > threshold, -component > threshold))
    top, left = int(h * _FRAME), int(w * _FRAME)
    middle = side[top : max(int(h * (1 - _FRAME)), top + 1), left : max(int(w * (1 - _FRAME)), left + 1)]
    chosen = jnp.where(middle.sum() > _FILLED * middle.size, side, other)
    # Larger by one position, then closed: larger by one again, and smaller by one.
    larger = _largest_around(_largest_around(chosen))
    closed = 1 - _largest_around(1 - larger)
    return (closed > 0) | (closed.sum() == 0)


def _largest_around(x: Float[Array, "h w"]) -> Float[Array, "h w"]:
    """Maximum of the 3x3 positions around each; those outside do not count."""
    for axis in (0, 1):
        size = x.shape[axis]
        zero = jnp.zeros_like(jax.lax.slice_in_dim(x, 0, 1, axis=axis))
        framed = jnp.concatenate([zero, x, zero], axis=axis)
        shifted = [jax.lax.slice_in_dim(framed, i, i + size, axis=axis) for i in range(3)]
        x = jnp.maximum(jnp.maximum(shifted[0], shifted[1]), shifted[2])
    return x
