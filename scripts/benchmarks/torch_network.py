"""The same network and weights in PyTorch; importing this needs PyTorch."""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812

from benchmarks.network import Graph, Node


def _conv(node: Node) -> torch.nn.Module:
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


def _tokens(x: torch.Tensor, first: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
    return torch.cat([first.expand(x.shape[0], -1, -1), x.flatten(2).transpose(1, 2) + place], dim=1)


def _attention(x: torch.Tensor, heads: int) -> torch.Tensor:
    b, n, c = x.shape
    queries, keys, values = x.reshape(b, n, 3, heads, c // (3 * heads)).permute(2, 0, 3, 1, 4)
    # The queries are scaled by their weights.
    return F.scaled_dot_product_attention(queries, keys, values, scale=1.0).transpose(1, 2).flatten(2)


# From a node to what is called with its inputs and weights.
_OPERATIONS: dict[str, Callable[[Node], Callable[..., torch.Tensor]]] = {
    "relu": lambda node: F.relu,
    "relu6": lambda node: F.relu6,
    "add": lambda node: torch.add,
    "max_pool": lambda node: lambda x: F.max_pool2d(x, 3, 2, 1),
    "to_last": lambda node: lambda x: x.permute(0, 2, 3, 1),
    "to_first": lambda node: lambda x: x.permute(0, 3, 1, 2),
    "gelu": lambda node: F.gelu,
    "scale": lambda node: torch.mul,
    "linear": lambda node: F.linear,
    "layer_norm": lambda node: lambda x, scale, bias: F.layer_norm(x, scale.shape, scale, bias, node.epsilon),
    "tokens": lambda node: _tokens,
    "attention": lambda node: lambda x: _attention(x, node.groups),
    "patches": lambda node: lambda x: x[:, node.groups :],
}


class Network(torch.nn.Module):
    """A module that maps images (b, 3, H, W) to a tuple of stages."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.graph = graph
        self.convs = torch.nn.ModuleDict({str(i): _conv(n) for i, n in enumerate(graph.nodes) if n.kind == "conv"})
        self.operations = [None if node.kind == "conv" else _OPERATIONS[node.kind](node) for node in graph.nodes]
        for i, node in enumerate(graph.nodes):
            if node.kind != "conv":
                # torch multiplies with the transposed matrix, which lies in memory as a checkpoint has it.
                kernel = node.kernel.T if node.kind == "linear" else node.kernel
                self._keep(f"kernel{i}", kernel)
                self._keep(f"bias{i}", node.bias)

    def _keep(self, name: str, value: np.ndarray | None) -> None:
        self.register_buffer(name, None if value is None else torch.from_numpy(np.array(value, order="C")))

    def forward(self, image: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Run all operations in turn."""
        values = [image]
        for i, node in enumerate(self.graph.nodes):
            inputs = [values[j] for j in node.inputs]
            if node.kind == "conv":
                values.append(self.convs[str(i)](*inputs))
            else:
                weights = (getattr(self, f"{name}{i}") for name in ("kernel", "bias"))
                values.append(self.operations[i](*inputs, *(weight for weight in weights if weight is not None)))
        return tuple(values[i] for i in self.graph.outputs)


def network(graph: Graph) -> Network:
    """The module of a network, for inference."""
    return Network(graph).eval()
