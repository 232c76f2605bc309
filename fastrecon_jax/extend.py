"""Add good photographs: `python -m fastrecon_jax.extend --model=part.safetensors --images='parts/more/*.png'`."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.inspection import extend
    from fastrecon_jax.inspection.config import ExtendConfig
    from fastrecon_jax.runtime import compilation_cache

CONFIG = ExtendConfig


def main() -> None:
    """Build the settings from the flags and extend the part."""
    config = flags.read(CONFIG)
    compilation_cache.enable()
    extend.extend(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
