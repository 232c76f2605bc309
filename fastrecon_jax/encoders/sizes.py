"""How large an encoder is, and how fast on this machine."""

import math
import time

import jax
import numpy as np
from jaxtyping import Float

from fastrecon_jax.encoders.kept import create
from fastrecon_jax.encoders.registry import Registration
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.runtime import compiler

BATCH = 8  # images that are measured together
_SIDE = 224  # pixels
_SECONDS = 1.0  # for which an encoder is measured, after the run that compiles it
_STATISTICS = ("running_mean", "running_var", "num_batches_tracked")


class _Shapes:
    """A source that only notes how many numbers are asked for; its tensors take no memory."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def has(self, name: str) -> bool:
        """False, so that the usual way to store weights is taken."""
        del name
        return False

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """One number, repeated."""
        del init, minimum
        self.numbers[name] = math.prod(shape)
        return np.broadcast_to(np.float32(0.5), shape)


def parameters(entry: Registration) -> int:
    """Parameters of an encoder up to its last stage, without classifier and without statistics of BatchNorm.

    Args:
        entry: what was registered.

    Returns:
        The registered number, or the count of the tensors that building it asks for.
    """
    return entry.parameters or count(entry)


def count(entry: Registration) -> int:
    """The same, counted by building the encoder up to its last stage; arguments as `parameters` has them."""
    source, last = _Shapes(), list(entry.stages)[-1]

    def build() -> int:
        entry.build(source, (last,))
        return 0

    jax.eval_shape(build)  # traced, so that the layers' arrays are not made
    return sum(number for name, number in source.numbers.items() if name.rpartition(".")[2] not in _STATISTICS)


def measured_side(entry: Registration) -> int:
    """Side of the images that `images_per_second` takes, in pixels: 224, or the next multiple of a patch.

    Args:
        entry: what was registered.

    Returns:
        At least 224.
    """
    return math.ceil(_SIDE / entry.multiple) * entry.multiple


def images_per_second(entry: Registration) -> float:
    """Images per second through the default stages on this machine: float32, random weights, batches of 8.

    Args:
        entry: what was registered.

    Returns:
        By the fastest of the runs of about a second.
    """
    encoder, side = create(entry.name, weights=RANDOM), measured_side(entry)
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, (BATCH, side, side, 3), np.uint8))
    run = compiler.jit(lambda encoder, images: encoder(images))
    jax.block_until_ready(run(encoder, images))
    taken: list[float] = []
    while not taken or sum(taken) < _SECONDS:
        start = time.perf_counter()
        jax.block_until_ready(run(encoder, images))
        taken.append(time.perf_counter() - start)
    return BATCH / min(taken)
