"""Reading, decoding and resizing alone, the encoder alone, and both together."""

import os
import sys

import jax.numpy as jnp

from benchmarks import options, timing
from fastrecon_jax import encoders
from fastrecon_jax.data import datasets, loader
from fastrecon_jax.evaluation import encoding, programs
from fastrecon_jax.evaluation.config import EvalConfig


def run() -> None:
    """Print images/s of the loader, the encoder and both."""
    dataset = datasets.open_dataset(options.DATASET.value, options.DATA_DIR.value)
    name = options.CATEGORY.value or dataset.categories[0]
    (name,) = datasets.select(dataset, (name,))
    images = dataset.open_category(name).test
    encoder = encoders.create(options.ENCODER.value, weights=options.WEIGHTS.value)
    compiled = programs.create(encoder, [], map_size=224)
    config = EvalConfig(batch_size=options.BATCH_SIZE.value)
    batch = jnp.zeros((config.batch_size, config.crop_size, config.crop_size, 3), jnp.uint8)
    how = {"batch_size": config.batch_size, "threads": options.THREADS.value}

    def load() -> None:
        for _ in loader.batches(images, config.preprocessing, **how):
            pass

    def encode() -> None:
        for _ in range(0, len(images), config.batch_size):
            encoding.timed(compiled.encode, compiled.encoder, batch)

    def both() -> None:
        for one in loader.batches(images, config.preprocessing, **how):
            encoding.timed(compiled.encode, compiled.encoder, jnp.asarray(one.images))

    counts = {
        "decode + resize": len(images),
        "encoder": -(-len(images) // config.batch_size) * config.batch_size,
        "together": len(images),
    }
    found = timing.in_turn(dict(zip(counts, (load, encode, both), strict=True)), options.REPEATS.value)
    rates = {part: counts[part] / seconds for part, seconds in timing.medians(found).items()}
    slower = min(rates["decode + resize"], rates["encoder"])
    shared = 1 / (1 / rates["decode + resize"] + 1 / rates["encoder"])
    lines = [
        timing.machine(),
        f"{encoder.name}, batch {config.batch_size}, {options.THREADS.value or os.cpu_count()} decoding threads, "
        f"{len(images)} images of {dataset.name}/{name}, median of {options.REPEATS.value} (least to most)",
        *(
            f"{part:16} {rates[part]:7.1f} images/s  ({counts[part] / max(v):.1f} to {counts[part] / min(v):.1f})"
            for part, v in found.items()
        ),
        f"together / slower alone                        {rates['together'] / slower:.2f}",
        f"together / bound if both share the processors  {rates['together'] / shared:.2f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")
