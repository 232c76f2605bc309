"""Good images inspected by models that have not seen them: each by one of all others, or a few at a time."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree

from fastrecon_jax.detector import Inspection
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.progress import SILENT, Bars
from fastrecon_jax.runtime import devices

MOST_FOLDS = 16
_BATCH = 8  # images that are embedded at once

Stages = tuple[Float[np.ndarray, "*_ _ _ _"], ...]


def folds(count: int) -> list[Int[np.ndarray, " g"]]:
    """Which of at least 2 images are held out together: each by itself, or of many a few, `MOST_FOLDS` times at most.

    Those of a fold lie far apart in the list, so that the neighbours of each, such as the next photographs of the same
    part, stay in the fit as they do where one image is held out.
    """
    size = -(-count // MOST_FOLDS)
    number = -(-count // size)
    return [np.arange(first, count, number) for first in range(number)]


def inspect(engine: Engine, stages: Stages, copies: Stages, *, bars: Bars = SILENT) -> Inspection:
    """Each of k good images by a model that was fitted without it.

    Args:
        engine: encoder and method.
        stages: stages of the images, k at least 2, (k, h_i, w_i, c_i) each.
        copies: stages of the n copies of each that the method asks for, (k, n, h_i, w_i, c_i) each, or ().
        bars: makes the progress bar.

    Returns:
        Scores (k,) and maps (k, H, W), and what is missing, as logarithms, (k,), or None.
    """
    count, key = len(stages[0]), jax.random.key(0)
    features, changed = embed(engine, stages), embed_copies(engine, copies)
    kept = engine.thin(features, changed) if engine.thin else None
    parts, order = [], np.concatenate(held_out := folds(count))
    most = max(map(len, held_out))
    with bars(desc="holding out", total=count, unit="image") as bar:
        for held in held_out:
            # All folds have one shape, for one program: a short one holds out more images, which are not looked at.
            others = np.setdiff1d(np.arange(count), held)
            fitted, out = others[most - len(held) :], np.concatenate([held, others[: most - len(held)]])
            found = engine.hold_out(features, key, changed, kept, fitted, tuple(stage[out] for stage in stages))
            parts.append(_first(jax.device_get(found), len(held)))
            bar.update(len(held))
    places = np.argsort(order)
    return jax.tree.map(lambda *some: np.concatenate(some)[places], *parts)


def _first(found: Inspection, count: int) -> Inspection:
    return jax.tree.map(lambda x: x[:count], found)


def embed(engine: Engine, stages: Stages) -> PyTree[Any]:
    """Features of the method from stages of n images, (n, h_i, w_i, c_i) each, a batch at a time."""
    embedded = devices.in_batches(engine.embed, stages, over=None, batch_size=min(_BATCH, len(stages[0])))
    return jax.tree.map(jnp.asarray, embedded)


def embed_copies(engine: Engine, copies: Stages) -> PyTree[Any]:
    """Features, (k, n, ...), from stages of the n copies of k images, (k, n, h_i, w_i, c_i) each; () for none."""
    if not copies:
        return ()
    leading = copies[0].shape[:2]
    flat = embed(engine, tuple(stage.reshape(-1, *stage.shape[2:]) for stage in copies))
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), flat)
