"""Greedy k-center in rounds: the same centres as the plain loop, with far fewer distances to compute.

The plain loop updates the distance of every row after every centre. These distances only fall, so an old value is an
upper bound of the true one. Each round

1. updates the rows with the largest bounds until the `few` farthest rows have exact distances;
2. takes centres among these few while the farthest of them beats the bound of every other row;
3. leaves the other rows outdated. Only if the round took few centres does it update all rows, as the plain loop does.

Matrix products only bound distances. Whatever they cannot exclude is computed by differences, as in the plain loop, so
both take exactly the same rows.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fastrecon_jax.core import linalg

COLUMNS = 32  # centres in one matrix product
PAIRS = 4  # a step of `_open_pairs` computes one distance for every PAIRS rows
MANY = 8  # if more than one pair in MANY cannot be excluded, computing all pairs is cheaper
HANDFUL = 6  # for fewer centres than this, updating all rows costs less than a matrix product


class _Pool(NamedTuple):
    """The rows of one draw within the stack of all draws, which is never copied.

    Attributes:
        stack: rows of all draws, (d n, c).
        start: index of the draw's first row in the stack, ().
        centre: mean of some of the draw's rows, (c,); subtracting it keeps the rounding of the products small.
    """

    stack: Float[Array, "dn c"]
    start: Int[Array, ""]
    centre: Float[Array, " c"]


class _State(NamedTuple):
    """The distances and the centres so far.

    Attributes:
        bounds: squared distance of each row to the nearest centre, or an upper bound of it, (n,).
        seen: number of leading centres that each row's bound takes into account, (n,); later ones may have lowered it.
        indices: indices of the centres, (m,); entries from `taken` on are still 0.
        taken: number of centres so far, ().
    """

    bounds: Float[Array, " n"]
    seen: Int[Array, " n"]
    indices: Int[Array, " m"]
    taken: Int[Array, ""]


def pays(n: int, c: int, m: int) -> bool:
    """Whether rounds are faster than the plain loop, judged by the shape alone.

    Args:
        n: number of rows in the pool.
        c: number of channels.
        m: number of rows to take.

    Returns:
        True where the plain loop would read at least 2²⁸ numbers and at least 16 rows are taken.
    """
    return m >= 16 and m * n * c >= 2**28


def one_by_one(pool: Float[Array, "n c"], nearest: Float[Array, " n"], m: int) -> Int[Array, " m"]:
    """The plain loop: take the farthest row, then update the distances of all rows.

    Args:
        pool: rows to choose from, (n, c).
        nearest: squared distance that each row starts with, (n,).
        m: number of rows to take, 1 to n; static.

    Returns:
        Indices of the rows taken, in order, (m,), int32.
    """

    def take(nearest, _):
        row = jnp.argmax(nearest).astype(jnp.int32)
        return jnp.minimum(nearest, linalg.squared_distances(pool, pool[row])), row

    return jax.lax.scan(take, nearest, length=m)[1]


def few_rows(n: int) -> int:
    """How many of the farthest rows a round works on, and how many rows a block has: 4 % of the pool, at most 1024.

    Args:
        n: number of rows in the pool.

    Returns:
        The number of rows, at least 1.
    """
    return max(1, min(n // 24, 1024))


def in_rounds(pools: Float[Array, "d n c"], nearest: Float[Array, "d n"], m: int) -> Int[Array, "d m"]:
    """The rows that `one_by_one` takes, computed in rounds, for several draws of the support.

    Args:
        pools: rows to choose from, one pool for each draw, (d, n, c).
        nearest: squared distance that each row starts with, (d, n).
        m: number of rows to take from each pool, 1 to n; static.

    Returns:
        Indices of the rows taken within their own pool, in order, (d, m), int32.
    """

    # Under `vmap` a while loop runs until its slowest example is done. Here a batch adds draws to one sequential map
    # instead, so that no draw waits for another.
    @jax.custom_batching.custom_vmap
    def choose(pools, nearest):
        d, n, c = pools.shape
        stack, starts = pools.reshape(d * n, c), n * jnp.arange(d, dtype=jnp.int32)
        return jax.lax.map(lambda draw: _choose(stack, draw[0], draw[1], m), (starts, nearest))

    @choose.def_vmap
    def _(size, batched, pools, nearest):
        stacked = [
            x if is_batched else jnp.broadcast_to(x[None], (size, *x.shape))
            for x, is_batched in zip((pools, nearest), batched, strict=True)
        ]
        merged = choose(*(x.reshape(-1, *x.shape[2:]) for x in stacked))
        return merged.reshape(size, -1, m), True

    return choose(pools, nearest)


def _choose(
    stack: Float[Array, "dn c"], start: Int[Array, ""], nearest: Float[Array, " n"], m: int
) -> Int[Array, " m"]:
    n = nearest.shape[0]
    # Any point near the rows will do as the centre: the mean of evenly spaced rows is cheap.
    some = start + jnp.arange(0, n, -(-n // few_rows(n)), dtype=jnp.int32)
    pool = _Pool(stack, start, stack[some].mean(axis=0))
    zeros = jnp.zeros((n,), jnp.int32)
    lowest = jnp.finfo(nearest.dtype).min  # in the masks below, -inf stands for rows that do not count
    state = _State(jnp.maximum(nearest, lowest), zeros, zeros[:m], jnp.int32(0))
    state = jax.lax.while_loop(lambda s: s.taken < m, lambda s: _round(pool, s), state)
    return state.indices


def _round(pool: _Pool, state: _State) -> _State:
    few = few_rows(state.bounds.shape[0])

    def too_few_exact(state):
        stale = _stale(state)
        # An exact row above all outdated bounds is certainly among the farthest.
        beaten = state.bounds > jnp.max(jnp.where(stale, state.bounds, -jnp.inf))
        return jnp.any(stale) & (jnp.sum(beaten & ~stale) < few)

    state = jax.lax.while_loop(too_few_exact, lambda s: _bring_up_to_date(pool, s), state)
    after = _take(pool, state)
    return _pass_over_all(pool, after, state.taken)


def _stale(state: _State) -> Bool[Array, " n"]:
    # A distance of 0 cannot fall: centres and their duplicates are never updated again.
    return (state.seen < state.taken) & (state.bounds != 0)


def _rows(pool: _Pool, indices: Int[Array, " k"]) -> Float[Array, "k c"]:
    return pool.stack.at[pool.start + indices].get(mode="promise_in_bounds")


def _take(pool: _Pool, state: _State) -> _State:
    """Take centres among the few farthest rows until a row outside them could be the farthest; at least one centre."""
    m = state.indices.shape[0]
    exact = jnp.where(_stale(state), -jnp.inf, state.bounds)
    few = jnp.sort(jax.lax.top_k(exact, few_rows(exact.shape[0]))[1])  # ascending: the first row wins a tie
    # The rival is the row outside the few with the largest bound; its true distance is at most that.
    others = state.bounds.at[few].set(-jnp.inf)
    rival = jnp.argmax(others).astype(jnp.int32)
    bound = others[rival]
    x = _rows(pool, few)

    def certain(carry):
        _, taken, nearest, k = carry
        # At equal distances the plain loop takes the lower index.
        wins = (nearest[k] > bound) | ((nearest[k] == bound) & (few[k] < rival))
        return (taken < m) & (wins | (taken == state.taken))

    def take(carry):
        indices, taken, nearest, k = carry
        nearest = jnp.minimum(nearest, linalg.squared_distances(x, x[k]))
        return indices.at[taken].set(few[k]), taken + 1, nearest, jnp.argmax(nearest)

    nearest = state.bounds[few]
    first = (state.indices, state.taken, nearest, jnp.argmax(nearest))
    indices, taken, nearest, _ = jax.lax.while_loop(certain, take, first)
    return _State(state.bounds.at[few].set(nearest), state.seen.at[few].set(taken), indices, taken)


def _pass_over_all(pool: _Pool, state: _State, before: Int[Array, ""]) -> _State:
    """Update all rows as the plain loop does, if fewer than `HANDFUL` centres were taken since `before`."""
    n = state.bounds.shape[0]
    size = few_rows(n)
    worth = state.taken - before < HANDFUL

    # Block by block with the centres inside, so that each row is read from memory once for all new centres.
    def block(i, bounds):
        begin = jnp.minimum(i * size, n - size)  # the last block overlaps the one before it
        x = jax.lax.dynamic_slice_in_dim(pool.stack, pool.start + begin, size)

        def add_centre(j, nearest):
            return jnp.minimum(nearest, linalg.squared_distances(x, pool.stack[pool.start + state.indices[j]]))

        nearest = jax.lax.dynamic_slice_in_dim(bounds, begin, size)
        nearest = jax.lax.fori_loop(before, state.taken, add_centre, nearest)
        return jax.lax.dynamic_update_slice_in_dim(bounds, nearest, begin, 0)

    # Zero iterations, instead of a `cond`, where the update does not pay.
    bounds = jax.lax.fori_loop(0, jnp.where(worth, -(-n // size), 0), block, state.bounds)
    # Rows that were outdated before this round stay so: they have not seen the centres of earlier rounds.
    seen = jnp.where(worth & (state.seen == before), state.taken, state.seen)
    return state._replace(bounds=bounds, seen=seen)


def _bring_up_to_date(pool: _Pool, state: _State) -> _State:
    """Make the largest bounds of outdated rows exact."""
    stale = jnp.where(_stale(state), state.bounds, -jnp.inf)
    chosen = jax.lax.top_k(stale, few_rows(stale.shape[0]))[1]
    x = _rows(pool, chosen) - pool.centre[None]

    def some_centres(carry):
        # Columns beyond the last centre repeat it, and their lower limit of infinity excludes them.
        j, bounds = carry
        columns = j + jnp.arange(COLUMNS, dtype=jnp.int32)
        centres = state.indices[jnp.minimum(columns, state.taken - 1)]
        y = _rows(pool, centres) - pool.centre[None]
        lower, upper = _limits(x, y)
        lower = jnp.where((columns < state.taken)[None], lower, jnp.inf)
        # A pair is open if its centre could be nearer than the row's bound and than every other centre of the block.
        is_open = ~(lower >= jnp.minimum(bounds, jnp.min(upper, axis=1))[:, None])
        bounds = jax.lax.cond(
            jnp.sum(is_open) * MANY > is_open.size, _all_pairs, _open_pairs, pool, bounds, lower, chosen, centres
        )
        return j + COLUMNS, bounds

    # From the first centre that any of the rows has not seen; seeing a centre twice changes nothing.
    begin = (jnp.min(state.seen[chosen]), state.bounds[chosen])
    _, bounds = jax.lax.while_loop(lambda carry: carry[0] < state.taken, some_centres, begin)
    return state._replace(bounds=state.bounds.at[chosen].set(bounds), seen=state.seen.at[chosen].set(state.taken))


def _limits(x: Float[Array, "b c"], y: Float[Array, "k c"]) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Lower and upper bounds of all squared distances *as the plain loop rounds them*, from one matrix product.

    Rows are centred, a = fl(x - μ), b = fl(y - μ). With u = eps / 2, γ = c u and N = ||a||² + ||b||², for any order of
    the sums,
        |fl(||a||² + ||b||² - 2 a·b) - ||a - b||²| ≤ (2 γ + 3 u) N      norms and product, 2 ||a|| ||b|| ≤ N
        | ||a - b||² - ||x - y||² |                ≤ 4 u N              a and b are rounded
        |fl(||x - y||²) - ||x - y||²|              ≤ 2 (γ + 2 u) N      ||a - b||² ≤ 2 N
    to first order: (4 γ + 11 u) N together, below 2 (c + 8) eps N; 2.125 covers higher orders up to c = 10⁵.
    """
    limits, c = jnp.finfo(x.dtype), x.shape[1]
    # N for each pair; the margin has a term in `tiny` for distances that underflow.
    sums = jnp.sum(jnp.square(x), axis=1)[:, None] + jnp.sum(jnp.square(y), axis=1)[None]
    margin = 2.125 * (c + 8) * (limits.eps * sums + 4 * limits.tiny)
    distances = sums - 2 * linalg.matmul(x, y.T)
    return distances - margin, distances + margin


def _all_pairs(
    pool: _Pool,
    bounds: Float[Array, " b"],
    lower: Float[Array, "b k"],
    rows: Int[Array, " b"],
    centres: Int[Array, " k"],
) -> Float[Array, " b"]:
    """Lower the bounds by the distances to all centres, by differences: for blocks where products exclude little."""
    del lower
    x = _rows(pool, rows)

    def add_centre(nearest, centre):
        return jnp.minimum(nearest, linalg.squared_distances(x, pool.stack[pool.start + centre])), None

    return jax.lax.scan(add_centre, bounds, centres)[0]


def _open_pairs(
    pool: _Pool,
    bounds: Float[Array, " b"],
    lower: Float[Array, "b k"],
    rows: Int[Array, " b"],
    centres: Int[Array, " k"],
) -> Float[Array, " b"]:
    """Lower the bounds by the distances to the centres, computing only the pairs that the products do not exclude."""
    # Each step computes the most promising pair of up to `size` open rows; the new bounds close many other pairs.
    size = -(-rows.shape[0] // PAIRS)

    def possible(carry):
        bounds, lower, _ = carry
        column = jnp.argmin(lower, axis=1)
        # Not `lower < bounds`: a NaN must not exclude a pair.
        is_open = ~(jnp.min(lower, axis=1) >= bounds)
        return is_open, column

    def compute(carry):
        bounds, lower, _ = carry
        is_open, column = possible(carry)
        # `top_k` of a mask gives the indices of open rows at a static size; closed rows fill it up and do no harm.
        pick = jax.lax.top_k(is_open.astype(jnp.float32), size)[1]
        at = column[pick]
        x, y = _rows(pool, rows[pick]), _rows(pool, centres[at])
        bounds = bounds.at[pick].min(jnp.sum(jnp.square(x - y), axis=1))
        return bounds, lower.at[pick, at].set(jnp.inf), 0

    bounds, _, _ = jax.lax.while_loop(lambda carry: jnp.any(possible(carry)[0]), compute, (bounds, lower, 0))
    return bounds
