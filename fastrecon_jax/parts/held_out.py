"""Good images inspected by models that have not seen them: each by one of all others, or a few at a time."""

import functools
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
_BATCHES = (1, 2, 4, 8)  # images that are embedded or inspected at once

Stages = tuple[Float[np.ndarray, "*_ _ _ _"], ...]


def folds(count: int) -> list[Int[np.ndarray, " g"]]:
    """Which of at least 2 images are held out together: each by itself, or of many a few, `MOST_FOLDS` times at most.

    Those of a fold lie far apart in the list, so that the neighbours of each, such as the next photographs of the same
    part, stay in the fit as they do where one image is held out.
    """
    size = -(-count // MOST_FOLDS)
    number = -(-count // size)
    return [np.arange(first, count, number) for first in range(number)]


def inspect(engine: Engine, state: Any, stages: Stages, copies: Stages, *, bars: Bars = SILENT) -> Inspection:
    """Each of k good images by a model that was fitted without it.

    Args:
        engine: encoder and method.
        state: what the method's fit on all of them returned.
        stages: stages of the images, k at least 2, (k, h_i, w_i, c_i) each.
        copies: stages of the n copies of each that the method asks for, (k, n, h_i, w_i, c_i) each, or ().
        bars: makes the progress bar.

    Returns:
        Scores (k,) and maps (k, H, W), and what is missing, as logarithms, (k,), or None.
    """
    count, key = len(stages[0]), jax.random.key(0)
    features, changed = embed(engine, stages), embed_copies(engine, copies)
    kept = engine.thin(state, features, changed) if engine.thin else None
    held_out, parts = folds(count), []
    most = max(map(len, held_out))
    # Programs of few sizes, whatever the number of images.
    batch = next(size for size in _BATCHES if size >= min(most, _BATCHES[-1]))
    with bars(desc="holding out", total=count, unit="image") as bar:
        for held in held_out:
            # All are fitted on as many, for one program: where fewer are held out, some others stay away as well.
            chosen = np.setdiff1d(np.arange(count), held)[most - len(held) :]
            program = functools.partial(engine.inspect_stages, engine.fit_some(features, key, changed, kept, chosen))
            own = tuple(stage[held] for stage in stages)
            parts.append(devices.in_batches(program, own, over=None, batch_size=batch))
            bar.update(len(held))
    places = np.argsort(np.concatenate(held_out))
    return jax.tree.map(lambda *some: np.concatenate(some)[places], *parts)


def embed(engine: Engine, stages: Stages) -> PyTree[Any]:
    """Features of the method from stages of n images, (n, h_i, w_i, c_i) each, a batch at a time."""
    embedded = devices.in_batches(engine.embed, stages, over=None, batch_size=min(_BATCHES[-1], len(stages[0])))
    return jax.tree.map(jnp.asarray, embedded)


def embed_copies(engine: Engine, copies: Stages) -> PyTree[Any]:
    """Features, (k, n, ...), from stages of the n copies of k images, (k, n, h_i, w_i, c_i) each; () for none."""
    if not copies:
        return ()
    leading = copies[0].shape[:2]
    flat = embed(engine, tuple(stage.reshape(-1, *stage.shape[2:]) for stage in copies))
    return jax.tree.map(lambda x: x.reshape(*leading, *x.shape[1:]), flat)
