"""The other direction of a nearest-neighbour search: what of a good image is not found in a query."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from fastrecon_jax.core import neighbours
from fastrecon_jax.core.neighbours import Centred


def spread(features: Float[Array, "h w c"], height: int, width: int) -> Float[Array, "n c"]:
    """Every so many features of an image, so that about height x width are left, from each part of the image.

    Args:
        features: features of one image, (h, w, c).
        height: number of rows of positions to take, at most h.
        width: number of columns of positions to take, at most w.

    Returns:
        The features at these positions, (height width, c), row by row.
    """
    h, w, c = features.shape
    # The middle of each of the equal parts: position floor((i + 1/2) h / H).
    rows, columns = ((2 * jnp.arange(n) + 1) * size // (2 * n) for n, size in ((height, h), (width, w)))
    return features[rows][:, columns].reshape(height * width, c)


def log_distances(
    views: Centred, query: Centred, count: int, noise: Float[Array, ""] | float = 0.0
) -> Float[Array, "k n"]:
    """Logarithm of the distance of each feature of k good images to the nearest feature of the query.

    Args:
        views: features of all good images around some origin, (k n, c).
        query: features of the query around the same origin, (q, c).
        count: number of good images, k.
        noise: squared distance that is added to each, at least 0, see `neighbours.log_distance`.

    Returns:
        log min_q ||v - q||, (k, n).
    """
    return neighbours.log_distance(neighbours.smallest(views, query), noise).reshape(count, -1)


def of_likest(distances: Float[Array, "k n"]) -> Float[Array, " n"]:
    """The distances from the one good image of which the query lacks the least: argmin_i max_n.

    The query need not have what all good images have, but what one of them has. The maximum of the result is
    min_i max_n: the directed Hausdorff distance from the nearest good image to the query.

    Args:
        distances: distances, or their logarithms, of the features of k good images to the query, (k, n).

    Returns:
        Those of the nearest good image, (n,).

    References:
        Huttenlocher, Klanderman and Rucklidge, Comparing images using the Hausdorff distance, PAMI 1993.
    """
    likest = jnp.argmin(distances.max(axis=1))
    # distances[likest], written in a form that the ONNX export can convert.
    return jnp.take_along_axis(distances, jnp.full((1, distances.shape[1]), likest), axis=0)[0]
