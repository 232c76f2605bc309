"""`scripts/prepare_data.py --dataset=mvtec_ad --manual_dir=DOWNLOADS`: a published data set to array_record, once.

It needs no TensorFlow.
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from fastrecon_jax import files  # noqa: E402
from fastrecon_jax.command_line import flags  # noqa: E402
from fastrecon_jax.data.tfds import prepare  # noqa: E402
from fastrecon_jax.data.tfds.config import PrepareConfig  # noqa: E402


def main() -> None:
    """Build the settings from the flags, prepare, and say where the data are."""
    config = flags.read(PrepareConfig)
    done = prepare.run(config, builders=ROOT / "datasets", tell=sys.stdout.write)
    data_dir = files.expanded(config.data_dir)
    sys.stdout.write(
        f"\n{len(done)} categories are in {data_dir}; to evaluate one set:\n"
        f"python -m fastrecon_jax.eval --dataset={done[0].parents[1].name} --data_dir={data_dir}\n"
    )


if __name__ == "__main__":
    flags.define(PrepareConfig)
    flags.run(main)
