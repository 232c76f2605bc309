"""Greedy k-center in rounds: centres out of a few far rows, the others brought up to date later by matrix products.

The distances that the plain loop keeps only fall, so that an old one is an upper bound. Each round

1. brings rows up to date, those with the largest bounds first, until the `few` farthest rows are known;
2. takes centres among these few while the farthest of them beats the bound of every other row;
3. leaves the others as they are, or, where only a handful of centres was taken, passes over all rows as the plain loop.

Matrix products only bound distances. Whatever they cannot exclude is computed by differences as in the plain loop.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from fastrecon_jax.core import linalg

COLUMNS = 32  # centres in one product
PAIRS = 4  # one distance by differences for so many rows at once
MANY = 8  # pairs of a block, one in so many, from which on all are computed
HANDFUL = 6  # centres; passing over all rows for fewer costs less than a product


class _Pool(NamedTuple):
    """One draw's rows within the stack of all draws, which is never copied.

    Attributes:
        stack: rows of all draws, (d n, c).
        start: where the draw begins, ().
        centre: of some rows, to keep the products' rounding small, (c,).
    """

    stack: Float[Array, "dn c"]
    start: Int[Array, ""]
    centre: Float[Array, " c"]


class _State(NamedTuple):
    """What is known after some centres were taken.

    Attributes:
        bounds: squared distance of each row to the nearest centre, or an upper bound of it, (n,).
        seen: how many centres `bounds` is exact for; other centres may have lowered it already, (n,).
        indices: of the centres, (m,).
        taken: how many there are, ().
    """

    bounds: Float[Array, " n"]
    seen: Int[Array, " n"]
    indices: Int[Array, " m"]
    taken: Int[Array, ""]


def pays(n: int, c: int, m: int) -> bool:
    """Whether rounds are faster than the plain loop, by the shape alone.

    Args:
        n: rows of the pool.
        c: channels.
        m: rows to take.

    Returns:
        True where the plain loop reads more than 2²⁸ numbers for more than a few rows.
    """
    return m >= 16 and m * n * c >= 2**28


def one_by_one(pool: Float[Array, "n c"], nearest: Float[Array, " n"], m: int) -> Int[Array, " m"]:
    """The plain loop: the farthest row is taken, then all distances are brought up to date.

    Args:
        pool: (n, c).
        nearest: squared distances to begin with, (n,).
        m: rows to take, 1 to n; static.

    Returns:
        Indices, (m,), int32.
    """

    def take(nearest, _):
        row = jnp.argmax(nearest).astype(jnp.int32)
        return jnp.minimum(nearest, linalg.squared_distances(pool, pool[row])), row

    return jax.lax.scan(take, nearest, length=m)[1]


def few_rows(n: int) -> int:
    """Rows held apart, and rows of a product: 4 % of the pool, at most 1024.

    Args:
        n: rows of the pool.

    Returns:
        Their number, at least 1.
    """
    return max(1, min(n // 24, 1024))


def in_rounds(pools: Float[Array, "d n c"], nearest: Float[Array, "d n"], m: int) -> Int[Array, "d m"]:
    """The rows that the plain loop takes, draw by draw: `vmap` adds draws, and none waits for another.

    Args:
        pools: (d, n, c).
        nearest: squared distances to begin with, (d, n).
        m: rows to take, 1 to n; static.

    Returns:
        Indices, (d, m), int32.
    """

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
    some = start + jnp.arange(0, n, -(-n // few_rows(n)), dtype=jnp.int32)
    pool = _Pool(stack, start, stack[some].mean(axis=0))
    zeros = jnp.zeros((n,), jnp.int32)
    lowest = jnp.finfo(nearest.dtype).min  # -inf stands for rows that do not count
    state = _State(jnp.maximum(nearest, lowest), zeros, zeros[:m], jnp.int32(0))
    state = jax.lax.while_loop(lambda s: s.taken < m, lambda s: _round(pool, s), state)
    return state.indices


def _round(pool: _Pool, state: _State) -> _State:
    few = few_rows(state.bounds.shape[0])

    def unknown(state):
        stale = _stale(state)
        beaten = state.bounds > jnp.max(jnp.where(stale, state.bounds, -jnp.inf))
        return jnp.any(stale) & (jnp.sum(beaten & ~stale) < few)

    state = jax.lax.while_loop(unknown, lambda s: _bring_up_to_date(pool, s), state)
    after = _take(pool, state)
    return _pass_over_all(pool, after, state.taken)


def _stale(state: _State) -> Bool[Array, " n"]:
    return (state.seen < state.taken) & (state.bounds != 0)


def _rows(pool: _Pool, indices: Int[Array, " k"]) -> Float[Array, "k c"]:
    return pool.stack.at[pool.start + indices].get(mode="promise_in_bounds")


def _take(pool: _Pool, state: _State) -> _State:
    """Take centres among the few farthest rows, the first in any case, until another row could be the farthest."""
    m = state.indices.shape[0]
    known = jnp.where(_stale(state), -jnp.inf, state.bounds)
    few = jnp.sort(jax.lax.top_k(known, few_rows(known.shape[0]))[1])  # in order: the first wins a tie
    others = state.bounds.at[few].set(-jnp.inf)
    rival = jnp.argmax(others).astype(jnp.int32)
    bound = others[rival]
    x = _rows(pool, few)

    def certain(carry):
        _, taken, nearest, k = carry
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
    """Bring all rows up to date as the plain loop does, if only a handful of centres was taken; each is read once."""
    n = state.bounds.shape[0]
    size = few_rows(n)
    worth = state.taken - before < HANDFUL

    def block(i, bounds):
        begin = jnp.minimum(i * size, n - size)  # the last block overlaps the one before
        x = jax.lax.dynamic_slice_in_dim(pool.stack, pool.start + begin, size)

        def one(j, nearest):
            return jnp.minimum(nearest, linalg.squared_distances(x, pool.stack[pool.start + state.indices[j]]))

        nearest = jax.lax.dynamic_slice_in_dim(bounds, begin, size)
        nearest = jax.lax.fori_loop(before, state.taken, one, nearest)
        return jax.lax.dynamic_update_slice_in_dim(bounds, nearest, begin, 0)

    bounds = jax.lax.fori_loop(0, jnp.where(worth, -(-n // size), 0), block, state.bounds)
    seen = jnp.where(worth & (state.seen == before), state.taken, state.seen)
    return state._replace(bounds=bounds, seen=seen)


def _bring_up_to_date(pool: _Pool, state: _State) -> _State:
    """Make the bounds of those rows exact that are stale and have the largest."""
    stale = jnp.where(_stale(state), state.bounds, -jnp.inf)
    chosen = jax.lax.top_k(stale, few_rows(stale.shape[0]))[1]
    x = _rows(pool, chosen) - pool.centre[None]

    def some_centres(carry):
        j, bounds = carry
        columns = j + jnp.arange(COLUMNS, dtype=jnp.int32)
        centres = state.indices[jnp.minimum(columns, state.taken - 1)]
        y = _rows(pool, centres) - pool.centre[None]
        lower, upper = _limits(x, y)
        lower = jnp.where((columns < state.taken)[None], lower, jnp.inf)
        is_open = ~(lower >= jnp.minimum(bounds, jnp.min(upper, axis=1))[:, None])
        bounds = jax.lax.cond(
            jnp.sum(is_open) * MANY > is_open.size, _all_pairs, _open_pairs, pool, bounds, lower, chosen, centres
        )
        return j + COLUMNS, bounds

    begin = (jnp.min(state.seen[chosen]), state.bounds[chosen])
    _, bounds = jax.lax.while_loop(lambda carry: carry[0] < state.taken, some_centres, begin)
    return state._replace(bounds=state.bounds.at[chosen].set(bounds), seen=state.seen.at[chosen].set(state.taken))


def _limits(x: Float[Array, "b c"], y: Float[Array, "k c"]) -> tuple[Float[Array, "b k"], Float[Array, "b k"]]:
    """Lower and upper bounds of all squared distances *as the plain loop rounds them*, from one product.

    Rows are centred, a = fl(x - μ), b = fl(y - μ). With u = eps / 2, γ = c u and N = ||a||² + ||b||², in whatever order
    the sums run,
        |fl(||a||² + ||b||² - 2 a·b) - ||a - b||²| ≤ (2 γ + 3 u) N      norms and product, 2 ||a|| ||b|| ≤ N
        | ||a - b||² - ||x - y||² |                ≤ 4 u N              a and b are rounded
        |fl(||x - y||²) - ||x - y||²|              ≤ 2 (γ + 2 u) N      ||a - b||² ≤ 2 N
    to first order: (4 γ + 11 u) N together, below 2 (c + 8) eps N; 2.125 covers higher orders up to c = 10⁵.
    """
    limits, c = jnp.finfo(x.dtype), x.shape[1]
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
    """Lower the bounds by the distances to all centres, by differences: where products exclude little."""
    del lower
    x = _rows(pool, rows)

    def one(nearest, centre):
        return jnp.minimum(nearest, linalg.squared_distances(x, pool.stack[pool.start + centre])), None

    return jax.lax.scan(one, bounds, centres)[0]


def _open_pairs(
    pool: _Pool,
    bounds: Float[Array, " b"],
    lower: Float[Array, "b k"],
    rows: Int[Array, " b"],
    centres: Int[Array, " k"],
) -> Float[Array, " b"]:
    """Lower the bounds by the distances to the centres: those that may be lower are computed by differences."""
    size = -(-rows.shape[0] // PAIRS)

    def possible(carry):
        bounds, lower, _ = carry
        column = jnp.argmin(lower, axis=1)
        # Not `lower < bounds`: what is not a number is not excluded.
        is_open = ~(jnp.min(lower, axis=1) >= bounds)
        return is_open, column

    def compute(carry):
        bounds, lower, _ = carry
        is_open, column = possible(carry)
        pick = jax.lax.top_k(is_open.astype(jnp.float32), size)[1]
        at = column[pick]
        x, y = _rows(pool, rows[pick]), _rows(pool, centres[at])
        bounds = bounds.at[pick].min(jnp.sum(jnp.square(x - y), axis=1))
        return bounds, lower.at[pick, at].set(jnp.inf), 0

    bounds, _, _ = jax.lax.while_loop(lambda carry: jnp.any(possible(carry)[0]), compute, (bounds, lower, 0))
    return bounds
