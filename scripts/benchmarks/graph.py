"""An encoder as a list of operations, from which the same network is made for PyTorch and for ONNX Runtime."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from flax import nnx

from fastrecon_jax.encoders.convolution import PADDINGS, Convolution
from fastrecon_jax.encoders.families.efficientnet import EfficientNetLite
from fastrecon_jax.encoders.families.resnet import ResNet
from fastrecon_jax.errors import InputError


class Node(NamedTuple):
    """One operation.

    Attributes:
        kind: conv, relu, relu6, add or max_pool; all that follows `inputs` belongs to conv.
        inputs: numbers of the nodes it reads; 0 is the image.
        kernel: (d, c, kh, kw).
        bias: (d,).
        stride: the same along both axes.
        padding: rows and columns of zeros at the top, left, bottom and right.
        groups: into which channels are divided; as many as channels for a depthwise convolution.
    """

    kind: str
    inputs: tuple[int, ...]
    kernel: np.ndarray | None = None
    bias: np.ndarray | None = None
    stride: int = 1
    padding: tuple[int, int, int, int] = (0, 0, 0, 0)
    groups: int = 1


class Graph(NamedTuple):
    """A network.

    Attributes:
        nodes: in order; the i-th has the number i + 1.
        outputs: numbers of the stages.
    """

    nodes: tuple[Node, ...]
    outputs: tuple[int, ...]


class _Tracer:
    """Collects nodes and keeps the side of each result, on which TensorFlow's padding depends."""

    def __init__(self, side: int):
        self.nodes, self.sides = [], [side]

    def add(self, kind: str, *inputs: int) -> int:
        return self._append(Node(kind, inputs), self.sides[inputs[0]])

    def max_pool(self, x: int) -> int:
        return self._append(Node("max_pool", (x,)), math.ceil(self.sides[x] / 2))

    def conv(self, layer: Convolution, x: int) -> int:
        kernel, side = np.asarray(layer.kernel[...]), self.sides[x]
        size = kernel.shape[0]
        (top, bottom), (left, right) = PADDINGS[layer.padding](side, side, size, layer.stride)
        node = Node(
            "conv",
            (x,),
            np.ascontiguousarray(kernel.transpose(3, 2, 0, 1)),
            np.asarray(layer.bias[...]),
            layer.stride,
            (top, left, bottom, right),
            kernel.shape[3] if layer.depthwise else 1,
        )
        return self._append(node, (side + top + bottom - size) // layer.stride + 1)

    def _append(self, node: Node, side: int) -> int:
        self.nodes.append(node)
        self.sides.append(side)
        return len(self.nodes)


def trace(module: nnx.Module, stages: Sequence[str], side: int) -> Graph:
    """The operations of an encoder's module on images of `side` pixels, in the layout of PyTorch and ONNX.

    Raises:
        InputError: nobody has written down the operations of such a module.
    """
    kind = type(module)
    if kind not in _TRACED:
        names = ", ".join(known.__name__ for known in _TRACED)
        raise InputError(f"a {kind.__name__} cannot be compared with other programs: there are {names}")
    tracer = _Tracer(side)
    outputs = _TRACED[kind](tracer, module)
    return Graph(tuple(tracer.nodes), tuple(outputs[name] for name in stages))


def _resnet(tracer: _Tracer, module: ResNet) -> dict[str, int]:
    x = tracer.max_pool(tracer.add("relu", tracer.conv(module.conv1, 0)))
    outputs = {}
    for name, blocks in zip(("layer1", "layer2", "layer3", "layer4"), module.layers, strict=False):
        for block in blocks:
            y = x
            for layer in block.convolutions[:-1]:
                y = tracer.add("relu", tracer.conv(layer, y))
            shortcut = x if block.shortcut is None else tracer.conv(block.shortcut, x)
            x = tracer.add("relu", tracer.add("add", tracer.conv(block.convolutions[-1], y), shortcut))
        outputs[name] = x
    return outputs


def _efficientnet(tracer: _Tracer, module: EfficientNetLite) -> dict[str, int]:
    x = tracer.add("relu6", tracer.conv(module.stem, 0))
    outputs = {}
    for i, blocks in enumerate(module.stages, 1):
        for block in blocks:
            y = x if block.expand is None else tracer.add("relu6", tracer.conv(block.expand, x))
            y = tracer.conv(block.project, tracer.add("relu6", tracer.conv(block.filter, y)))
            x = tracer.add("add", x, y) if block.residual else y
        outputs[f"stage{i}"] = x
    return outputs


_TRACED = {ResNet: _resnet, EfficientNetLite: _efficientnet}
