"""Images turned about their centre in a frame that does not turn."""

import jax
import jax.numpy as jnp
from jax.scipy import ndimage
from jaxtyping import Array, Float


def rotate(x: Float[Array, "h w c"], degrees: Float[Array, ""], *, order: int) -> Float[Array, "h w c"]:
    """An image turned against the clock; what nothing of it fills is 0.

    Args:
        x: image or feature map, (h, w, c).
        degrees: angle, of any sign and size.
        order: 0 for the nearest pixel, 1 for bilinear samples.

    Returns:
        The turned image, (h, w, c); differentiable in the image.
    """
    h, w, _ = x.shape
    down = jnp.arange(h, dtype=jnp.float32)[:, None] - (h - 1) / 2
    across = jnp.arange(w, dtype=jnp.float32)[None] - (w - 1) / 2
    angle = jnp.deg2rad(degrees)
    # Each pixel of the result reads the place that the turn brings to it.
    rows = jnp.cos(angle) * down + jnp.sin(angle) * across + (h - 1) / 2
    columns = -jnp.sin(angle) * down + jnp.cos(angle) * across + (w - 1) / 2

    def of_channel(values: Float[Array, "h w"]) -> Float[Array, "h w"]:
        return ndimage.map_coordinates(values, [rows, columns], order=order, mode="constant", cval=0.0)

    return jax.vmap(of_channel, in_axes=-1, out_axes=-1)(x)
