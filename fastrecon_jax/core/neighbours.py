"""Nearest neighbours in a bank of features, searched block by block, with distances computed by differences."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fastrecon_jax.core import linalg

BLOCK = 1024  # rows of the bank compared at a time
FLOOR = 1e-12  # smallest squared distance of which a logarithm is taken
_GROUP = 16  # rows of which the smallest distance is computed first: a minimum is vectorised, an argmin is not
_WORTH = 4  # groups pay while the numbers in a group, _GROUP * c, are at most this many times the rows of the bank


class Neighbours(NamedTuple):
    """The nearest rows of a bank, the nearest first.

    Attributes:
        squared: squared Euclidean distances, (n, count), in squared units of the features.
        indices: indices of these rows in the bank, (n, count).
    """

    squared: Float[Array, "n count"]
    indices: Int[Array, "n count"]


class Short(NamedTuple):
    """A bank of features reduced to a few coordinates, in which the nearest rows are chosen faster.

    Attributes:
        directions: orthonormal directions in which the rows of the bank are longest, as columns, (c, r), see
            `linalg.leading_directions`.
        coordinates: coordinates of the rows along these directions, (m, r).
        outside: squared length of each row orthogonal to all directions, (m,).
    """

    directions: Float[Array, "c r"]
    coordinates: Float[Array, "m r"]
    outside: Float[Array, " m"]


class Centred(NamedTuple):
    """Features around a common origin: what `smallest` computes of them, for those that are compared more than once.

    Attributes:
        origin: what was subtracted, (c,).
        rows: the features without it, (m, c).
        lengths: squared lengths of these, (m,).
    """

    origin: Float[Array, " c"]
    rows: Float[Array, "m c"]
    lengths: Float[Array, " m"]


def centred(rows: Float[Array, "m c"], origin: Float[Array, " c"] | None = None) -> Centred:
    """Bring features around an origin: distances do not depend on it, but their rounding is smallest near the mean.

    Args:
        rows: features, (m, c), m at least 1.
        origin: of no effect but on rounding, so that no gradient flows through it, (c,); by default the rows' mean.

    Returns:
        The features for `smallest`.
    """
    origin = jax.lax.stop_gradient(rows.mean(axis=0) if origin is None else origin)
    rows = rows - origin[None]
    return Centred(origin, rows, jnp.sum(jnp.square(rows), axis=1))


def shorten(bank: Float[Array, "m c"], count: int) -> Short:
    """Reduce a bank to its coordinates along the leading directions, for the faster choice in `nearest`.

    Args:
        bank: features, (m, c), with a mean near zero. The choice is discrete, so no gradient flows through it.
        count: number of coordinates, r, at most c; static.

    Returns:
        The reduced bank.
    """
    bank = jax.lax.stop_gradient(bank)
    directions = linalg.leading_directions(bank, count)
    coordinates = linalg.matmul(bank, directions)
    # Pythagoras: ||y||² - ||Vᵀy||², which rounding may push below 0.
    outside = jnp.sum(jnp.square(bank), axis=1) - jnp.sum(jnp.square(coordinates), axis=1)
    return Short(directions, coordinates, jnp.maximum(outside, 0))


def nearest(
    queries: Float[Array, "n c"],
    bank: Float[Array, "m c"],
    *,
    count: int = 1,
    allowed: Bool[Array, " m"] | None = None,
    block: int = BLOCK,
    short: Short | None = None,
) -> Neighbours:
    """The `count` nearest rows of the bank for each query.

    Rows are chosen by ||x||² + ||y||² - 2 x·y around the bank's mean; for a single neighbour in a bank of several
    blocks this usually chooses a group of rows, and differences choose the row within it. The distances of the chosen
    rows are then computed by differences. So each distance is that of the row given with it, exact to rounding, and
    small distances keep their digits. The row itself is the nearest up to the rounding of the choice: its squared
    distance exceeds the smallest by at most about 1e-6 times the squared distances of query and row from the bank's
    mean. A query that is in the bank has a distance of exactly 0 unless another row is that near to it.

    With `short`, the products use only a few coordinates. They neglect the part of 2 x·y outside these coordinates, so
    the squared distance of the chosen row may exceed the smallest by twice the largest neglected part.

    Beside queries, bank and result, memory holds (n, block) distances, a block of rows, an array like the queries,
    (n, c), and m bytes for `allowed`, which alone grow with the bank; under vmap, as much for each example.
    Differentiable in queries and bank, with the choice of rows held fixed.

    Args:
        queries: features to find neighbours for, (n, c).
        bank: features to search, (m, c).
        count: number of neighbours, 1 to m; static.
        allowed: true for the rows that may be chosen, (m,), at least `count` of them; all by default.
        block: number of rows of the bank compared at a time, at least 1.
        short: the same bank reduced by `shorten`, for a faster and less exact choice; None for the exact one.

    Returns:
        Squared distances and indices, nearest first, (n, count) each.

    Raises:
        ValueError: the count is not in 1..m.
    """
    m = bank.shape[0]
    if not 1 <= count <= m:
        raise ValueError(f"{count} neighbours are not possible: the bank has {m} rows, at least 1 must be asked for")
    allowed = jnp.ones((m,), bool) if allowed is None else allowed
    # The search sees copies without gradients; gradients flow through the distances computed by differences alone.
    x, y, short = jax.lax.stop_gradient((queries, bank, short))
    outside = None
    if short is not None:
        x, y, outside = linalg.matmul(x, short.directions), short.coordinates, short.outside
    if count == 1 and m <= block:
        indices = _nearest_row(x, y, outside, allowed)[:, None]
    else:
        indices = _search(x, y, outside, allowed, count, block)
    # One neighbour of all queries at a time, (n, c), rather than all at once, (n, count, c).
    squared = jax.lax.map(lambda rows: jnp.sum(jnp.square(queries - bank[rows]), axis=1), indices.T).T
    # Exact distances may be in another order than the rounded ones of the choice.
    order = jnp.argsort(squared, axis=1)
    return Neighbours(jnp.take_along_axis(squared, order, axis=1), jnp.take_along_axis(indices, order, axis=1))


def smallest(
    queries: Float[Array, "n c"] | Centred, bank: Float[Array, "m c"] | Centred, *, block: int = BLOCK
) -> Float[Array, " n"]:
    """Squared distance of each query to the nearest row of the bank, without saying which one it is: the fastest way.

    Distances are ||x||² + ||y||² - 2 x·y around the bank's mean. Their rounding is about 1e-6 times the squared
    distances of query and row from that mean, and so is the result below that; `nearest` keeps the digits of smaller
    distances.

    Args:
        queries: features to find neighbours for, (n, c), or what `centred` returned for them and the bank's origin.
        bank: features to search, (m, c), m at least 1, or what `centred` returned for them.
        block: number of rows of the bank compared at a time, at least 1.

    Returns:
        min_y ||x - y||², (n,), at least 0. Differentiable in queries and bank.
    """
    origin, bank, lengths = bank if isinstance(bank, Centred) else centred(bank)
    _, queries, own = queries if isinstance(queries, Centred) else centred(queries, origin)
    m = bank.shape[0]

    def compare(rows: Float[Array, "b c"], lengths: Float[Array, " b"]) -> Float[Array, " n"]:
        # Queries along the contiguous axis: the minimum over the rows is then vectorised.
        return (lengths[:, None] + linalg.matmul(-2 * rows, queries.T)).min(axis=0)

    whole = m // block * block
    parts = [compare(bank[whole:], lengths[whole:])] if whole < m else []
    if whole == block:
        parts.append(compare(bank[:whole], lengths[:whole]))
    elif whole:
        # One block after the other: memory is that of one.
        blocks = bank[:whole].reshape(-1, block, bank.shape[1]), lengths[:whole].reshape(-1, block)
        first = jnp.full(own.shape, jnp.inf, own.dtype)
        parts.append(jax.lax.scan(lambda best, x: (jnp.minimum(best, compare(*x)), None), first, blocks)[0])
    nearest = functools.reduce(jnp.minimum, parts)
    return jnp.maximum(own + nearest, 0)


def log_distance(squared: Float[Array, "*n"], noise: Float[Array, ""] | float = 0.0) -> Float[Array, "*n"]:
    """Logarithm of distances from their squares, without the root, whose derivative at 0 is infinite.

    Args:
        squared: squared distances, at least 0.
        noise: squared distance that is added to each, at least 0, see `rounding_noise`; sums below 1e-12 count as
            1e-12.

    Returns:
        log d = log(d² + noise) / 2, of the same shape.
    """
    return jnp.log(jnp.maximum(squared + noise, FLOOR)) / 2


def rounding_noise(bank: Float[Array, "m c"], share: float) -> Float[Array, ""]:
    """A squared distance far above the rounding of those to the rows of a bank, as a share of how far these spread.

    The distance of a feature to itself is all rounding, of the encoder and of `smallest`: anything from 0 to 1e-3 of
    the lengths, by the program and the machine. Its logarithm then has no digit in common between two of them. With
    this added to its square, distances that rounding can reach all count as the same small one.

    Args:
        bank: features, (m, c).
        share: of the root mean square distance of the rows from their mean, at least 0; rounding makes 1e-3 of 0.

    Returns:
        share² mean ||y - mean||², in squared units of the features.
    """
    spread = jnp.sum(jnp.square(bank - bank.mean(axis=0)[None]), axis=1).mean()
    return share**2 * jax.lax.stop_gradient(spread)


def _nearest_row(
    queries: Float[Array, "n c"],
    bank: Float[Array, "m c"],
    outside: Float[Array, " m"] | None,
    allowed: Bool[Array, " m"],
) -> Int[Array, " n"]:
    """Index of the nearest row of a bank of one block, by ||y||² - 2 x·y.

    An argmin is not vectorised on a CPU. A minimum is, and so is the largest index at which it stands.
    """
    origin, rows, lengths = centred(bank)
    lengths = jnp.where(allowed, lengths if outside is None else lengths + outside, jnp.inf)
    # Queries along the contiguous axis, as in `smallest`.
    distances = lengths[:, None] + linalg.matmul(-2 * rows, (queries - origin[None]).T)
    index = jnp.arange(bank.shape[0], dtype=jnp.int32)[:, None]
    return jnp.where(distances == distances.min(axis=0)[None], index, 0).max(axis=0)


def _search(
    queries: Float[Array, "n c"],
    bank: Float[Array, "m c"],
    outside: Float[Array, " m"] | None,
    allowed: Bool[Array, " m"],
    count: int,
    block: int,
) -> Int[Array, "n count"]:
    """Indices of the nearest rows by ||y||² - 2 x·y: ||x||² is the same for all rows of the bank."""
    n, c = queries.shape
    group = _GROUP if count == 1 and _GROUP * c <= _WORTH * bank.shape[0] else 1
    block, bank, outside, allowed = _divided(bank, outside, allowed, block, group)
    m = bank.shape[0]
    # Distances do not depend on the origin, but their rounding does: it is smallest around the mean.
    centre = bank.mean(axis=0)[None]
    centred = queries - centre

    # All blocks have one size: the last one starts early enough to be whole, and may not choose rows seen before.
    seen = (m - 1) // block * block
    choice = (allowed[m - block :] & (jnp.arange(m - block, m) >= seen))[None]
    if seen:
        choice = jnp.concatenate([allowed[:seen].reshape(-1, block), choice])  # (blocks, block)
    starts = jnp.minimum(jnp.arange(choice.shape[0]) * block, m - block)

    def compare(best, block_input):
        start, choice = block_input
        rows = jax.lax.dynamic_slice_in_dim(bank, start, block) - centre
        lengths = jnp.sum(jnp.square(rows), axis=1)
        # Only a row's own part outside the few coordinates enters; the query's is the same for all rows.
        if outside is not None:
            lengths += jax.lax.dynamic_slice_in_dim(outside, start, block)
        offset = jnp.where(choice, lengths, jnp.inf)
        distances = offset[None] - 2 * linalg.matmul(centred, rows.T)  # (n, block)
        # A group is every (block / group)-th row, so that minima are taken between contiguous slices.
        distances = distances.reshape(n, group, -1).min(axis=1)
        return _merge(best, distances, start + jnp.arange(block // group), count), None

    nothing = (jnp.full((n, count), jnp.inf, bank.dtype), jnp.zeros((n, count), jnp.int32))
    (_, indices), _ = jax.lax.scan(compare, nothing, (starts, choice))
    if group == 1:
        return indices
    # An index names the first row of its group; the others follow at equal steps.
    members = indices + jnp.arange(0, block, block // group)[None]  # (n, group)
    return _of_group(queries, bank, outside, allowed, members)[:, None]


def _divided(
    bank: Float[Array, "m c"], outside: Float[Array, " m"] | None, allowed: Bool[Array, " m"], block: int, group: int
) -> tuple[int, Float[Array, "M c"], Float[Array, " M"] | None, Bool[Array, " M"]]:
    """The block size rounded to whole groups, and the bank, padded with zeros if it is shorter than a single block."""
    m = bank.shape[0]
    # As many blocks as asked for, but of equal size, so that the last does little work twice.
    blocks = -(-m // block)
    block = -(-m // (blocks * group)) * group
    missing = max(block - m, 0)
    return block, *jax.tree.map(
        lambda x: jnp.pad(x, ((0, missing), *((0, 0),) * (x.ndim - 1))), (bank, outside, allowed)
    )


def _merge(
    best: tuple[Float[Array, "n count"], Int[Array, "n count"]],
    distances: Float[Array, "n groups"],
    index: Int[Array, " groups"],
    count: int,
) -> tuple[Float[Array, "n count"], Int[Array, "n count"]]:
    """The `count` smallest distances among the best so far and those of a block; the earlier row wins a tie."""
    # A minimum and a comparison are much cheaper than `top_k`, and most methods need a single neighbour.
    if count == 1:
        column = jnp.argmin(distances, axis=1, keepdims=True)
        smallest = jnp.take_along_axis(distances, column, axis=1)
        closer = smallest < best[0]
        return jnp.where(closer, smallest, best[0]), jnp.where(closer, index[column], best[1])
    candidates = jnp.concatenate([best[0], distances], axis=1)
    rows = jnp.concatenate([best[1], jnp.broadcast_to(index[None], distances.shape)], axis=1)
    negative, columns = jax.lax.top_k(-candidates, count)
    return -negative, jnp.take_along_axis(rows, columns, axis=1)


def _of_group(
    queries: Float[Array, "n c"],
    bank: Float[Array, "m c"],
    outside: Float[Array, " m"] | None,
    allowed: Bool[Array, " m"],
    members: Int[Array, "n group"],
) -> Int[Array, " n"]:
    """Index of the nearest row within each query's group, by differences."""

    def compare(best, row):
        distance = jnp.sum(jnp.square(queries - bank[row]), axis=1)
        if outside is not None:
            distance += outside[row]
        closer = allowed[row] & (distance < best[0])
        return (jnp.where(closer, distance, best[0]), jnp.where(closer, row, best[1])), None

    nothing = (jnp.full(members.shape[:1], jnp.inf, bank.dtype), members[:, 0])
    (_, indices), _ = jax.lax.scan(compare, nothing, members.T)
    return indices
