"""Engines of the demo: one for its flags, and a few for parts that were fitted otherwise."""

import dataclasses
import functools
from collections.abc import Callable
from typing import TypeAlias

from fastrecon_jax import methods
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.config import DemoConfig
from fastrecon_jax.parts.engine import Engine, Recipe, load_encoder, make_engine

Opener: TypeAlias = Callable[[Recipe], Engine]
_OTHERS = 2
_LARGEST = 1024
_UPLOADABLE = ("", "random")


def recipe(config: DemoConfig) -> Recipe:
    """What the flags ask for.

    Args:
        config: the settings.

    Returns:
        The recipe of parts that are fitted on the page.
    """
    return Recipe(
        encoder=config.encoder,
        stages=(),
        weights=config.weights,
        weights_sha256=None,
        dtype="float32",
        image_size=config.image_size,
        crop_size=config.crop_size,
        method=config.method,
        settings=methods.registration(config.method).settings(),
        image_score="",
    )


def opener(engine: Engine, *, trusted: bool = False) -> Opener:
    """Opens the engine of a recipe, at most two at a time beside the one that is open.

    Args:
        engine: that is open.
        trusted: whether recipes may name files and addresses of weights. A recipe that was uploaded may not: it would
            have the server read what its owner never named.

    Returns:
        A function of a recipe. It raises an InputError where the recipe cannot be opened.
    """

    @functools.lru_cache(maxsize=_OTHERS)
    def other(asked: Recipe) -> Engine:
        return make_engine(asked, _encoder(asked, engine.encoder, trusted=trusted))

    def opened(asked: Recipe) -> Engine:
        if asked.image_size > _LARGEST and not trusted:
            raise InputError(f"the part was fitted at --image_size={asked.image_size}, the demo takes up to {_LARGEST}")
        return engine if _named(asked, "") == _named(engine.recipe, "") else other(asked)

    return opened


def _named(asked: Recipe, weights: str) -> Recipe:
    return dataclasses.replace(asked, weights=weights)  # the hash says which they are


def _encoder(asked: Recipe, known: Encoder, *, trusted: bool) -> Encoder:
    if (asked.encoder, asked.stages, asked.dtype, asked.weights_sha256) == (
        known.name,
        known.stages,
        known.dtype,
        known.sha256,
    ):
        return known
    if not trusted and asked.weights not in _UPLOADABLE:
        raise InputError(
            f"the part's weights of {asked.encoder} are in a file, {asked.weights!r}, which an uploaded part may not "
            f"name: start the demo with --encoder={asked.encoder} --weights=FILE"
        )
    return load_encoder(asked)
