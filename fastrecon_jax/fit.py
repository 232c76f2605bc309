"""Fit a part: `python -m fastrecon_jax.fit --images='parts/good/*.png' --model=part.safetensors`."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.inspection import fit
    from fastrecon_jax.inspection.config import FitConfig
    from fastrecon_jax.methods import presets
    from fastrecon_jax.runtime import compilation_cache

CONFIG = FitConfig
PRESETS = presets.FIT


def main() -> None:
    """Build the settings from the flags and fit the part."""
    config = flags.read(CONFIG)
    compilation_cache.enable()
    fit.fit(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main, PRESETS)
