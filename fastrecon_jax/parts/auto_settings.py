"""Settings that a method chooses itself, made numbers before a part is fitted."""

import dataclasses
from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np

from fastrecon_jax.data import synthetic
from fastrecon_jax.methods import tuning
from fastrecon_jax.methods.settings import AUTO
from fastrecon_jax.parts import part as parts
from fastrecon_jax.parts.engine import Engine, make_engine
from fastrecon_jax.parts.photos import Photo


def settle(engine: Engine, photos: Sequence[Photo]) -> Engine:
    """Choose what is to be chosen, from good photographs alone.

    The part is then one of these numbers: its calibration, its file, an extension and an export know nothing of the
    choice. The held-out scores of the calibration are those of models that knew the numbers, which the held-out image
    helped to choose.

    Args:
        engine: with settings that may be `auto`.
        photos: good ones, at least one; exact copies count once.

    Returns:
        The same engine, or one with numbers in their place.

    Raises:
        InputError: no photograph.
    """
    if engine.choose is None:
        return engine
    pixels = np.stack([photo.pixels for photo in parts.distinct(photos)])
    copies = np.stack([synthetic.defective_copies(one) for one in pixels])
    support = parts.encode(engine, pixels)
    painted = parts.encode(engine, copies.reshape(-1, *copies.shape[2:]))
    choice = engine.choose(
        tuple(map(jnp.asarray, support)),
        tuple(jnp.asarray(stage.reshape(*copies.shape[:2], *stage.shape[1:])) for stage in painted),
    )
    return make_engine(dataclasses.replace(engine.recipe, settings=_chosen(engine, choice)), engine.encoder)


def _chosen(engine: Engine, choice: tuning.Choice) -> tuning.MethodSettings:
    settings = engine.recipe.settings
    changes = {"lam": float(choice.lam)} if settings.lam == AUTO else {}
    if tuning.chooses_rows(settings):
        changes |= {"coreset_ratio": None, "coreset_rows": int(choice.rows)}
    return dataclasses.replace(settings, **changes)
