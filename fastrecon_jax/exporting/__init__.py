"""A fitted part as one file that other programs run: `onnx` or `stablehlo`."""

from fastrecon_jax.exporting.files import FORMATS, Differences, export, load, probes, program, verify

__all__ = ["FORMATS", "Differences", "export", "load", "probes", "program", "verify"]
