"""A page for trying it out: `python -m fastrecon_jax.demo`, then http://127.0.0.1:7860."""

from fastrecon_jax.command_line import collector, commands, flags

with collector.paused():
    from fastrecon_jax.runtime import compilation_cache
    from fastrecon_jax.serving import server
    from fastrecon_jax.serving.config import DemoConfig

CONFIG = DemoConfig


def main() -> None:
    """Build the settings from the flags and serve the page."""
    config = flags.read(CONFIG)
    compilation_cache.enable()
    server.serve(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
