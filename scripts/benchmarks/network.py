"""A network as a list of operations: all that other programs need to be given of an encoder."""

from typing import NamedTuple

import numpy as np


class Node(NamedTuple):
    """One operation.

    Attributes:
        kind: conv, relu, relu6, add or max_pool of maps (b, c, h, w); to_last and to_first, between these and
            (b, h, w, c); over the last axis linear, layer_norm, gelu and scale; tokens, from (b, c, h, w) to (b, n, c),
            attention, from queries, keys and values side by side, and patches, which drops the first tokens.
        inputs: numbers of the nodes it reads; 0 is the image.
        kernel: (d, c, kh, kw) of conv; (c, d) of linear; (c,) of layer_norm and scale; the first tokens, (1, t, c).
        bias: (d,); of tokens the places of the patches, (1, n, c), or None.
        stride: the same along both axes.
        padding: rows and columns of zeros at the top, left, bottom and right.
        groups: into which channels are divided: as many as channels for a depthwise convolution; heads of attention;
            the tokens that patches drops.
        epsilon: of layer_norm.
    """

    kind: str
    inputs: tuple[int, ...]
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1
    epsilon: float = 0.0


class Graph(NamedTuple):
    """A network.

    Attributes:
        nodes: in order; the i-th has the number i + 1.
        outputs: numbers of the stages.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]
