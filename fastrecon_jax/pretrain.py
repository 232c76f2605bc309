"""Meta-train an encoder on other categories: `python -m fastrecon_jax.pretrain --method=regad --leave_out=gear`."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.pretraining import run
    from fastrecon_jax.pretraining.config import PretrainConfig
    from fastrecon_jax.runtime import compilation_cache

CONFIG = PretrainConfig


def main() -> None:
    """Build the settings from the flags and train."""
    config = flags.read(CONFIG)
    compilation_cache.enable()
    run.run(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
