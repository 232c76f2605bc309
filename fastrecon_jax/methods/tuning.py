"""Choice of FastRecon's lam and coreset from the support alone: left-out good images against painted defects."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fastrecon_jax.core import coreset, linalg, regression

LAMS = (0.0, 0.25, 1.0, 4.0)  # values of lam to try
SHARES = (1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)  # coreset rows to try, as shares of the channels; c rows explain all
_SPREAD = 0.1  # scale of the differences between log scores: this much is one standard deviation of Φ


class Choice(NamedTuple):
    """The chosen settings, and how well each of those tried separates good from defective images.

    Attributes:
        lam: weight of the distribution term.
        rows: number of coreset rows.
        separation: smooth share of correctly ordered pairs for each lam and size, 0 to 1; 0.5 is chance.
    """

    lam: Float[Array, ""]
    rows: Int[Array, ""]
    separation: Float[Array, "lams sizes"]


def sizes(channels: int, pool_rows: int) -> tuple[int, ...]:
    """The numbers of coreset rows to try.

    Args:
        channels: number of channels of the features.
        pool_rows: number of rows in the pool of each fold; no coreset has more.

    Returns:
        Numbers of rows, ascending and distinct, at least one of them.
    """
    return tuple(sorted({min(max(1, int(channels * share)), pool_rows) for share in SHARES}))


def choose(
    features: Float[Array, "k h w c"],
    defective: Float[Array, "k n h w c"],
    *,
    lams: tuple[float, ...] = LAMS,
    tried: tuple[int, ...] = (),
) -> Choice:
    """The lam and the number of rows that best tell painted defects from good images, in leave-one-out folds.

    Each good image i and its defective copies j are scored by a model of the other images. The image score s is the
    largest patch score. The share of pairs in the right order is maximised in a smooth form,

        mean over i, i', j of Φ((log s_i'j - log s_i) / 0.1).

    The size of the coreset is its number of rows rather than a share of the pool, which grows with each image. The
    greedy choice is nested, so each fold runs it once, for the largest size. A single image is divided: each half is
    scored by a model of the other half. lam is then the first of `lams`, 0 by default, because halves share no
    positions.

    Args:
        features: features of the k support images, (k, h, w, c).
        defective: features of n defective copies of each support image, (k, n, h, w, c).
        lams: values of lam to try, each at least 0; with a single image only the first one.
        tried: numbers of coreset rows to try, ascending; by default those of `sizes`.

    Returns:
        The choice; among equals the smallest coreset wins, then the first lam.
    """
    c = features.shape[-1]
    if features.shape[0] == 1:
        features, defective, lams = _halves(features), _halves(defective), lams[:1]
    k, h, w, _ = features.shape
    tried = tried or sizes(c, (k - 1) * h * w)
    others = jnp.arange(k - 1)

    def fold(i):
        # The indices of all images but i, with a static shape.
        images = features[jnp.where(others < i, others, others + 1)]
        pool = images.reshape(-1, c)
        return pool[coreset.greedy_k_center(pool, tried[-1])], images.mean(axis=0)

    S, mu = jax.lax.map(fold, jnp.arange(k))
    # The left-out image first, then its defective copies.
    held = jnp.concatenate([features[:, None], defective], axis=1)
    models = (_bases(S, tried), mu, held)
    scores = jax.lax.map(lambda model: _scores(model[0], model[1], model[2], lams), models)  # (k, 1 + n, lams, sizes)
    scores = jnp.log(jnp.maximum(scores, 1e-12))
    good, painted = scores[:, :1], scores[:, 1:]
    # Every defective copy against every good image: (k, k n, lams, sizes).
    gaps = painted.reshape(1, -1, *scores.shape[2:]) - good
    separation = jax.scipy.stats.norm.cdf(gaps / _SPREAD).mean(axis=(0, 1))
    # Transposed, so that the first of equal maxima has the smallest size, then the first lam.
    best = jnp.argmax(separation.T.ravel())
    return Choice(jnp.asarray(lams)[best % len(lams)], jnp.asarray(tried)[best // len(lams)], separation)


def _halves(images: Float[Array, "1 *n h w c"]) -> Float[Array, "2 *n h v c"]:
    """Left and right half of a single image, as if they were two images."""
    half = images.shape[-2] // 2
    return jnp.concatenate([images[..., :half, :], images[..., -half:, :]])


def _bases(S: Float[Array, "k m c"], tried: tuple[int, ...]) -> list[Float[Array, "k c _"]]:
    """Bases of the row spaces of each fold's coreset, for each size."""
    # A Python loop, because a scan would lose float64, and one after the other, see `linalg.after`.
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
    """Image scores of the held-out images by the models of one fold, for each lam and size."""
    by_size = []
    for V in bases:
        models = [regression.Regression(V, linalg.matmul(mu, V), jnp.float32(lam)) for lam in lams]
        by_size.append([jax.vmap(lambda q, r=r: regression.residual(r, q).max())(held) for r in models])
    return jnp.stack([jnp.stack(by_lam, axis=-1) for by_lam in by_size], axis=-1)


def fold_rows(k: int, h: int, w: int) -> int:
    """Rows of the support pool in each fold: those of the other images, or of half of a single image.

    Args:
        k: number of support images, at least 1.
        h: height of their features, in positions.
        w: width of their features, in positions.

    Returns:
        The number of rows in each fold's pool.
    """
    return (k - 1) * h * w if k > 1 else h * (w // 2)
