"""Add good photographs: `python -m fastrecon_jax.extend --model=part.safetensors --images='parts/more/*.png'`."""

import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.inspection import fit
from fastrecon_jax.inspection.config import ExtendConfig
from fastrecon_jax.runtime import compilation_cache


def main() -> None:
    """Build the settings from the flags and extend the part."""
    config = flags.read(ExtendConfig)
    compilation_cache.enable()
    fit.extend(config, tell=sys.stdout.write)


if __name__ == "__main__":
    flags.define(ExtendConfig)
    flags.run(main)
