"""Inspect images: `python -m fastrecon_jax.predict --model=part.safetensors --images='new/*.png' --output_dir=out`."""

import signal

from fastrecon_jax.command_line import collector, commands, flags
from fastrecon_jax.inspection.predict_config import PredictConfig

CONFIG = PredictConfig


def main() -> int:
    """Build the settings from the flags and inspect; the exit code is 3 if some images could not be read."""
    config = flags.read(CONFIG)
    with collector.paused():
        from fastrecon_jax.inspection import predict  # not above: --help and refused flags need none of it
        from fastrecon_jax.runtime import compilation_cache, cpu

    compilation_cache.enable()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a service manager is as by Ctrl-C
    if config.engine_cluster:
        from fastrecon_jax.batch import cluster  # pyarrow, which nothing else here needs

        return cluster.predict(config, tell=commands.tell)
    cpu.divide(cpu.ONE if config.watch else config.cpu_devices, most=config.batch_size)
    return predict.predict(config, tell=commands.tell)


if __name__ == "__main__":
    commands.run(CONFIG, main)
