"""Engines of the demo: one for its flags, and a few for parts that were fitted otherwise."""

import functools
from collections.abc import Callable
from typing import TypeAlias

from fastrecon_jax import methods
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import area
from fastrecon_jax.parts.engine import Engine, Recipe, key_of_encoder, load_encoder, make_engine
from fastrecon_jax.serving.config import DemoConfig

EngineOpener: TypeAlias = Callable[[Recipe], Engine]
_OTHERS = 2  # engines that are open beside that of the flags
_LARGEST = 1024  # pixels
_UPLOADABLE = ("", "random")  # weights that an uploaded part may name


def recipe(config: DemoConfig) -> Recipe:
    """The recipe of parts that are fitted on the page, as the flags ask for it; for square photographs."""
    asked = Recipe(
        encoder=config.encoder,
        stages=(),
        weights=config.weights,
        weights_sha256=None,
        dtype="float32",
        image_size=config.image_size,
        crop_size=area.crop_size(config.resize, config.image_size, config.crop_size),
        method=config.method,
        settings=methods.registration(config.method).settings(),
        image_score="",
        resize=config.resize,
    )
    return area.decide(asked, None)


def opener(engine: Engine, *, trusted: bool = False) -> EngineOpener:
    """Opens the engines of recipes, at most two at a time beside `engine`; InputError where one cannot be opened.

    Recipes may name files and addresses of weights only if they are trusted. One that was uploaded is not: it would
    have the server read what its owner never named.
    """

    @functools.lru_cache(maxsize=_OTHERS)
    def other(recipe: Recipe) -> Engine:
        return make_engine(recipe, _encoder(recipe, engine.encoder, trusted=trusted))

    def open_engine(recipe: Recipe) -> Engine:
        largest = max(_LARGEST, engine.recipe.image_size)
        if recipe.image_size > largest and not trusted:
            raise InputError(f"the part was fitted at --image_size={recipe.image_size}, the demo takes up to {largest}")
        return engine if recipe.anywhere == engine.recipe.anywhere else other(recipe)

    return open_engine


def _encoder(recipe: Recipe, loaded: Encoder, *, trusted: bool) -> Encoder:
    """The encoder that is loaded already if it is the right one, else another."""
    if recipe.encoder_key == key_of_encoder(loaded):
        return loaded
    if not trusted and recipe.weights not in _UPLOADABLE:
        raise InputError(
            f"the part's weights of {recipe.encoder} are in a file, {recipe.weights!r}, which an uploaded part may not "
            f"name: start the demo with --encoder={recipe.encoder} --weights=FILE"
        )
    return load_encoder(recipe)
