"""All that decides a part's scores beside its images, and the programs made from it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Key, PyTree, UInt8

from fastrecon_jax import composition, detector, encoders, methods
from fastrecon_jax.composition import Arrays
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import tuning
from fastrecon_jax.methods.settings import MethodSettings
from fastrecon_jax.runtime import compiler


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What decides scores beside the images.

    Attributes:
        encoder: its name.
        stages: of the encoder, the finest first; empty for those of the method's strides.
        weights: where they come from, as `encoders.create` takes it; empty for the pretrained ones.
        weights_sha256: of the file that they came from, empty for random ones; None if any will do.
        dtype: of the encoder.
        image_size: side of the resized image, in pixels.
        crop_size: side of the centre that is inspected, in pixels.
        method: its name.
        settings: of the method.
        image_score: how patch scores become one number; empty for the method's own.
    """

    encoder: str
    stages: tuple[str, ...]
    weights: str
    weights_sha256: str | None
    dtype: str
    image_size: int
    crop_size: int
    method: str
    settings: MethodSettings
    image_score: str


Stages = tuple[Float[Array, "_ _ _ _"], ...]
Copies = tuple[Float[Array, "_ _ _ _ _"], ...]


class Engine(NamedTuple):
    """A recipe with its weights and its jitted programs.

    Attributes:
        recipe: that it was made from, with the hash of the weights.
        encoder: with its weights.
        method: with its settings.
        encode: params and images (b, H, W, 3) to the stages (b, h_i, w_i, c_i).
        fit: stages of the support (k, h_i, w_i, c_i) and a key to the state.
        inspect: arrays and images (b, H, W, 3) to scores (b,) and maps (b, H, W).
        score: state and stages (b, h_i, w_i, c_i) to the same.
        choose: where the method chooses settings itself, stages of the support and of n defective copies of each
            (k, n, h_i, w_i, c_i) to the choice; None otherwise. See `settling`.
        leave_one_out: stages of the support (k, h_i, w_i, c_i), k at least 2, and a key to the scores of each image by
            a model of the others.
    """

    recipe: Recipe
    encoder: encoders.Encoder
    method: methods.Method
    encode: Callable[[PyTree[Array], UInt8[Array, "b H W 3"]], Stages]
    fit: Callable[[Stages, Key[Array, ""]], Any]
    inspect: Callable[[Arrays, UInt8[Array, "b H W 3"]], composition.Inspection]
    score: Callable[[Any, Stages], composition.Inspection]
    leave_one_out: Callable[[Stages, Key[Array, ""]], composition.Inspection]
    choose: Callable[[Stages, Copies], tuning.Choice] | None = None


def open_engine(recipe: Recipe, *, weights: str = "") -> Engine:
    """Load the weights and make the programs.

    Args:
        recipe: with the hash that the weights must have.
        weights: another place to take them from.

    Returns:
        The engine; nothing is compiled yet.

    Raises:
        InputError: the recipe names what does not exist, or the weights are others than the recipe's.
    """
    return make_engine(recipe, load_encoder(recipe, weights=weights))


def load_encoder(recipe: Recipe, *, weights: str = "") -> encoders.Encoder:
    """The encoder of a recipe.

    Args:
        recipe: with the hash that the weights must have.
        weights: another place to take them from.

    Returns:
        The encoder with its weights.

    Raises:
        InputError: the recipe names what does not exist, or the weights are others than the recipe's.
    """
    source = weights or recipe.weights
    strides = methods.create(recipe.method, recipe.settings).strides
    stages = recipe.stages or encoders.stages_of(recipe.encoder, strides)
    encoder = encoders.create(recipe.encoder, stages=stages, weights=source, dtype=recipe.dtype)
    if recipe.weights_sha256 not in (None, encoder.sha256):
        raise InputError(
            f"the weights of {recipe.encoder} from {encoder.weights} are not those of the part: sha256 "
            f"{encoder.sha256[:16] or 'none'}..., expected {recipe.weights_sha256[:16] or 'none'}...; "
            "pass the right file as --weights"
        )
    return encoder


def make_engine(recipe: Recipe, encoder: encoders.Encoder) -> Engine:
    """The programs of a recipe.

    Args:
        recipe: whose method and sizes.
        encoder: of the recipe.

    Returns:
        The engine; nothing is compiled yet.

    Raises:
        InputError: the recipe names what does not exist.
    """
    method = methods.create(recipe.method, recipe.settings, map_size=recipe.crop_size)
    output = {"crop_size": recipe.crop_size, "image_score": recipe.image_score}
    of_stages = composition.of_stages(method, **output)
    return Engine(
        recipe=dataclasses.replace(recipe, stages=encoder.stages, weights_sha256=encoder.sha256),
        encoder=encoder,
        method=method,
        encode=compiler.jit(functools.partial(detector.encode, encoder)),
        fit=compiler.jit(functools.partial(detector.fit_one, method)),
        inspect=compiler.jit(composition.compose_crops(encoder, method, **output)),
        score=compiler.jit(jax.vmap(of_stages, (None, 0))),
        leave_one_out=compiler.jit(functools.partial(_leave_one_out, method, of_stages)),
        choose=compiler.jit(functools.partial(_choose, method, recipe.settings)) if method.copies else None,
    )


def _choose(method: methods.Method, settings: MethodSettings, stages: Stages, copies: Copies) -> tuning.Choice:
    features, defective = jax.vmap(method.embed)(stages), jax.vmap(jax.vmap(method.embed))(copies)
    return tuning.choose(features, defective, **tuning.asked(settings, shape=features.shape[:3]))


def _leave_one_out(
    method: methods.Method, of_stages: Callable, stages: Stages, key: Key[Array, ""]
) -> composition.Inspection:
    """One fold after the other, so that memory is that of one fit."""
    others = jnp.arange(stages[0].shape[0] - 1)

    def fold(i):
        rows = jnp.where(others < i, others, others + 1)
        state = detector.fit_one(method, tuple(stage[rows] for stage in stages), key)
        return of_stages(state, tuple(stage[i] for stage in stages))

    return jax.lax.map(fold, jnp.arange(stages[0].shape[0]))
