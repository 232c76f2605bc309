"""The same network and weights in PyTorch and as an ONNX file, which ONNX Runtime and OpenVINO read."""

from typing import Any

import numpy as np

from benchmarks.network import Graph, Node


def torch_module(graph: Graph) -> Any:
    """A PyTorch module that maps images (b, 3, H, W) to a tuple of stages."""
    import torch
    import torch.nn.functional as F  # noqa: N812

    def conv(node: Node) -> torch.nn.Module:
        top, left, bottom, right = node.padding
        layer = torch.nn.Conv2d(
            node.kernel.shape[1] * node.groups,
            node.kernel.shape[0],
            node.kernel.shape[2],
            stride=node.stride,
            padding=(top, left) if (top, left) == (bottom, right) else 0,
            groups=node.groups,
        )
        layer.weight.data, layer.bias.data = torch.from_numpy(node.kernel), torch.from_numpy(node.bias.copy())
        if (top, left) == (bottom, right):
            return layer
        return torch.nn.Sequential(torch.nn.ZeroPad2d((left, right, top, bottom)), layer)

    def tokens(x: torch.Tensor, first: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        return torch.cat([first.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2) + place], dim=1)

    def attention(x: torch.Tensor, heads: int) -> torch.Tensor:
        b, n, c = x.shape
        queries, keys, values = x.reshape(b, n, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4)
        # The queries are scaled by their weights.
        return F.scaled_dot_product_attention(queries, keys, values, scale=1.0).transpose(1, 2).flatten(2)

    simple = {
        "relu": F.relu,
        "relu6": F.relu6,
        "add": torch.add,
        "max_pool": lambda x: F.max_pool2d(x, 3, 2, 1),
        "to_last": lambda x: x.permute(0, 2, 3, 1),
        "to_first": lambda x: x.permute(0, 3, 1, 2),
        "gelu": F.gelu,
        "scale": torch.mul,
        "linear": F.linear,
        "tokens": tokens,
    }

    def operation(node: Node) -> Any:
        if node.kind == "layer_norm":
            return lambda x, scale, bias: F.layer_norm(x, scale.shape, scale, bias, node.epsilon)
        if node.kind == "attention":
            return lambda x: attention(x, node.groups)
        if node.kind == "patches":
            return lambda x: x[:, node.groups :]
        return simple[node.kind]

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = torch.nn.ModuleDict(
                {str(i): conv(node) for i, node in enumerate(graph.nodes) if node.kind == "conv"}
            )
            self.operations = [operation(node) if node.kind != "conv" else None for node in graph.nodes]
            for i, node in enumerate(graph.nodes):
                if node.kind != "conv":
                    for name, value in (("kernel", node.kernel), ("bias", node.bias)):
                        # torch multiplies with the transposed matrix, which lies in memory as a checkpoint has it.
                        value = value.T if node.kind == "linear" and name == "kernel" else value
                        kept = None if value is None else torch.from_numpy(np.array(value, order="C"))
                        self.register_buffer(f"{name}{i}", kept)

        def forward(self, image):
            values = [image]
            for i, (node, apply) in enumerate(zip(graph.nodes, self.operations, strict=True)):
                inputs = [values[j] for j in node.inputs]
                if node.kind == "conv":
                    values.append(self.convs[str(i)](*inputs))
                else:
                    weights = [getattr(self, f"{name}{i}") for name in ("kernel", "bias")]
                    values.append(apply(*inputs, *(weight for weight in weights if weight is not None)))
            return tuple(values[i] for i in graph.outputs)

    return Module().eval()


class _Model:
    """Collects the operations and weights of an ONNX file."""

    def __init__(self):
        self.nodes, self.weights = [], {"zero": np.float32(0), "six": np.float32(6)}

    def add(self, kind: str, inputs: list[str], output: str, **attributes: object) -> str:
        from onnx import helper

        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weight(self, name: str, value: np.ndarray) -> str:
        self.weights[name] = value
        return name


def onnx_file(graph: Graph) -> bytes:
    """An ONNX file with the input x0, images (b, 3, H, W), and a stage for each output."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

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
    from onnx import helper

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
