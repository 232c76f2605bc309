"""Fit a part: `python -m fastrecon_jax.fit --images='parts/good/*.png' --model=part.safetensors`."""

import sys

from fastrecon_jax import compilation_cache, flags
from fastrecon_jax.parts import fitting
from fastrecon_jax.parts.config import FitConfig


def main() -> None:
    """Build the settings from the flags and fit the part."""
    config = flags.read(FitConfig)
    compilation_cache.enable()
    fitting.fit(config, tell=sys.stdout.write)


if __name__ == "__main__":
    flags.define(FitConfig)
    flags.run(main)
