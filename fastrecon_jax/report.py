"""Report what a part finds, from good images alone: `python -m fastrecon_jax.report --model=part.safetensors`."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.reporting import command
    from fastrecon_jax.reporting.config import ReportConfig
    from fastrecon_jax.runtime import compilation_cache

CONFIG = ReportConfig


def main() -> None:
    """Build the settings from the flags and write the page."""
    config = flags.read(CONFIG)
    compilation_cache.enable()
    command.report(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
