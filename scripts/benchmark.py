"""Prints how fast the parts are on this machine; compares in turn and reports medians.

    python scripts/benchmark.py --suite=loader --data_dir=/data/mvtec_ad --category=bottle

Suites, in `scripts/benchmarks`:
    coreset: seconds of the greedy coreset, of the plain loop, and of numpy, scikit-learn and PyTorch loops.
    encoder: our encoders against PyTorch, ONNX Runtime and OpenVINO: images/s and peak memory, a process each.
    first: seconds of the whole command predict for one image and for all, beside a script of ONNX Runtime.
    fit: seconds and peak memory of the whole commands fit and extend, for `--good` images.
    gpu: `pipeline` for wide_resnet50_2 on an accelerator, against PyTorch, and the coreset of a full-shot pool.
    loader: images/s of reading, decoding and resizing alone, of the encoder alone, and of both together.
    peers: whole programs: PatchCore of anomalib (`--peer_python`), ours, and `fastrecon+`.
    pipeline: images/s of the encoder, of the scoring, and of both in one program, for `--methods`.
    predict: the whole command, with one device for all cores of a CPU and with one for each, for `--good` images.
    scale: what Ray costs: images/s, start and overhead for an image, for 1, 2 and 4 workers on this machine.
    start: seconds from the command to the first score, piece by piece.
"""

import importlib

from absl import flags
from benchmarks import options  # noqa: F401  # defines the flags

from fastrecon_jax.command_line import flags as command_line

_SUITES = ("coreset", "encoder", "first", "fit", "gpu", "loader", "peers", "pipeline", "predict", "scale", "start")
_SUITE = flags.DEFINE_enum("suite", "loader", _SUITES, "what to measure")


def main() -> None:
    """Run the suite asked for."""
    importlib.import_module(f"benchmarks.{_SUITE.value}").run()


if __name__ == "__main__":
    command_line.run(main)
