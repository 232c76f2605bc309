"""The same network and weights as an ONNX file, for ONNX Runtime and OpenVINO; importing this needs onnx."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from benchmarks.network import Graph, Node


class _Model:
    """Collects the operations and weights of an ONNX file."""

    def __init__(self):
        self.nodes, self.weights = [], {"zero": np.float32(0), "six": np.float32(6)}

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weight(self, name: str, value: np.ndarray) -> str:
        self.weights[name] = value
        return name


def file(graph: Graph) -> bytes:
    """An ONNX file with the input x0, images (b, 3, H, W), and a stage for each output."""
    model = _Model()
    for i, node in enumerate(graph.nodes, 1):
        _ADDED.get(node.kind, _simple)(model, node, [f"x{j}" for j in node.inputs], f"x{i}")
    axes = "nc" if any(node.kind == "tokens" for node in graph.nodes) else "chw"
    made = helper.make_graph(
        model.nodes,
        "encoder",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, ["b", *(f"{axis}{i}" for axis in axes)])
            for i in graph.outputs
        ],
        [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in model.weights.items()],
    )
    whole = helper.make_model(made, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(whole)
    return whole.SerializeToString()


def _simple(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    kinds = {"to_last": "Transpose", "to_first": "Transpose"}
    axes = {"to_last": {"perm": [0, 2, 3, 1]}, "to_first": {"perm": [0, 3, 1, 2]}}
    model.add(kinds.get(node.kind, node.kind.capitalize()), inputs, output, **axes.get(node.kind, {}))


def _conv(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    weights = [model.weight(f"kernel_{output}", node.kernel), model.weight(f"bias_{output}", node.bias)]
    shape = {"strides": [node.stride] * 2, "pads": list(node.padding), "group": node.groups}
    model.add("Conv", inputs + weights, output, **shape)


def _linear(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    product = model.add("MatMul", [*inputs, model.weight(f"kernel_{output}", node.kernel)], f"product_{output}")
    model.add("Add", [product, model.weight(f"bias_{output}", node.bias)], output)


def _layer_norm(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    weights = [model.weight(f"scale_{output}", node.kernel), model.weight(f"bias_{output}", node.bias)]
    model.add("LayerNormalization", inputs + weights, output, axis=-1, epsilon=node.epsilon)


def _tokens(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    b, c = "b_" + output, node.kernel.shape[2]
    flat = model.weight(f"flat_{output}", np.array([0, c, -1]))
    x = model.add("Reshape", [*inputs, flat], f"flattened_{output}")
    x = model.add("Transpose", [x], f"rows_{output}", perm=[0, 2, 1])
    x = model.add("Add", [x, model.weight(f"place_{output}", node.bias)], f"placed_{output}")
    model.add("Shape", inputs, b, start=0, end=1)
    size = model.weight(f"size_{output}", np.array(node.kernel.shape[1:]))
    shape = model.add("Concat", [b, size], f"shape_{output}", axis=0)
    first = model.add("Expand", [model.weight(f"first_{output}", node.kernel), shape], f"firsts_{output}")
    model.add("Concat", [first, x], output, axis=1)


def _attention(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    names = [f"{name}_{output}" for name in ("queries", "keys", "values")]
    model.nodes.append(helper.make_node("Split", inputs, names, axis=-1, num_outputs=3))
    split, joined = (
        model.weight("by_head", np.array([0, 0, node.groups, -1])),
        model.weight("flat", np.array([0, 0, -1])),
    )
    queries, keys, values = (
        model.add("Transpose", [model.add("Reshape", [name, split], f"split_{name}")], f"moved_{name}", perm=axes)
        for name, axes in zip(names, ([0, 2, 1, 3], [0, 2, 3, 1], [0, 2, 1, 3]), strict=True)
    )
    weights = model.add("Softmax", [model.add("MatMul", [queries, keys], f"logits_{output}")], f"w_{output}", axis=-1)
    mixed = model.add("MatMul", [weights, values], f"mixed_{output}")
    model.add("Reshape", [model.add("Transpose", [mixed], f"back_{output}", perm=[0, 2, 1, 3]), joined], output)


def _patches(model: _Model, node: Node, inputs: list[str], output: str) -> None:
    numbers = {"start": node.groups, "end": 2**31 - 1, "axis": 1}
    ends = [model.weight(f"{name}_{output}", np.array([value])) for name, value in numbers.items()]
    model.add("Slice", [*inputs, *ends], output)


_ADDED = {
    "conv": _conv,
    "linear": _linear,
    "layer_norm": _layer_norm,
    "tokens": _tokens,
    "attention": _attention,
    "patches": _patches,
    "relu6": lambda model, node, inputs, output: model.add("Clip", [*inputs, "zero", "six"], output),
    "scale": lambda model, node, inputs, output: model.add(
        "Mul", [*inputs, model.weight(f"scale_{output}", node.kernel)], output
    ),
    "max_pool": lambda model, node, inputs, output: model.add(
        "MaxPool", inputs, output, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]
    ),
}
