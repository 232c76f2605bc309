"""`python -m fastrecon_jax.eval --shots=8`: evaluate a method on a data set."""

import sys

from fastrecon_jax import compilation_cache, evaluation, flags
from fastrecon_jax.config import EvalConfig


def main() -> None:
    """Build the settings from the flags and evaluate."""
    config = flags.read(EvalConfig)
    compilation_cache.enable()
    evaluation.run(config, tell=_tell)


def _tell(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # into a log file too: a process that waits for others has said so


if __name__ == "__main__":
    flags.define(EvalConfig)
    flags.run(main)
