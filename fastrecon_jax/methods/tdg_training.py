"""How TDG's pyramid is trained: scale by scale, the coarsest first."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, Real, UInt8

from fastrecon_jax.methods import tdg_networks as networks
from fastrecon_jax.methods.registry import Training
from fastrecon_jax.methods.tdg_networks import Plain
from fastrecon_jax.methods.tdg_steps import RATE, Below, Data, Iteration, Player, Sizes, State, optimiser, resized
from fastrecon_jax.runtime import compiler
from fastrecon_jax.training import loop

NOISE = 0.1  # amplitude of the noise in the mean error of the reconstruction below
SEGMENT = 25  # iterations between two checkpoints


def reduced(images: Real[Array | np.ndarray, "b H W 3"], side: int) -> Float[Array, "b side side 3"]:
    """Images at the size of a scale, rounded to 8 bits as the authors do, and brought to -1 to 1.

    Args:
        images: RGB, (b, H, W, 3), 0 to 255.
        side: side of the scale, in pixels.

    Returns:
        The images, (b, side, side, 3).
    """
    values = jnp.clip(jnp.round(resized(jnp.asarray(images, jnp.float32), side)), 0, 255)
    return values / 127.5 - 1


def pyramid(
    images: UInt8[Array | np.ndarray, "k H W 3"],
    key: PRNGKeyArray,
    sizes: Sizes,
    training: Training,
    *,
    generator: bool,
) -> tuple[Plain, ...]:
    """Train all scales, the coarsest first, each on those below, which stay as they are.

    Args:
        images: the k support images, RGB, (k, H, W, 3), 0 to 255.
        key: random key of weights, noise and batches.
        sizes: sizes.
        training: checkpoints and progress; each scale has a folder of its own.
        generator: false for discriminators of the transformations alone.

    Returns:
        The discriminators after the last step, folded, the coarsest first.

    Raises:
        InputError: a loss is not finite, or checkpoints cannot be used.
    """
    digest = hashlib.sha256(np.asarray(images).tobytes()).hexdigest()
    below: tuple[Below, ...] = ()
    rebuilt, before, discriminators = None, None, []
    for i, side in enumerate(sizes.sides()):
        of_weights, of_noise, of_steps = jax.random.split(jax.random.fold_in(key, i), 3)
        data = _data(reduced(images, side), rebuilt, below, of_noise)
        state = _start(i, sizes, before, of_weights, generator=generator)
        trained = loop.train(
            Iteration(sizes),
            state,
            of_steps,
            sizes.steps,
            data=data,
            name=f"tdg, scale {i + 1} of {sizes.scales}",
            segment=SEGMENT,
            directory=training.directory and Path(training.directory) / f"scale_{i + 1}",
            identity={"sizes": sizes._asdict(), "generator": generator, "images": digest},
            progress=training.progress,
        )
        before = trained.state
        discriminators.append(_fold(before.discriminator))
        if before.generator is not None:
            below = (*below, Below(_fold(before.generator), data.noise, data.amplitude))
            rebuilt = _reconstruct(below[-1], data)
    return tuple(discriminators)


def _data(
    images: Float[Array, "k s s 3"],
    rebuilt: Float[Array, "k _ _ 3"] | None,
    below: tuple[Below, ...],
    key: PRNGKeyArray,
) -> Data:
    k, side = images.shape[:2]
    noise = jax.random.normal(key, (side, side, 1))
    if rebuilt is None:
        return Data(images, jnp.zeros_like(images), noise, jnp.ones(k), below)
    known = resized(rebuilt, side)
    return Data(images, known, noise, NOISE * jnp.abs(images - known).mean(axis=(1, 2, 3)), below)


def _start(scale: int, sizes: Sizes, before: State | None, key: PRNGKeyArray, *, generator: bool) -> State:
    """New optimisers; the weights of the scale below where its layers are as wide, or else new ones."""
    width, of_players = sizes.width * 2 ** (scale // 4), jax.random.split(key)
    kept = before if before is not None and scale % 4 else None
    classes = sizes.transformations + generator

    def player(old: Player | None, inputs: int, outputs: int, key: PRNGKeyArray, rate: Any) -> Player:
        network, running = (old.network, old.running) if old else networks.initialise(inputs, width, outputs, key)
        return Player(network, running, optimiser(rate).init(network))

    discriminator = player(
        kept and kept.discriminator, 3, classes, of_players[0], Iteration(sizes).discriminator_rate()
    )
    if not generator:
        return State(discriminator, None)
    return State(discriminator, player(kept and kept.generator, 4, 3, of_players[1], RATE))


def _fold(player: Player) -> Plain:
    return networks.folded(player.network, player.running)


def _rebuild(scale: Below, data: Data) -> Float[Array, "k s s 3"]:
    noise = jnp.broadcast_to(scale.noise[None] * scale.amplitude[:, None, None, None], data.images.shape)
    return networks.generated(scale.generator, noise, data.below, jnp.arange(len(data.images)))


_reconstruct: Callable[[Below, Data], Float[Array, "k s s 3"]] = compiler.jit(_rebuild)
