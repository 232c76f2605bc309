"""Add good photographs: `python -m fastrecon_jax.extend --model=part.safetensors --images='parts/more/*.png'`."""

import sys

from fastrecon_jax import compilation_cache, flags
from fastrecon_jax.parts import fitting
from fastrecon_jax.parts.config import ExtendConfig


def main() -> None:
    """Build the settings from the flags and extend the part."""
    config = flags.read(ExtendConfig)
    compilation_cache.enable()
    fitting.extend(config, tell=sys.stdout.write)


if __name__ == "__main__":
    flags.define(ExtendConfig)
    flags.run(main)
