"""Fit a part: `python -m fastrecon_jax.fit --images='parts/good/*.png' --model=part.safetensors`."""

import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.inspection import fit
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.runtime import compilation_cache


def main() -> None:
    """Build the settings from the flags and fit the part."""
    config = flags.read(FitConfig)
    compilation_cache.enable()
    fit.fit(config, tell=sys.stdout.write)


if __name__ == "__main__":
    flags.define(FitConfig)
    flags.run(main)
