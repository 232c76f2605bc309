"""The same network and weights in PyTorch and in ONNX Runtime."""

from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.graph import Graph, Node


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

    simple = {"relu": F.relu, "relu6": F.relu6, "add": torch.add, "max_pool": lambda x: F.max_pool2d(x, 3, 2, 1)}

    class Module(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = torch.nn.ModuleDict(
                {str(i): conv(node) for i, node in enumerate(graph.nodes) if node.kind == "conv"}
            )

        def forward(self, image):
            values = [image]
            for i, node in enumerate(graph.nodes):
                operation = self.convs[str(i)] if node.kind == "conv" else simple[node.kind]
                values.append(operation(*(values[j] for j in node.inputs)))
            return tuple(values[i] for i in graph.outputs)

    return Module().eval()


def onnx_session(graph: Graph, threads: int) -> Callable[[np.ndarray], list[np.ndarray]]:
    """Images (b, 3, H, W) to a list of stages, by an ONNX Runtime session with its own optimisations."""
    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    nodes, weights = [], []
    for i, node in enumerate(graph.nodes, 1):
        inputs, output = [f"x{j}" for j in node.inputs], [f"x{i}"]
        if node.kind == "conv":
            names = [f"kernel{i}", f"bias{i}"]
            weights += [numpy_helper.from_array(a, n) for a, n in zip((node.kernel, node.bias), names, strict=True)]
            pads = list(node.padding)
            nodes.append(
                helper.make_node(
                    "Conv", inputs + names, output, strides=[node.stride] * 2, pads=pads, group=node.groups
                )
            )
        elif node.kind == "max_pool":
            nodes.append(
                helper.make_node("MaxPool", inputs, output, kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])
            )
        elif node.kind == "relu6":
            nodes.append(helper.make_node("Clip", [*inputs, "zero", "six"], output))
        else:
            nodes.append(helper.make_node(node.kind.capitalize(), inputs, output))
    weights += [numpy_helper.from_array(np.float32(value), name) for name, value in (("zero", 0), ("six", 6))]
    made = helper.make_graph(
        nodes,
        "encoder",
        [helper.make_tensor_value_info("x0", TensorProto.FLOAT, ["b", 3, "h", "w"])],
        [
            helper.make_tensor_value_info(f"x{i}", TensorProto.FLOAT, ["b", f"c{i}", f"h{i}", f"w{i}"])
            for i in graph.outputs
        ],
        weights,
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), sess_options=options, providers=["CPUExecutionProvider"]
    )
    return lambda image: session.run(None, {"x0": image})
