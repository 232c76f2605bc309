"""A published data set to array_record, once: `scripts/prepare_data.py --dataset=mvtec_ad --manual_dir=DOWNLOADS`.

The same as `fastrecon prepare`, from a checkout that need not be installed.
"""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))

from fastrecon_jax.command_line import commands
from fastrecon_jax.data.tfds import command

if __name__ == "__main__":
    commands.run(command.CONFIG, command.main)
