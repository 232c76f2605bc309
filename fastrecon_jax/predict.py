"""Inspect images: `python -m fastrecon_jax.predict --model=part.safetensors --images='new/*.png' --output_dir=out`."""

import signal
import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.inspection import predict
from fastrecon_jax.inspection.config import PredictConfig
from fastrecon_jax.runtime import compilation_cache


def main() -> int:
    """Build the settings from the flags and inspect; see docs/reference/commands.md for the exit codes."""
    config = flags.read(PredictConfig)
    compilation_cache.enable()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a service manager is as by Ctrl-C
    return predict.predict(config, tell=_tell)


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


if __name__ == "__main__":
    flags.define(PredictConfig)
    flags.run(main)
