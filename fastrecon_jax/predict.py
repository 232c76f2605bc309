"""Inspect images: `python -m fastrecon_jax.predict --model=part.safetensors --images='new/*.png' --output_dir=out`."""

import signal
import sys

from fastrecon_jax import compilation_cache, flags
from fastrecon_jax.parts import predicting
from fastrecon_jax.parts.config import PredictConfig


def main() -> int:
    """Build the settings from the flags and inspect; see docs/inspection.md for the exit codes."""
    config = flags.read(PredictConfig)
    compilation_cache.enable()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a service manager is as by Ctrl-C
    return predicting.predict(config, tell=_tell)


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    flags.define(PredictConfig)
    flags.run(main)
