"""Compare runs: `python -m fastrecon_jax.compare results/one results/two --output=comparison.html`."""

from fastrecon_jax.command_line import commands, flags
from fastrecon_jax.comparing import command
from fastrecon_jax.comparing.config import CompareConfig

CONFIG = CompareConfig


def main() -> None:
    """Build the settings from the flags and compare."""
    command.compare(flags.read(CONFIG), tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
