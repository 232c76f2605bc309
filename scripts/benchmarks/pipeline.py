"""From images on the device to anomaly maps: the encoder, the scoring, and both in one program."""

import itertools
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import UInt8

from benchmarks import options, timing
from fastrecon_jax import encoders, methods
from fastrecon_jax.command_line.flags import integers
from fastrecon_jax.data import copies
from fastrecon_jax.detector import Detector, Stages
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.parts import engine
from fastrecon_jax.runtime import compiler

_SIDE = 224
GOOD = 8  # images that methods are fitted on by default
TURN = 0.4  # seconds


def parts(
    encoder: encoders.Encoder, method: methods.Method, batch: int, good: int = GOOD
) -> dict[str, Callable[[], object]]:
    """What is run in turn for one batch size, with everything on the device.

    Args:
        encoder: frozen.
        method: with its settings.
        batch: number of images.
        good: number of images that the method is fitted on.

    Returns:
        Encoder, scoring, both, and the fit, this for 8 good images alone.
    """
    images = jax.device_put(np.random.default_rng(0).integers(0, 256, (batch, _SIDE, _SIDE, 3)).astype(np.uint8))
    support = np.random.default_rng(1).integers(0, 256, (good, _SIDE, _SIDE, 3)).astype(np.uint8)
    detector, key = Detector(method, map_size=_SIDE, at_once=engine.at_once(method)), jax.random.key(0)
    encode = compiler.jit(lambda encoder, images: encoder(images))
    of_support, of_copies = _encoded(encode, encoder, support), ()
    if method.copies:
        changed = np.stack([copies.make(image, method.copies) for image in support])
        flat = _encoded(encode, encoder, changed.reshape(-1, *support.shape[1:]))
        of_copies = tuple(stage.reshape(*changed.shape[:2], *stage.shape[1:]) for stage in flat)
    fit = compiler.jit(detector.fit).lower(of_support, key, of_copies).compile()
    state = fit(of_support, key, of_copies)
    encode = encode.lower(encoder, images).compile()
    stages = encode(encoder, images)
    score = compiler.jit(detector.inspect).lower(state, stages).compile()
    both = compiler.jit(detector.inspect_images).lower(encoder, state, images).compile()
    timed = {
        "encoder": lambda: jax.block_until_ready(encode(encoder, images)),
        "scoring": lambda: jax.block_until_ready(score(state, stages)),
        "both": lambda: jax.block_until_ready(both(encoder, state, images)),
    }
    return timed | ({"fit": lambda: jax.block_until_ready(fit(of_support, key, of_copies))} if good == GOOD else {})


def _encoded(encode: Callable[..., Stages], encoder: encoders.Encoder, images: UInt8[np.ndarray, "n H W 3"]) -> Stages:
    """Stages of any number of images, encoded a few at a time."""
    few = [jax.device_get(encode(encoder, images[i : i + GOOD])) for i in range(0, len(images), GOOD)]
    return tuple(jax.device_put(np.concatenate(stages)) for stages in zip(*few, strict=True))


def run() -> None:
    """Print images/s of the encoder, of the scoring, and of both, the scoring's share, and what a fit takes."""
    sys.stdout.write(f"{timing.machine()}; medians of {options.REPEATS.value} turns\n\n")
    rows, numbers = [], integers("good", options.GOOD.value)
    clock = time.process_time if options.OF_CORES.value else time.perf_counter
    for name, method in itertools.product(options.ENCODERS.value, map(methods.create, options.METHODS.value)):
        stages = encoders.stages_of(name, method.strides)
        encoder = encoders.create(name, stages=stages, weights=RANDOM, dtype=options.DTYPE.value)
        for batch, good in itertools.product(integers("batches", options.BATCHES.value), numbers):
            timed = parts(encoder, method, batch, good)
            found = timing.medians(timing.in_turn(timed, options.REPEATS.value, at_least=TURN, clock=clock))
            rows.append(row([name, options.DTYPE.value, method.name, str(good), str(batch)], batch, found))
            sys.stderr.write(f"{' '.join(rows[-1])}\n")
    sys.stdout.write(timing.table(["encoder", "dtype", "method", "good images", "batch", *HEADER], rows))


HEADER = (
    *("encoder, images/s", "scoring, images/s", "both, images/s", "both, ms", "scoring / encoder, %"),
    *("both / encoder, %", "fit, ms"),
)


def row(names: list[str], batch: int, found: dict[str, float]) -> list[str]:
    """A line of the table.

    Args:
        names: its first cells.
        batch: number of images.
        found: seconds of `parts`.

    Returns:
        Its cells.
    """
    rates = [f"{batch / found[part]:.1f}" for part in ("encoder", "scoring", "both")]
    return [
        *names,
        *rates,
        f"{1000 * found['both']:.2f}",
        f"{100 * found['scoring'] / found['encoder']:.1f}",
        f"{100 * found['encoder'] / found['both']:.1f}",
        f"{1000 * found['fit']:.1f}" if "fit" in found else "-",
    ]


def matrix_peak(dtype: jnp.dtype, side: int) -> float:
    """Measured speed of a matrix product.

    Args:
        dtype: of the matrices.
        side: of the matrices.

    Returns:
        Operations per second.
    """
    a = jnp.ones((side, side), dtype)
    product = jax.jit(jnp.matmul).lower(a, a).compile()
    found = timing.in_turn({"product": lambda: jax.block_until_ready(product(a, a))}, 5, at_least=TURN)
    return 2 * side**3 / timing.medians(found)["product"]
