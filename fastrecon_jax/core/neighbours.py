"""Nearest neighbours in a bank of features, searched block by block, with distances computed by differences."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fastrecon_jax.core import linalg

BLOCK = 1024
_GROUP = 16  # rows whose smallest distance is looked for first: a minimum is vectorised, the index of one is not
_WORTH = 4  # indices of a minimum take the time of one difference: where features are too wide, groups do not pay


class Neighbours(NamedTuple):
    """The nearest rows of a bank, the nearest first.

    Attributes:
        squared: squared Euclidean distances, (n, count), in squared units of the features.
        indices: of the rows in the bank, (n, count).
    """

    squared: Float[Array, "n count"]
    indices: Int[Array, "n count"]


class Short(NamedTuple):
    """A bank in few coordinates, for a quicker choice.

    Attributes:
        directions: orthonormal, (c, r), in which the rows of the bank are longest, see `linalg.leading_directions`.
        coordinates: of the rows in these, (m, r).
        outside: squared lengths of the rows outside of these directions, (m,).
    """

    directions: Float[Array, "c r"]
    coordinates: Float[Array, "m r"]
    outside: Float[Array, " m"]


def shorten(bank: Float[Array, "m c"], count: int) -> Short:
    """What the choice needs of a bank whose rows are about zero.

    Args:
        bank: (m, c). The choice is discrete: nothing is differentiated.
        count: r, coordinates that are compared, at most c; static.

    Returns:
        The bank in these coordinates.
    """
    bank = jax.lax.stop_gradient(bank)
    directions = linalg.leading_directions(bank, count)
    coordinates = linalg.matmul(bank, directions)
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

    The rows are chosen by ||x||² + ||y||² - 2 x·y about the bank's mean (a single one: mostly a group of rows, and of
    this the row by differences), and the distances of those chosen are then computed by differences. So a distance is
    that of the row named beside it, exact to rounding, and small ones keep their digits; but the row is the nearest
    only up to the rounding of the choice: its squared distance exceeds the smallest by at most about 1e-6 times the
    squared distances of query and row from the bank's mean. A query that is in the bank is at exactly 0 unless another
    row is that near to it.

    With `short` the products x·y of the choice are those of few coordinates: what is neglected is the product of what
    both have outside of them, so that the row chosen may be farther than the nearest one by twice that.

    Beside queries, bank and result, memory holds (n, block) distances, a block of rows, an array like the queries,
    (n, c), and m bytes for `allowed`, all that grows with the bank; under vmap so much for each example. Differentiable
    in queries and bank; the choice of rows is held fixed.

    Args:
        queries: (n, c).
        bank: (m, c).
        count: how many neighbours, 1 to m; static.
        allowed: which rows may be chosen, (m,), at least `count` of them; all by default.
        block: rows of the bank that are compared at a time.
        short: of the same bank, for a quicker and less exact choice.

    Returns:
        Distances and indices, (n, count) each.

    Raises:
        ValueError: the count is not in 1..m.
    """
    m = bank.shape[0]
    if not 1 <= count <= m:
        raise ValueError(f"{count} neighbours are not possible: the bank has {m} rows, at least 1 must be asked for")
    allowed = jnp.ones((m,), bool) if allowed is None else allowed
    of_queries, of_bank, short = jax.lax.stop_gradient((queries, bank, short))
    outside = None
    if short is not None:
        of_queries, of_bank, outside = linalg.matmul(of_queries, short.directions), short.coordinates, short.outside
    found = _search(of_queries, of_bank, outside, allowed, count, block)
    squared = jax.lax.map(lambda rows: jnp.sum(jnp.square(queries - bank[rows]), axis=1), found.T).T
    order = jnp.argsort(squared, axis=1)
    return Neighbours(jnp.take_along_axis(squared, order, axis=1), jnp.take_along_axis(found, order, axis=1))


def _search(
    queries: Float[Array, "n c"],
    bank: Float[Array, "m c"],
    outside: Float[Array, " m"] | None,
    allowed: Bool[Array, " m"],
    count: int,
    block: int,
) -> Int[Array, "n count"]:
    """Indices of the nearest rows by the expanded square, without the constant ||x||²."""
    n, c = queries.shape
    group = _GROUP if count == 1 and _GROUP * c <= _WORTH * bank.shape[0] else 1
    block, bank, outside, allowed = _divided(bank, outside, allowed, block, group)
    m = bank.shape[0]
    centre = bank.mean(axis=0)[None]
    centred = queries - centre

    # The last block starts early enough to be whole; rows that an earlier one has seen are out of the choice.
    seen = (m - 1) // block * block
    choice = (allowed[m - block :] & (jnp.arange(m - block, m) >= seen))[None]
    if seen:
        choice = jnp.concatenate([allowed[:seen].reshape(-1, block), choice])  # (blocks, block)
    starts = jnp.minimum(jnp.arange(choice.shape[0]) * block, m - block)

    def compare(best, of_block):
        start, choice = of_block
        rows = jax.lax.dynamic_slice_in_dim(bank, start, block) - centre
        lengths = jnp.sum(jnp.square(rows), axis=1)
        if outside is not None:
            lengths += jax.lax.dynamic_slice_in_dim(outside, start, block)
        offset = jnp.where(choice, lengths, jnp.inf)
        distances = offset[None] - 2 * linalg.matmul(centred, rows.T)  # (n, block)
        distances = distances.reshape(n, group, -1).min(axis=1)
        return _merge(best, distances, start + jnp.arange(block // group), count), None

    nothing = (jnp.full((n, count), jnp.inf, bank.dtype), jnp.zeros((n, count), jnp.int32))
    (_, indices), _ = jax.lax.scan(compare, nothing, (starts, choice))
    if group == 1:
        return indices
    members = indices + jnp.arange(0, block, block // group)[None]  # (n, group)
    return _of_group(queries, bank, outside, allowed, members)[:, None]


def _divided(
    bank: Float[Array, "m c"], outside: Float[Array, " m"] | None, allowed: Bool[Array, " m"], block: int, group: int
) -> tuple[int, Float[Array, "M c"], Float[Array, " M"] | None, Bool[Array, " M"]]:
    """Blocks of about one size, no longer than needed, of whole groups; a bank shorter than one is filled up."""
    m = bank.shape[0]
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
    """The smaller of what was found and what a block holds; the earlier wins a tie."""
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
    """Of the rows of each query's group, the nearest one by differences."""

    def compare(best, row):
        distance = jnp.sum(jnp.square(queries - bank[row]), axis=1)
        if outside is not None:
            distance += outside[row]
        closer = allowed[row] & (distance < best[0])
        return (jnp.where(closer, distance, best[0]), jnp.where(closer, row, best[1])), None

    nothing = (jnp.full(members.shape[:1], jnp.inf, bank.dtype), members[:, 0])
    (_, indices), _ = jax.lax.scan(compare, nothing, members.T)
    return indices
