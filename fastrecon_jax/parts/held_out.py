"""Good images inspected by models that have not seen them: each by one of all others, or a few at a time."""

import functools
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int, PyTree

from fastrecon_jax.detector import Inspection
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.progress import SILENT, Bars
from fastrecon_jax.runtime import devices

MOST_FOLDS = 16
FEWEST_FOLDS = 4  # however little time there is: models of less than three quarters of the images say little of all
_BATCHES = (1, 2, 4, 8)  # images that are embedded or inspected at once

Stages = tuple[Float[np.ndarray, "*_ _ _ _"], ...]


class HeldOut(NamedTuple):
    """Good images inspected by models that have not seen them.

    Attributes:
        inspection: scores (k,) and maps (k, H, W), and what is missing, as logarithms, (k,), or None.
        at_once: images that were held out together, at most.
        hurried: whether these are more than they would be without a limit of time.
    """

    inspection: Inspection
    at_once: int
    hurried: bool


def folds(count: int, most: int = MOST_FOLDS) -> list[Int[np.ndarray, " g"]]:
    """Which of at least 2 images are held out together: each by itself, or of many a few, `most` times at most.

    Those of a fold lie far apart in the list, so that the neighbours of each, such as the next photographs of the same
    part, stay in the fit as they do where one image is held out.
    """
    size = -(-count // most)
    number = -(-count // size)
    return [np.arange(first, count, number) for first in range(number)]


def inspect(
    engine: Engine,
    state: Any,
    stages: Stages,
    copies: Stages,
    *,
    seconds: float = float("inf"),
    bars: Bars = SILENT,
    clock: Callable[[], float] = time.monotonic,
) -> HeldOut:
    """Each of k good images by a model that was fitted without it.

    Args:
        engine: encoder and method.
        state: what the method's fit on all of them returned.
        stages: stages of the images, k at least 2, (k, h_i, w_i, c_i) each.
        copies: stages of the n copies of each that the method asks for, (k, n, h_i, w_i, c_i) each, or ().
        seconds: about the longest that it may take; where that is too short, more images are held out together, in
            `FEWEST_FOLDS` folds at least.
        bars: makes the progress bar.
        clock: time in seconds.

    Returns:
        The inspections, in the order of the images.
    """
    count, key = len(stages[0]), jax.random.key(0)
    features, changed = embed(engine, stages), embed_copies(engine, copies)
    kept = engine.thin(state, features, changed) if engine.thin else None

    def hold_out(held: Int[np.ndarray, " g"], at_once: int) -> Inspection:
        # All are fitted on as many, for one program: where fewer are held out, some others stay away as well.
        chosen = np.setdiff1d(np.arange(count), held)[at_once - len(held) :]
        program = functools.partial(engine.inspect_stages, engine.fit_some(features, key, changed, kept, chosen))
        # Programs of few sizes, whatever the number of images.
        batch = next(size for size in _BATCHES if size >= min(at_once, _BATCHES[-1]))
        return devices.in_batches(program, tuple(stage[held] for stage in stages), over=None, batch_size=batch)

    plan, done, hurried = folds(count, MOST_FOLDS), [], False
    with bars(desc="holding out", total=count, unit="image") as bar:
        while len(done) < len(plan):
            begun, held = clock(), plan[len(done)]
            done.append(hold_out(held, len(plan[0])))
            bar.update(len(held))
            # The first fold may wait for the compiler. The second says how long all of them take.
            affordable = seconds / max(clock() - begun, 1e-9)
            if len(done) == 2 and not hurried and max(affordable, FEWEST_FOLDS) < len(plan):
                plan, done, hurried = folds(count, max(int(affordable), FEWEST_FOLDS)), [], True
                bar.reset()
    places = np.argsort(np.concatenate(plan))
    inspection = jax.tree.map(lambda *some: np.concatenate(some)[places], *done)
    return HeldOut(inspection, len(plan[0]), hurried)


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
