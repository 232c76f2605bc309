"""What good images say of each other: each is held out in turn, and looked for among the rest."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import neighbours


def gain(images: Float[Array, "k n c"], copies: Float[Array, "k m c"]) -> Float[Array, ""]:
    """How much nearer held-out images come to the other images by changed copies of these.

    For each image in turn: the distance of each of its features to the nearest one of the other images, without and
    with their copies. The gain is the difference of the medians of the logarithms, averaged over the images.

    Args:
        images: features of k good images, (k, n, c).
        copies: features of the copies of each image, (k, m, c), in the same coordinates.

    Returns:
        The gain, at least 0: 0.1 for distances that are a tenth smaller. 0 with a single image, which no other is like.
    """
    k, n, c = images.shape
    if k == 1:
        return jnp.zeros((), images.dtype)
    pool, more = images.reshape(k * n, c), copies.reshape(-1, c)
    # Which image a row of the pool, or of the copies, belongs to.
    owner, owner_of_more = (jnp.repeat(jnp.arange(k), rows // k) for rows in (k * n, more.shape[0]))

    def of_image(i):
        alone = neighbours.nearest(images[i], pool, allowed=owner != i).squared[:, 0]
        together = jnp.minimum(alone, neighbours.nearest(images[i], more, allowed=owner_of_more != i).squared[:, 0])
        before, after = (jnp.median(neighbours.log_distance(squared)) for squared in (alone, together))
        return before - after

    # One image after the other: memory is that of one.
    return jax.lax.map(of_image, jnp.arange(k)).mean()
