"""A published data set to array_record, once: `fastrecon prepare --dataset=mvtec_ad --manual_dir=DOWNLOADS`.

Needs no TensorFlow. The builders are those of the folder `datasets` of the checkout.
"""

from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.command_line import commands, flags
from fastrecon_jax.data.tfds import prepare
from fastrecon_jax.data.tfds.config import PrepareConfig

CONFIG = PrepareConfig
BUILDERS = Path(__file__).resolve().parents[3] / "datasets"


def main() -> None:
    """Build the settings from the flags, prepare, and say where the data are."""
    config = flags.read(CONFIG)
    done = prepare.run(config, builders=BUILDERS, tell=commands.tell)
    data_dir = files.expanded(config.data_dir)
    commands.tell(
        f"\n{len(done)} categories are in {data_dir}; to evaluate one set:\n"
        f"python -m fastrecon_jax.eval --dataset={done[0].parents[1].name} --data_dir={data_dir}\n"
    )


if __name__ == "__main__":
    commands.run(CONFIG, main)
