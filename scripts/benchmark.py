"""Prints how fast the parts are on this machine; compares in turn and reports medians.

    python scripts/benchmark.py --suite=loader --data_dir=/data/mvtec_ad --category=bottle

Suite `loader`: images/s of reading, decoding and resizing alone, of the encoder alone, and of both together, in turn.
"""

import itertools
import os
import statistics
import sys
import time
from collections.abc import Callable

import jax
import jax.numpy as jnp
from absl import flags

from fastrecon_jax import detector, encoders, encoding
from fastrecon_jax import flags as command_line
from fastrecon_jax.config import EvalConfig
from fastrecon_jax.data import datasets, loader
from fastrecon_jax.errors import InputError

_SUITE = flags.DEFINE_enum("suite", "loader", ["loader"], "what to measure")
_DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_string("category", "", "of the data; by default the first")
_ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "of the encoder; by default its pretrained ones")
_BATCH_SIZE = flags.DEFINE_integer("batch_size", 8, "images in a batch")
_THREADS = flags.DEFINE_integer("threads", 0, "that decode; 0 for one a processor")
_REPEATS = flags.DEFINE_integer("repeats", 5, "rounds of which the median is taken", lower_bound=1)


def rates(parts: dict[str, Callable[[], int]], repeats: int) -> dict[str, list[float]]:
    """Run the parts in turn, after one round that does not count.

    Args:
        parts: by name; each does its work and returns the number of images.
        repeats: rounds that count.

    Returns:
        Images/s of each part in each round.
    """
    found = {name: [] for name in parts}
    for i, (name, part) in itertools.product(range(repeats + 1), parts.items()):
        start = time.perf_counter()
        images = part()
        if i:
            found[name].append(images / (time.perf_counter() - start))
    return found


def loader_suite() -> None:
    """Measure the loader, the encoder and both."""
    dataset = datasets.open_dataset(_DATASET.value, _DATA_DIR.value)
    name = _CATEGORY.value or dataset.categories[0]
    (name,) = datasets.select(dataset, (name,))
    images = dataset.open_category(name).test
    encoder = encoders.create(_ENCODER.value, weights=_WEIGHTS.value)
    programs = detector.create(encoder, [], map_size=224)
    config = EvalConfig(batch_size=_BATCH_SIZE.value)
    batch = jnp.zeros((config.batch_size, config.crop_size, config.crop_size, 3), jnp.uint8)
    sizes = {"image_size": config.image_size, "crop_size": config.crop_size, "threads": _THREADS.value}

    def load() -> int:
        return sum(one.count for one in loader.batches(images, batch_size=config.batch_size, **sizes))

    def encode() -> int:
        for _ in range(0, len(images), config.batch_size):
            encoding.timed(programs.encode, programs.params, batch)
        return -(-len(images) // config.batch_size) * config.batch_size

    def both() -> int:
        for one in loader.batches(images, batch_size=config.batch_size, **sizes):
            encoding.timed(programs.encode, programs.params, jnp.asarray(one.images))
        return len(images)

    measured = rates({"decode + resize": load, "encoder": encode, "together": both}, _REPEATS.value)
    medians = {part: statistics.median(values) for part, values in measured.items()}
    slower = min(medians["decode + resize"], medians["encoder"])
    shared = 1 / (1 / medians["decode + resize"] + 1 / medians["encoder"])
    lines = [
        f"{os.cpu_count()} processors, {jax.devices()[0].device_kind}, {encoder.name}, batch {config.batch_size}, "
        f"{_THREADS.value or os.cpu_count()} decoding threads, {len(images)} images of {dataset.name}/{name}, "
        f"median of {_REPEATS.value} (least to most)",
        *(f"{part:16} {medians[part]:7.1f} images/s  ({min(v):.1f} to {max(v):.1f})" for part, v in measured.items()),
        f"together / slower alone                        {medians['together'] / slower:.2f}",
        f"together / bound if both share the processors  {medians['together'] / shared:.2f}",
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def main() -> None:
    """Run the suite asked for."""
    if _BATCH_SIZE.value < 1 or _THREADS.value < 0:
        raise InputError("--batch_size must be at least 1 and --threads at least 0")
    {"loader": loader_suite}[_SUITE.value]()


if __name__ == "__main__":
    command_line.run(main)
