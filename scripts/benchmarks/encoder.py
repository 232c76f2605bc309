"""Our encoders against PyTorch and ONNX Runtime: same network, same weights, same images, in turn."""

import os
import sys
from collections.abc import Callable, Sequence

import jax
import numpy as np

from benchmarks import graph, options, peers, timing
from fastrecon_jax import encoders
from fastrecon_jax.encoders import weights
from fastrecon_jax.encoders.encoder import normalise
from fastrecon_jax.runtime import compiler

_SIDE = 224
_OURS = "fastrecon_jax"
_TURN = 0.4  # seconds


def run() -> None:
    """Print images/s and ratios for each encoder and batch size."""
    sys.stdout.write(f"{timing.machine()}; images/s, medians of {options.REPEATS.value} turns of {_TURN} s\n\n")
    rows, names = [], None
    for name in options.ENCODERS.value:
        for batch in map(int, options.BATCHES.value):
            parts, errors = _parts(name, batch)
            seconds = timing.medians(timing.in_turn(parts, options.REPEATS.value, at_least=_TURN))
            names = list(parts)
            ratios = [f"{seconds[other] / seconds[_OURS]:.2f}" for other in names[1:]]
            rates = [f"{batch / seconds[part]:.1f}" for part in names]
            rows.append([name, str(batch), *rates, *ratios, f"{max(errors.values(), default=0):.0e}"])
            sys.stderr.write(f"{' '.join(rows[-1])}\n")
    header = ["encoder", "batch", *names, *(f"/ {other}" for other in names[1:]), "largest difference"]
    sys.stdout.write(timing.table(header, rows))


def _parts(name: str, batch: int) -> tuple[dict[str, Callable[[], object]], dict[str, float]]:
    """What is run in turn, and how far each is from ours, relative to the largest value of its stage."""
    encoder = encoders.create(name, weights=weights.RANDOM)
    images = np.random.default_rng(0).integers(0, 256, (batch, _SIDE, _SIDE, 3)).astype(np.uint8)
    normalised = np.asarray(normalise(images, encoder.registration.mean, encoder.registration.std))
    encode = compiler.jit(lambda encoder, images: encoder(images)).lower(encoder, images).compile()
    on_device = jax.device_put(images)
    parts = {_OURS: lambda: jax.block_until_ready(encode(encoder, on_device))}
    module = encoders.registration(name).build(weights.Random(), encoder.stages)
    made = graph.trace(module, encoder.stages, _SIDE)
    channels_first = np.ascontiguousarray(normalised.transpose(0, 3, 1, 2))
    parts |= _torch(made, channels_first)
    if session := _onnx(made):
        parts["ONNX Runtime"] = lambda: session(channels_first)
    ours = parts[_OURS]()
    return parts, {other: _difference(ours, part()) for other, part in parts.items() if other != _OURS}


def _torch(made: graph.Graph, images: np.ndarray) -> dict[str, Callable[[], object]]:
    try:
        import torch
    except ModuleNotFoundError:
        sys.stderr.write("without PyTorch, which is not installed\n")
        return {}
    torch.set_num_threads(os.cpu_count())

    def part(module: "torch.nn.Module", layout: "torch.memory_format") -> Callable[[], object]:
        placed, x = module.to(memory_format=layout), torch.from_numpy(images).to(memory_format=layout)

        def call():
            with torch.inference_mode():
                return placed(x)

        return call

    parts = {
        "PyTorch": part(peers.torch_module(made), torch.contiguous_format),
        "PyTorch channels_last": part(peers.torch_module(made), torch.channels_last),
    }
    if options.TORCH_COMPILE.value:
        parts["torch.compile"] = part(torch.compile(peers.torch_module(made)), torch.channels_last)
    return parts


def _onnx(made: graph.Graph) -> Callable[[np.ndarray], list[np.ndarray]] | None:
    try:
        return peers.onnx_session(made, os.cpu_count())
    except ModuleNotFoundError as error:
        sys.stderr.write(f"without ONNX Runtime: {error.name} is not installed\n")
        return None


def _difference(ours: Sequence[jax.Array], theirs: Sequence[np.ndarray]) -> float:
    pairs = [(np.asarray(a), np.asarray(b).transpose(0, 2, 3, 1)) for a, b in zip(ours, theirs, strict=True)]
    return max(float(np.abs(a - b).max() / np.abs(a).max()) for a, b in pairs)
