"""Export a part: `python -m fastrecon_jax.export --model=part.safetensors --format=onnx --output=part.onnx`."""

import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.exporting import export
from fastrecon_jax.inspection.config import ExportConfig


def main() -> None:
    """Build the settings from the flags and export the part."""
    export.export(flags.read(ExportConfig), tell=sys.stdout.write)


if __name__ == "__main__":
    flags.define(ExportConfig)
    flags.run(main)
