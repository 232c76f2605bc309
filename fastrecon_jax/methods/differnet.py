"""DifferNet: a normalising flow of the pooled features at three sizes, trained on rotations of the support images."""

import dataclasses
import functools
import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from fastrecon_jax.command_line.fields import require, require_between, setting
from fastrecon_jax.core import rotation, scoring, sizes
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import differnet_features as features
from fastrecon_jax.methods import flow
from fastrecon_jax.methods.registry import Method, OnImages, Training, note, on_images, register
from fastrecon_jax.runtime import compiler
from fastrecon_jax.training import loop

SIGMA = 3.0  # of the blur of the gradients, in pixels
SEGMENT = 48  # steps between two checkpoints, which hold three times the flow
SQUARE, LIKELIHOOD = "square", "likelihood"
CHOICES = BY_PRESET, YES, NO = "preset", "yes", "no"
_FLOOR = 0.1  # least standard deviation that a feature is divided by, in root mean squares of all
_MOST = 2**16


class Preset(NamedTuple):
    """Sizes that belong together.

    Attributes:
        side: side of the images, in pixels; 0 for that of the anomaly map.
        hidden: units of the hidden layers.
        blocks: couplings.
        steps: steps of the training.
        bank_rotations: rotations of each support image from which training draws.
        score_rotations: rotations over which scores are averaged.
        strides: strides of the stages, in pixels.
        standardise: whether each feature is brought to mean 0 and variance 1 over the rotations of the support.
    """

    side: int
    hidden: int
    blocks: int
    steps: int
    bank_rotations: int
    score_rotations: int
    strides: tuple[int, ...]
    standardise: bool


PRESETS = {
    "small": Preset(0, 512, 8, 192, 16, 8, (8, 16), standardise=True),
    "paper": Preset(448, 2048, 8, 192, 64, 64, (32,), standardise=False),
}
_SIZES = {"hidden": 2, "blocks": 1, "steps": 1, "bank_rotations": 1, "score_rotations": 1}


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of DifferNet."""

    trained_preset: str = setting(
        "small", "sizes that are not given: small, about a minute a category on two cores; or paper, the authors'"
    )
    score: str = setting(
        SQUARE, "image score: square, the mean square of the latent vector, or likelihood, with the log-determinant too"
    )
    side: int = setting(0, "side of the largest of the three images, in pixels; 0 by preset: --crop_size, or 448")
    hidden: int = setting(0, "units of the hidden layers of the flow; 0 by preset: 512, or 2048")
    blocks: int = setting(0, "couplings of the flow; 0 by preset: 8")
    steps: int = setting(0, "steps of the training; 0 by preset: 192")
    bank_rotations: int = setting(0, "rotations of each support image to train on; 0 by preset: 16, or 64")
    score_rotations: int = setting(0, "rotations over which scores are averaged; 0 by preset: 8, or 64")
    standardise: str = setting(
        BY_PRESET, "bring each feature to mean 0 and variance 1 over the bank: yes, no, or preset: yes in small"
    )

    def __post_init__(self):
        known = ", ".join(PRESETS)
        require(self, "trained_preset", self.trained_preset in PRESETS, f"it must be one of {known}")
        require(self, "score", self.score in (SQUARE, LIKELIHOOD), f"it must be {SQUARE} or {LIKELIHOOD}")
        for name, least in _SIZES.items():
            if getattr(self, name):
                require_between(self, name, (least, _MOST))
        require(self, "standardise", self.standardise in CHOICES, f"it must be one of {', '.join(CHOICES)}")
        require(self, "side", 0 <= self.side <= _MOST, f"it must be from 0 to {_MOST}")


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        mean: subtracted from the features, (d,).
        scale: by which they are divided then, (d,).
        blocks: the trained flow.
    """

    mean: Float[Array, " d"]
    scale: Float[Array, " d"]
    blocks: tuple[flow.Block, ...]


def sizes_of(settings: Settings) -> Preset:
    """The preset with the sizes that the settings name themselves.

    Args:
        settings: the settings.

    Returns:
        All sizes.
    """
    given: dict[str, Any] = {name: value for name in ("side", *_SIZES) if (value := getattr(settings, name))}
    if settings.standardise != BY_PRESET:
        given["standardise"] = settings.standardise == YES
    return PRESETS[settings.trained_preset]._replace(**given)


def fit(
    encoder: Encoder,
    images: UInt8[Array | np.ndarray, "k H W 3"],
    key: PRNGKeyArray,
    training: Training,
    *,
    chosen: Preset,
    encode: Callable[[Encoder, Array], Array],
) -> State:
    """Train a flow on the rotations of the support; the state is that of the last step.

    Args:
        encoder: frozen.
        images: the k support images, RGB, (k, H, W, 3), 0 to 255.
        key: random key of the weights and of the batches.
        training: checkpoints and progress.
        chosen: sizes.
        encode: (encoder, one image) to the features of its rotations, (R, d), compiled.

    Returns:
        The state that `score` takes.

    Raises:
        InputError: the features have an odd number of channels, or the loss is not finite.

    References:
        Rudolph et al., Same same but DifferNet, WACV 2021 (arXiv 2008.12577), section 3.3.
    """
    # The encoder is frozen: each rotation is encoded once, and training draws from this bank.
    bank = jnp.stack([encode(encoder, jnp.asarray(image, jnp.float32)) for image in images])  # (k, R, d)
    dimensions = bank.shape[-1]
    if dimensions % 2:
        raise InputError(
            f"differnet halves its features: the {dimensions} channels of {'+'.join(encoder.stages)} at "
            f"{len(features.REDUCTIONS)} sizes are an odd number, choose other --stages"
        )
    mean, scale = jnp.zeros(dimensions), jnp.ones(dimensions)
    if chosen.standardise:
        mean, spread = bank.mean(axis=(0, 1)), bank.std(axis=(0, 1))
        # A channel that is silent on the support would be divided by 0, and shout on the first image where it is not.
        scale = jnp.maximum(spread, jnp.maximum(_FLOOR * jnp.sqrt(jnp.square(spread).mean()), 1e-6))
        bank = (bank - mean[None, None]) / scale[None, None]
    shape = flow.Shape(dimensions, chosen.hidden, chosen.blocks)
    of_weights, of_steps = jax.random.split(key)
    trained = loop.train(
        flow.step,
        loop.start(flow.initialise(shape, of_weights), flow.optimiser()),
        of_steps,
        chosen.steps,
        data=bank,
        name="differnet",
        segment=SEGMENT,
        directory=training.directory,
        identity={"sizes": chosen._asdict(), "bank": hashlib.sha256(np.asarray(bank).tobytes()).hexdigest()},
        progress=training.progress,
    )
    return State(mean, scale, trained.state.parameters)


def score(
    encoder: Encoder, state: State, image: Float[Array, "H W 3"], *, chosen: Preset, kind: str, map_size: Size
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """Anomaly map and image score of one image, averaged over fixed rotations.

    Args:
        encoder: that of the fit.
        state: what `fit` returned.
        image: RGB, (H, W, 3), 0 to 255, of a floating type.
        chosen: sizes.
        kind: `square` or `likelihood`.
        map_size: side of the anomaly map, or its height and width, in pixels.

    Returns:
        The map, (h, w) as `map_size` says, at least 0, and the image score: the mean of z², or of
        (‖z‖²/2 - log|det J|) / d.

    References:
        Rudolph et al., Same same but DifferNet, WACV 2021 (arXiv 2008.12577), sections 3.4 and 3.5.
    """
    height, width, _ = image.shape
    blur = functools.partial(scoring.anomaly_map, height=height, width=width, sigma=SIGMA)
    # The derivative in a normalised pixel: the encoder divides by these.
    unit = 255 * jnp.asarray(encoder.registration.std, jnp.float32)

    def of_angles(degrees: Float[Array, " b"]) -> tuple[Array, Array, Array]:
        def losses(images: Float[Array, "b H W 3"]) -> tuple[Array, tuple[Array, Array]]:
            squares, negative = likelihoods(state, features.pooled(encoder, images))
            # Rotations do not depend on each other: the gradient of the sum is that of each.
            return negative.sum(), (squares, negative)

        gradients, scores = jax.grad(losses, has_aux=True)(features.turned(image, degrees))
        back = jax.vmap(lambda x, angle: rotation.rotate(x, -angle, order=1))(
            gradients * unit[None, None, None], degrees
        )
        blurred = jax.vmap(jax.vmap(blur))(jnp.moveaxis(back, -1, 1))  # (b, 3, H, W)
        return (jnp.abs(blurred).mean(axis=1), *scores)

    gradients, squares, negative = features.over_angles(of_angles, chosen.score_rotations)
    rows, columns = sizes.height_and_width(map_size)
    values = scoring.anomaly_map(jnp.square(gradients.mean(axis=0)), height=rows, width=columns, sigma=0.0)
    return values, (squares if kind == SQUARE else negative).mean()


def likelihoods(state: State, vectors: Float[Array, "b d"]) -> tuple[Float[Array, " b"], Float[Array, " b"]]:
    """Mean squares of latent vectors, and their losses.

    Args:
        state: what `fit` returned.
        vectors: features, (b, d).

    Returns:
        The means of z² over the dimensions, (b,), and (‖z‖²/2 - log|det J|) / d, (b,).
    """
    d = vectors.shape[-1]
    orders = jnp.asarray(flow.permutations(flow.Shape(d, blocks=len(state.blocks))))
    standard = (vectors - state.mean[None]) / state.scale[None]
    z, determinants = jax.vmap(flow.forward, (None, None, 0))(state.blocks, orders, standard)
    squares = jnp.square(z).mean(axis=-1)
    return squares, squares / 2 - determinants / d


@register("differnet", settings=Settings, source="Rudolph et al., DifferNet, WACV 2021")
def method(settings: Settings, *, map_size: Size) -> Method:
    """A normalising flow of pooled features at three sizes, trained on rotations of the support images."""
    chosen = sizes_of(settings)
    chosen = chosen._replace(side=chosen.side or max(sizes.height_and_width(map_size)))
    encode = functools.partial(features.of_rotations, count=chosen.bank_rotations)
    images = OnImages(
        sides=features.sides(chosen.side),
        fit=functools.partial(fit, chosen=chosen, encode=compiler.jit(encode)),
        score=functools.partial(score, chosen=chosen, kind=settings.score, map_size=map_size),
    )
    return on_images("differnet", settings, images, strides=chosen.strides, note=_note(settings))


def _note(settings: Settings) -> str:
    changed = [f"{name.replace('_', ' ')} {value}" for name in ("side", *_SIZES) if (value := getattr(settings, name))]
    standard = "" if settings.standardise == BY_PRESET else f"standardise {settings.standardise}"
    score = LIKELIHOOD if settings.score == LIKELIHOOD else ""
    return note(f"preset {settings.trained_preset}", score, *changed, standard)
