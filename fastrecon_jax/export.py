"""Export a part: `python -m fastrecon_jax.export --model=part.safetensors --format=onnx --output=part.onnx`."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.exporting import command
    from fastrecon_jax.exporting.config import ExportConfig

CONFIG = ExportConfig


def main() -> None:
    """Build the settings from the flags and export the part."""
    command.export(flags.read(CONFIG), tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
