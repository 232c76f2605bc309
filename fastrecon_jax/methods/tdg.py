"""TDG: patches tell what was done to the image; where they cannot, the image is not as the support."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8

from fastrecon_jax.command_line.fields import require, require_between, require_number, setting
from fastrecon_jax.core import scoring, sizes
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods import tdg_networks as networks
from fastrecon_jax.methods import tdg_training
from fastrecon_jax.methods.registry import Method, OnImages, Training, note, on_images, register
from fastrecon_jax.methods.tdg_networks import MARGIN, RECEPTIVE_FIELD, Plain
from fastrecon_jax.methods.tdg_steps import Sizes
from fastrecon_jax.methods.tdg_transformations import LISTS, brought_back, distance, transformed

PRESETS = {
    "small": Sizes(128, 16, 32, 3, 32, 16, 100, 1, 2),
    "paper": Sizes(128, 25, 64, 5, 32, 54, 1000, 3, 0),
}
# Smallest values of the sizes that may be given.
_LEAST = {
    "side": 32,
    "coarsest": RECEPTIVE_FIELD,
    "finest": RECEPTIVE_FIELD,
    "scales": 1,
    "width": 1,
    "steps": 1,
    "updates": 1,
    "step_images": 1,
}
_MOST = 2**12


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of TDG."""

    trained_preset: str = setting(
        "small", "sizes that are not given: small, about a minute a category on two cores; or paper, the authors'"
    )
    lowest: float = setting(
        1.0, "share of the patches, those of the lowest probabilities, that make the image score: 0.1 for small defects"
    )
    generator: bool = setting(True, "train against a generator; false for the ablation, of the transformations alone")
    transformations: int = setting(
        0, "how many: 4 (quarter turns), 16, 42 (the authors' for grey images) or 54; 0 by preset: 16, or 54"
    )
    side: int = setting(0, "side of the images that all scales are reduced from, in pixels; 0 by preset: 128")
    coarsest: int = setting(0, "side of the images at the coarsest scale, in pixels; 0 by preset: 16, or 25")
    finest: int = setting(0, "side at the finest scale; 0 by preset: 32, or 64")
    scales: int = setting(0, "number of scales; 0 by preset: 3, or 5")
    width: int = setting(0, "channels of the hidden layers, twice as many from the fifth scale on; 0 by preset: 32")
    steps: int = setting(0, "iterations at each scale; 0 by preset: 100, or 1000")
    updates: int = setting(0, "steps of either network in an iteration; 0 by preset: 1, or 3")
    step_images: int = setting(0, "support images in an iteration, at most; 0 by preset: 2, or all")

    def __post_init__(self):
        known = ", ".join(PRESETS)
        require(self, "trained_preset", self.trained_preset in PRESETS, f"it must be one of {known}")
        require_number(self, "lowest", above=0, at_most=1)
        counts = ", ".join(map(str, LISTS))
        require(self, "transformations", self.transformations in (0, *LISTS), f"it must be one of {counts}")
        for name, least in _LEAST.items():
            if getattr(self, name):
                require_between(self, name, (least, _MOST))
        self._check_order()

    def _check_order(self) -> None:
        """The scales lie between the coarsest and the side of the images, and no two of them have the same side."""
        chosen = sizes_of(self)
        least = chosen.coarsest + chosen.scales - 1
        rule = (
            f"{chosen.scales} scales from {chosen.coarsest} pixels on need at least {least}, and it is {chosen.finest}"
        )
        require(self, "finest", chosen.finest >= least, rule)
        rule = f"it is {chosen.side}, which cannot be reduced to --finest, {chosen.finest}"
        require(self, "side", chosen.side >= chosen.finest, rule)


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        discriminators: of each scale, the coarsest first, as they score.
    """

    discriminators: tuple[Plain, ...]


def sizes_of(settings: Settings) -> Sizes:
    """The preset with the sizes that the settings name themselves.

    Args:
        settings: the settings.

    Returns:
        All sizes.
    """
    given = {name: value for name in (*_LEAST, "transformations") if (value := getattr(settings, name))}
    return PRESETS[settings.trained_preset]._replace(**given)


def fit(
    encoder: Any,
    images: UInt8[Array | np.ndarray, "k H W 3"],
    key: PRNGKeyArray,
    training: Training,
    *,
    chosen: Sizes,
    generator: bool,
) -> State:
    """Train the pyramid; the state is that of the last step.

    Args:
        encoder: unused: patches are those of the pixels.
        images: the k support images, RGB, (k, H, W, 3), 0 to 255.
        key: random key of weights, noise and batches.
        training: checkpoints and progress.
        chosen: sizes.
        generator: whether patches of a generator are a class of their own.

    Returns:
        The state that `score` takes.

    Raises:
        InputError: the loss is not finite, or checkpoints cannot be used.

    References:
        Sheynin et al., A hierarchical transformation-discriminating generative model for few shot anomaly detection,
        ICCV 2021 (arXiv 2104.14535).
    """
    del encoder
    return State(tdg_training.pyramid(images, key, chosen, training, generator=generator))


def score(
    encoder: Any, state: State, image: Float[Array, "H W 3"], *, chosen: Sizes, lowest: float, map_size: Size
) -> tuple[Float[Array, "h w"], Float[Array, ""]]:
    """Anomaly map and image score of one image: 1 - probability of the transformation, averaged over all.

    Args:
        encoder: unused.
        state: what `fit` returned.
        image: RGB, (H, W, 3), 0 to 255, of a floating type.
        chosen: sizes.
        lowest: share of the patches of a transformed image, those of the lowest probabilities, in the image score.
        map_size: side of the anomaly map, or its height and width, in pixels.

    Returns:
        The map, (h, w) as `map_size` says, and the image score, 0 to 1 each.

    References:
        Sheynin et al., ICCV 2021 (arXiv 2104.14535), section 3.3; the map is ours.
    """
    del encoder
    height, width = sizes.height_and_width(map_size)
    maps, scores = [], []
    for side, discriminator in zip(chosen.sides(), state.discriminators, strict=True):
        missed = 1 - probabilities(discriminator, tdg_training.reduced(image[None], side), chosen.transformations)
        scores.append(_mean_of_largest(missed, lowest))
        patches = _in_frame(missed, chosen.transformations, side)
        maps.append(scoring.anomaly_map(patches, height=height, width=width, sigma=0.0))
    return jnp.stack(maps).mean(axis=0), jnp.stack(scores).mean()


def probabilities(discriminator: Plain, image: Float[Array, "1 s s 3"], transformations: int) -> Float[Array, "M h w"]:
    """The probability of each transformation at the patches of the image that it made.

    Args:
        discriminator: of the scale.
        image: at the scale, -1 to 1, (1, s, s, 3).
        transformations: M, number of transformations, of `LISTS`.

    Returns:
        Probabilities, (M, s - 10, s - 10), 0 to 1.
    """
    logits = networks.plain(discriminator, transformed(image, LISTS[transformations])[:, 0])
    # The class of generated patches has no part in the score.
    own = jax.nn.softmax(logits[..., :transformations])
    return jnp.stack([own[t, ..., t] for t in range(transformations)])


def _mean_of_largest(missed: Float[Array, "M h w"], share: float) -> Float[Array, ""]:
    """Mean over the transformations of the mean of the largest values, a share of the patches, at least one."""
    values = missed.reshape(len(missed), -1)
    count = max(1, int(share * values.shape[1] + 1e-6))  # 0.3 of 10 patches are 3, not 2.999...
    return jax.lax.top_k(values, count)[0].mean()


def _in_frame(missed: Float[Array, "M h w"], transformations: int, side: int) -> Float[Array, "s s"]:
    """Means over the transformations in the frame of the image; patches count at their centres, edges are repeated."""
    back, defined = brought_back(missed, LISTS[transformations], distance(side))
    return jnp.pad(back.sum(axis=0) / defined.sum(axis=0), MARGIN, "edge")


@register("tdg", settings=Settings, source="Sheynin et al., TDG, ICCV 2021")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Patch discriminators of the image's transformations at several scales, trained against generators."""
    chosen = sizes_of(settings)
    images = OnImages(
        sides=(chosen.side,),
        fit=functools.partial(fit, chosen=chosen, generator=settings.generator),
        score=functools.partial(score, chosen=chosen, lowest=settings.lowest, map_size=map_size),
        encodes=False,
    )
    return on_images("tdg", settings, images, strides=(), note=_note(settings))


def _note(settings: Settings) -> str:
    names = (*_LEAST, "transformations")
    changed = [f"{name.replace('_', ' ')} {value}" for name in names if (value := getattr(settings, name))]
    lowest = "" if settings.lowest == 1 else f"lowest {settings.lowest:g}"
    return note(
        f"preset {settings.trained_preset}", lowest, "" if settings.generator else "without generator", *changed
    )
