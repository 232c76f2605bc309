"""wide_resnet50_2 and FastRecon on an accelerator, against PyTorch, and the coreset of a full-shot pool."""

import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import graph, options, pipeline, timing
from fastrecon_jax import encoders, methods
from fastrecon_jax.core import coreset
from fastrecon_jax.encoders import weights
from fastrecon_jax.encoders.encoder import DTYPES
from fastrecon_jax.errors import InputError

_ENCODER = "wide_resnet50_2"
_BATCHES = (1, 8, 32, 128, 512, 1024)
_SIDE = 224
_OPERATIONS = 18.4e9  # products and sums of an image to layer3 at 224 pixels
_ROWS, _CHANNELS, _RATIO = 156_800, 1_536, 0.01


def run() -> None:
    """Print the tables."""
    if jax.default_backend() == "cpu":
        raise InputError("--suite=gpu needs an accelerator; --suite=pipeline measures a CPU")
    peak = pipeline.matrix_peak(jnp.bfloat16, 8192)
    sys.stdout.write(f"{timing.machine()}; bfloat16 products of 8192: {peak / 1e12:.0f} Tflop/s\n\n")
    rows = [_row(dtype, batch, peak) for dtype in DTYPES for batch in _BATCHES]
    header = ["dtype", "batch", *pipeline.HEADER, "of the peak, %", "PyTorch, images/s", "torch.compile, images/s"]
    sys.stdout.write(timing.table(header, rows))
    sys.stdout.write(_coreset())


def _row(dtype: str, batch: int, peak: float) -> list[str]:
    encoder = encoders.create(_ENCODER, weights=weights.RANDOM, dtype=dtype)
    parts = pipeline.parts(encoder, methods.create("fastrecon"), batch) | _torch(encoder.stages, dtype, batch)
    found = timing.medians(timing.in_turn(parts, options.REPEATS.value, at_least=pipeline.TURN))
    theirs = [f"{batch / found[name]:.1f}" if name in found else "" for name in ("PyTorch", "torch.compile")]
    share = f"{100 * batch * _OPERATIONS / found['encoder'] / peak:.1f}"
    return [*pipeline.row([dtype, str(batch)], batch, found), share, *theirs]


def _torch(stages: tuple[str, ...], dtype: str, batch: int) -> dict[str, Callable[[], object]]:
    """The same network in PyTorch, channels_last, with autocast for bfloat16; nothing where PyTorch has no GPU."""
    try:
        import torch

        from benchmarks import torch_network
    except ModuleNotFoundError:
        return {}
    if not torch.cuda.is_available():
        return {}
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = dtype == "tfloat32"
    made = graph.trace(encoders.registration(_ENCODER).build(weights.Random(), stages), stages, _SIDE)
    module = torch_network.network(made).to("cuda", memory_format=torch.channels_last)
    images = torch.from_numpy(np.zeros((batch, 3, _SIDE, _SIDE), np.float32))
    images = images.to("cuda", memory_format=torch.channels_last)

    def part(network: Callable) -> Callable[[], object]:
        def call() -> None:
            with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=dtype == "bfloat16"):
                network(images)
            torch.cuda.synchronize()

        return call

    return {"PyTorch": part(module), "torch.compile": part(torch.compile(module))}


def _coreset() -> str:
    pool = jax.random.normal(jax.random.key(0), (_ROWS, _CHANNELS))
    m = coreset.size(_ROWS, _RATIO)
    choose = jax.jit(lambda rows: coreset.greedy_k_center(rows, m)).lower(pool).compile()
    found = timing.in_turn({"coreset": lambda: jax.block_until_ready(choose(pool))}, options.REPEATS.value)
    return f"\n{m} of {_ROWS} x {_CHANNELS} random rows: {timing.medians(found)['coreset']:.3f} s\n"
