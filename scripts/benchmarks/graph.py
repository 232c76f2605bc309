"""An encoder as a list of operations, from which the same network is made for PyTorch and as an ONNX file."""

import math
from collections.abc import Sequence

import numpy as np
from flax import nnx

from benchmarks.network import Graph, Node
from fastrecon_jax.encoders.convolution import PADDINGS, Convolution
from fastrecon_jax.encoders.families import convnext
from fastrecon_jax.encoders.families.efficientnet import EfficientNetLite
from fastrecon_jax.encoders.families.resnet import ResNet
from fastrecon_jax.encoders.layers import LayerNorm
from fastrecon_jax.encoders.transformer import positions
from fastrecon_jax.encoders.transformer.layers import Linear
from fastrecon_jax.encoders.transformer.stage_names import NORMED
from fastrecon_jax.encoders.transformer.vision_transformer import VisionTransformer
from fastrecon_jax.errors import InputError


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

    def linear(self, layer: Linear | Convolution, x: int) -> int:
        kernel, bias = (np.asarray(part[...]) for part in (layer.kernel, layer.bias))
        return self.each("linear", x, kernel=kernel.reshape(kernel.shape[-2:]), bias=bias)

    def norm(self, layer: LayerNorm, x: int) -> int:
        scale, bias = (np.asarray(part[...]) for part in (layer.scale, layer.bias))
        return self.each("layer_norm", x, kernel=scale, bias=bias, epsilon=layer.epsilon)

    def scaled(self, scale: nnx.Param, x: int) -> int:
        return self.each("scale", x, kernel=np.asarray(scale[...]))

    def each(self, kind: str, x: int, **values: object) -> int:
        return self._append(Node(kind, (x,), **values), self.sides[x])

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


def _convnext(tracer: _Tracer, module: convnext.ConvNeXt) -> dict[str, int]:
    if module.norm is not None:
        raise InputError("the last stage of a DINOv3 ConvNeXt cannot be compared with other programs")
    x, outputs = 0, {}
    for name, stage in zip(convnext.STAGES, module.stages, strict=False):
        if stage.first:
            x = tracer.conv(stage.reduce, x)
        x = tracer.each("to_first", tracer.norm(stage.norm, tracer.each("to_last", x)))
        if not stage.first:
            x = tracer.conv(stage.reduce, x)
        for block in stage.blocks:
            y = tracer.norm(block.norm, tracer.each("to_last", tracer.conv(block.depthwise, x)))
            y = tracer.linear(block.project, tracer.each("gelu", tracer.linear(block.expand, y)))
            x = tracer.add("add", x, tracer.each("to_first", tracer.scaled(block.scale, y)))
        ones = np.ones(stage.blocks[-1].scale[...].shape, np.float32)
        standardised = tracer.each(
            "layer_norm", tracer.each("to_last", x), kernel=ones, bias=np.zeros_like(ones), epsilon=convnext.EPSILON
        )
        outputs[name] = tracer.each("to_first", standardised)
    return outputs


def _transformer(tracer: _Tracer, module: VisionTransformer) -> dict[str, int]:
    shape = module.shape
    if not shape.table or shape.gated or any(len(layers.blocks) > 1 for _, layers in module.wanted):
        raise InputError("rotary positions, gated MLPs and joined stages cannot be compared with other programs")
    size, side = shape.patch, tracer.sides[0] // shape.patch
    kernel = np.asarray(module.patches.kernel[...]).reshape(size, size, 3, shape.width).transpose(3, 2, 0, 1)
    bias = np.asarray(module.patches.bias[...])
    x = tracer.each("conv", 0, kernel=np.ascontiguousarray(kernel), bias=bias, stride=size)
    place = np.asarray(positions.resample(module.positions[...], side, side, way=module.way))
    x = tracer.each("tokens", x, kernel=np.asarray(module.tokens[...]), bias=place.reshape(1, side**2, -1))
    outputs = {}
    for number, block in enumerate(module.blocks, start=1):
        y = tracer.linear(block.attn.qkv, tracer.norm(block.norm1, x))
        y = tracer.linear(block.attn.proj, tracer.each("attention", y, groups=shape.heads))
        x = tracer.add("add", x, tracer.scaled(block.gamma1, y))
        y = tracer.each("gelu", tracer.linear(block.mlp.fc1, tracer.norm(block.norm2, x)))
        x = tracer.add("add", x, tracer.scaled(block.gamma2, tracer.linear(block.mlp.fc2, y)))
        for name, layers in module.wanted:
            if layers.blocks == (number,):
                patches = tracer.each("patches", x, groups=1 + shape.registers)
                normed = layers.kind == NORMED
                outputs[name] = tracer.norm(module.norm, patches) if normed else patches
    return outputs


_TRACED = {
    ResNet: _resnet,
    EfficientNetLite: _efficientnet,
    convnext.ConvNeXt: _convnext,
    VisionTransformer: _transformer,
}
