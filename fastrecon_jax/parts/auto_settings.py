"""Settings that are `auto`, replaced by numbers before a part is fitted."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from fastrecon_jax.parts import fitting
from fastrecon_jax.parts.engine import Engine, make_engine
from fastrecon_jax.parts.photos import Photo


def resolve(engine: Engine, photos: Sequence[Photo]) -> Engine:
    """The engine with numbers in place of `auto`, chosen from good photographs alone; itself if nothing is `auto`.

    Calibration, file, extension and export of the part then know nothing of the choice. The held-out scores of the
    calibration come from models that use the chosen numbers, which the held-out image helped to choose.

    InputError if there is no photograph.
    """
    if engine.choose is None:
        return engine
    pixels = np.stack([photo.pixels for photo in fitting.distinct(photos)])  # (k, H, W, 3)
    own = [kind for kind in engine.method.copies if kind not in engine.recipe.support_copies]
    support, defective = fitting.encode(engine, pixels), fitting.encode_copies(engine, pixels, own)
    choice = engine.choose(tuple(map(jnp.asarray, support)), tuple(map(jnp.asarray, defective)))
    settings = engine.method.settle(choice)
    return make_engine(dataclasses.replace(engine.recipe, settings=settings), engine.encoder, engine.ignore)
