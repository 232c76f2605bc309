"""Prints how fast the parts are on this machine; compares in turn and reports medians.

    python scripts/benchmark.py --suite=loader --data_dir=/data/mvtec_ad --category=bottle

Suites, in `scripts/benchmarks`:
    coreset: seconds of the greedy coreset, of the plain loop, and of numpy, scikit-learn and PyTorch loops.
    encoder: our encoders against PyTorch and ONNX Runtime, in images/s.
    loader: images/s of reading, decoding and resizing alone, of the encoder alone, and of both together.
"""

import importlib

from absl import flags
from benchmarks import options  # noqa: F401  # defines the flags

from fastrecon_jax import flags as command_line

_SUITE = flags.DEFINE_enum("suite", "loader", ["coreset", "encoder", "loader"], "what to measure")


def main() -> None:
    """Run the suite asked for."""
    importlib.import_module(f"benchmarks.{_SUITE.value}").run()


if __name__ == "__main__":
    command_line.run(main)
