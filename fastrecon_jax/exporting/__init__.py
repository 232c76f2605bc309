"""A fitted part as one file that other programs run: `onnx` or `stablehlo`."""

from fastrecon_jax.exporting.files import FORMATS, TOLERANCE, Differences, export, load, probes, verify

__all__ = ["FORMATS", "TOLERANCE", "Differences", "export", "load", "probes", "verify"]
