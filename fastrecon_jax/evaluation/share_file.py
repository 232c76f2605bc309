"""The scores of some test images of a category in a file, for the process that puts all of them together."""

import json
from pathlib import Path

import numpy as np
import safetensors

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation.shares import Key, Scored, Share


def write(file: Path, share: Share) -> None:
    """Write a share, whole or not at all; InputError where it cannot be written."""
    arrays = {"masks": share.masks}
    for i, scored in enumerate(share.scored.values()):
        arrays |= {f"patches {i}": scored.patches, f"images {i}": scored.images}
    seconds = [[*key, scored.fit_seconds, scored.score_seconds] for key, scored in share.scored.items()]
    files.write_arrays(file, arrays, {"scored": json.dumps(seconds)})


def read(file: Path) -> Share:
    """The share in a file; InputError where it cannot be read."""
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            scored = {
                Key(method, shots): Scored(
                    opened.get_tensor(f"patches {i}"), opened.get_tensor(f"images {i}"), fit_seconds, score_seconds
                )
                for i, (method, shots, fit_seconds, score_seconds) in enumerate(json.loads(opened.metadata()["scored"]))
            }
            return Share(np.asarray(opened.get_tensor("masks"), bool), scored)
    except (OSError, safetensors.SafetensorError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{file} cannot be read, remove it: {error}") from None
