"""Checkpoints of one network in several namings, all read by the names that its own authors gave."""

import math
import re
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from fastrecon_jax.encoders.weights import Source

ORIGINAL, HUGGING_FACE, TIMM = "original", "huggingface", "timm"
NOTHING = ""  # a part that a naming leaves out, because it is 0

# Names of the original, `{}` for the number of a block and without `.weight` and `.bias`, to those of the checkpoint;
# several are stacked along the first axis. What is not listed has the original's name.
Names = Mapping[str, str | tuple[str, ...]]


class Renamed:
    """A source of weights whose tensors have other names than those that are asked for.

    Attributes:
        source: by the names of the checkpoint.
        names: what these are.
    """

    def __init__(self, source: Source, names: Names):
        self.source = source
        self.names = names

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds all parts of a tensor."""
        return all(self.source.has(part) for part in parts(self.names, name) if part)

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """A tensor by the original's name, see `weights.Source`.

        Args:
            name: the original's.
            shape: what its shape is there.
            init: how it is drawn if weights are random.
            minimum: below which no value may lie.

        Returns:
            The tensor, of a floating type, put together from its parts.
        """
        found = parts(self.names, name)
        shape = (shape[0] // len(found), *shape[1:]) if len(found) > 1 else shape
        tensors = [
            self.source.tensor(part, shape, init=init, minimum=minimum) if part else np.zeros(shape, np.float32)
            for part in found
        ]
        return np.concatenate(tensors) if len(tensors) > 1 else tensors[0]


def parts(names: Names, name: str) -> tuple[str, ...]:
    """What a checkpoint calls a tensor, part by part.

    Args:
        names: of the original to those of the checkpoint.
        name: the original's.

    Returns:
        One name or more; `NOTHING` for a part that is 0.
    """
    number = re.search(r"(?<=\.)\d+(?=\.)", name)
    form = name.replace(f".{number[0]}.", ".{}.", 1) if number else name
    stem, dot, last = form.rpartition(".")
    if form in names:
        found, ending = names[form], ""
    elif dot and last in ("weight", "bias") and stem in names:
        found, ending = names[stem], f".{last}"
    else:
        return (name,)
    listed = (found,) if isinstance(found, str) else found
    return tuple(part and part.replace("{}", number[0] if number else "") + ending for part in listed)


def beyond(tensor: str, depth: int) -> bool:
    """Whether a tensor belongs to a block behind the first ones, or to the last LayerNorm, in any naming.

    Args:
        tensor: name in a checkpoint.
        depth: number of blocks that are built.

    Returns:
        True if nothing up to that block reads it.
    """
    block = re.match(r"(?:encoder\.layer|model\.layer|layer|blocks)\.(\d+)\.", tensor, re.ASCII)
    last = tensor.rpartition(".")[0] in ("norm", "layernorm")
    return last if block is None else int(block[1]) >= depth
