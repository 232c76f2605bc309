"""`python -m fastrecon_jax.eval --shots=8`: evaluate a method on a data set."""

import sys

from fastrecon_jax.command_line import flags
from fastrecon_jax.evaluation import run
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.runtime import compilation_cache


def main() -> None:
    """Build the settings from the flags and evaluate."""
    config = flags.read(EvalConfig)
    compilation_cache.enable()
    run.run(config, tell=_tell)


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # into a log file too: a process that waits for others has said so


if __name__ == "__main__":
    flags.define(EvalConfig)
    flags.run(main)
