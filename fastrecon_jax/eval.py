"""`python -m fastrecon_jax.eval --shots=8`: evaluate methods on a data set."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.evaluation import run, setup
    from fastrecon_jax.evaluation.config import EvalConfig
    from fastrecon_jax.methods import presets
    from fastrecon_jax.runtime import compilation_cache

CONFIG = EvalConfig
PRESETS = presets.EVAL


def main() -> None:
    """Build the settings from the flags and evaluate."""
    config = flags.read(CONFIG)
    setup.divide_cpu(config)
    compilation_cache.enable()
    run.run(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main, PRESETS)
