"""Names of a transformer's stages: `block6`, `0.5`, `block12:normed`, `block7..block12:mean`, `block8+block12:concat`.

A layer is a block by its number from 1, or a share of the depth. Several layers are joined: by their mean, or channel
by channel. `normed` puts the network's last LayerNorm behind each layer; `class` takes, instead of features, the logits
of the class token's attention to the patches, one channel a head.
"""

import re
from typing import NamedTuple

MEAN, CONCAT, NORMED, CLASS = "mean", "concat", "normed", "class"
FORM = "blockN or a share of the depth, alone, as A..B or as A+B+C with :mean or :concat; then :normed or :class"
_SHARE = re.compile(r"(0?\.\d+|1(\.0+)?)", re.ASCII)


class Layers(NamedTuple):
    """What a stage is made of.

    Attributes:
        blocks: numbers of blocks, from 1, rising.
        join: `mean` or `concat`; empty for a single block.
        kind: `normed`, `class`, or empty for tokens as they leave the blocks.
    """

    blocks: tuple[int, ...]
    join: str = ""
    kind: str = ""

    @property
    def name(self) -> str:
        """The stage's name in one form, whichever way it was written: a run of blocks as A..B."""
        first, last = self.blocks[0], self.blocks[-1]
        if len(self.blocks) > 2 and self.blocks == tuple(range(first, last + 1)):
            blocks = f"block{first}..block{last}"
        else:
            blocks = "+".join(f"block{block}" for block in self.blocks)
        return ":".join(part for part in (blocks, self.join, self.kind) if part)


def read(text: str, depth: int) -> Layers | None:
    """The layers that a name means.

    Args:
        text: as a user wrote it.
        depth: number of blocks.

    Returns:
        The layers; None if the name has another form, or names a block that there is not.
    """
    joined, *words = text.split(":")
    blocks = _blocks(joined, depth)
    join = words.pop(0) if words and words[0] in (MEAN, CONCAT) else ""
    kind = words.pop(0) if words and words[0] in (NORMED, CLASS) else ""
    # Several blocks are joined in one of two ways, a single one in none; attention is that of single blocks.
    if not blocks or words or (len(blocks) > 1) != bool(join) or (kind == CLASS and len(blocks) > 1):
        return None
    return Layers(blocks, join, kind)


def canonical(text: str, *, depth: int) -> tuple[str, str] | None:
    """The one form of a stage's name, and the block that it ends with.

    Args:
        text: as a user wrote it.
        depth: number of blocks.

    Returns:
        Both; None if it is no name of a stage.
    """
    layers = read(text, depth)
    return layers and (layers.name, f"block{layers.blocks[-1]}")


def _blocks(text: str, depth: int) -> tuple[int, ...]:
    """Numbers of blocks, rising, none twice; empty where the text is none of the forms."""
    ends = text.split("..")
    if len(ends) == 2:
        first, last = (_block(end, depth) for end in ends)
        return tuple(range(first, last + 1)) if first and last and first < last else ()
    blocks = [_block(part, depth) for part in text.split("+")]
    return tuple(sorted(blocks)) if all(blocks) and len(set(blocks)) == len(blocks) else ()


def _block(text: str, depth: int) -> int:
    """The number of a block; 0 if there is none of that name."""
    if _SHARE.fullmatch(text) and float(text) > 0:
        return max(round(float(text) * depth), 1)
    number = re.fullmatch(r"block([1-9]\d{0,3})", text, re.ASCII)
    return int(number[1]) if number and int(number[1]) <= depth else 0


def thirds(depth: int) -> tuple[int, int, int]:
    """The last blocks of the thirds of the upper half: 8, 10 and 12 of 12.

    Args:
        depth: number of blocks.

    Returns:
        Numbers of blocks, from 1.
    """
    lower, middle = (round(depth * (0.5 + j / 6)) for j in (1, 2))
    return lower, middle, depth
