"""A page for trying it out: `python -m fastrecon_jax.demo`, then http://127.0.0.1:7860."""

import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.inspection.config import DemoConfig
from fastrecon_jax.runtime import compilation_cache
from fastrecon_jax.serving import server


def main() -> None:
    """Build the settings from the flags and serve the page."""
    config = flags.read(DemoConfig)
    compilation_cache.enable()
    server.serve(config, tell=_tell)


def _tell(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


if __name__ == "__main__":
    flags.define(DemoConfig)
    flags.run(main)
