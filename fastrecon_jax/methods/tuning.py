"""FastRecon's lam and coreset, chosen from the support alone: good images left out, against defects painted on them."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fastrecon_jax.core import coreset, linalg, regression

LAMS = (0.0, 0.25, 1.0, 4.0)
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # of the channels: a coreset of as many rows explains everything
_SPREAD = 0.1  # of the logarithm of good scores, at which a difference counts as half seen


class Choice(NamedTuple):
    """What was chosen.

    Attributes:
        lam: weight of the distribution term.
        rows: of the coreset.
        separation: of good and painted images, 0.5 to 1 where they are told apart; of each lam and size.
    """

    lam: Float[Array, ""]
    rows: Int[Array, ""]
    separation: Float[Array, "lams sizes"]


def sizes(channels: int, known: int) -> tuple[int, ...]:
    """The numbers of coreset rows that are tried.

    Args:
        channels: of the features.
        known: rows of the pool in each fold.

    Returns:
        Ascending, at least one.
    """
    return tuple(sorted({min(max(1, int(channels * share)), known) for share in SHARES}))


def choose(
    features: Float[Array, "k h w c"],
    defective: Float[Array, "k n h w c"],
    *,
    lams: tuple[float, ...] = LAMS,
    tried: tuple[int, ...] = (),
) -> Choice:
    """The lam and the number of rows that tell painted defects from good images best, both left out of the fit.

    Each good image i is scored by a model of the others, and so are its defective copies j; the maximum of the patch
    scores s is the image score. What is maximised is the share of pairs in the right order, smoothly,

        mean over i, i', j of Φ((log s_i'j - log s_i) / 0.1).

    The coreset is chosen by its number of rows, not by its share of the pool, which grows with each image; the greedy
    choice is nested, so each fold takes it once. One image is divided: a half is scored by a model of the other, and
    lam, which needs positions, is 0.

    Args:
        features: of the k support images, (k, h, w, c).
        defective: of n defective copies of each, (k, n, h, w, c).
        lams: that are tried; with one image the first alone.
        tried: numbers of rows that are tried, ascending; by default shares of the channels, `SHARES`.

    Returns:
        The choice. The first of equals wins: smaller coresets, then smaller lams.
    """
    c = features.shape[-1]
    if features.shape[0] == 1:
        features, defective, lams = _halves(features), _halves(defective), lams[:1]
    k, h, w, _ = features.shape
    tried = tried or sizes(c, (k - 1) * h * w)
    others = jnp.arange(k - 1)

    def known(i):
        images = features[jnp.where(others < i, others, others + 1)]
        pool = images.reshape(-1, c)
        return pool[coreset.greedy_k_center(pool, tried[-1])], images.mean(axis=0)

    S, mu = jax.lax.map(known, jnp.arange(k))
    held = jnp.concatenate([features[:, None], defective], axis=1)
    models = (_bases(S, tried), mu, held)
    scores = jax.lax.map(lambda fold: _scores(fold[0], fold[1], fold[2], lams), models)  # (k, 1 + n, lams, sizes)
    scores = jnp.log(jnp.maximum(scores, 1e-12))
    good, painted = scores[:, :1], scores[:, 1:]
    gaps = painted.reshape(1, -1, *scores.shape[2:]) - good
    separation = jax.scipy.stats.norm.cdf(gaps / _SPREAD).mean(axis=(0, 1))
    best = jnp.argmax(separation.T.ravel())
    return Choice(jnp.asarray(lams)[best % len(lams)], jnp.asarray(tried)[best // len(lams)], separation)


def _halves(images: Float[Array, "1 *n h w c"]) -> Float[Array, "2 *n h v c"]:
    """Left and right half of one image, as if they were two."""
    half = images.shape[-2] // 2
    return jnp.concatenate([images[..., :half, :], images[..., -half:, :]])


def _bases(S: Float[Array, "k m c"], tried: tuple[int, ...]) -> list[Float[Array, "k c _"]]:
    """Row spaces of the first rows of each fold's coreset, for each size; not in a loop, which would lose float64."""
    bases = []
    for m in tried:
        bases.append(jax.vmap(linalg.row_space_basis)(S[:, :m]))
        S = linalg.after(S, bases[-1])
    return bases


def _scores(
    bases: list[Float[Array, "c _"]],
    mu: Float[Array, "h w c"],
    held: Float[Array, "b h w c"],
    lams: tuple[float, ...],
) -> Float[Array, "b lams sizes"]:
    """Image scores of held-out images by one fold's models, for each lam and size."""
    found = []
    for V in bases:
        models = [regression.Regression(V, linalg.matmul(mu, V), jnp.float32(lam)) for lam in lams]
        found.append([jax.vmap(lambda q, r=r: regression.residual(r, q).max())(held) for r in models])
    return jnp.stack([jnp.stack(of_size, axis=-1) for of_size in found], axis=-1)


def fold_rows(k: int, h: int, w: int) -> int:
    """Rows of the support pool in each fold: of the other images, or of half of a single one.

    Args:
        k: number of support images.
        h: height of their features, in positions.
        w: width of their features, in positions.

    Returns:
        The number of rows.
    """
    return (k - 1) * h * w if k > 1 else h * (w // 2)
