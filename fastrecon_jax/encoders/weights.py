"""From a checkpoint's tensors to an encoder's convolutions: strict names and shapes, BatchNorm folded in."""

import zlib
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from fastrecon_jax.errors import InputError

Folded = tuple[Float[np.ndarray, "kh kw c d"], Float[np.ndarray, " d"]]

_NORM_TENSORS = ("weight", "bias", "running_mean", "running_var")


@runtime_checkable
class Source(Protocol):
    """Where an encoder's constructor gets its weights, one convolution at a time."""

    def convolution(self, name: str, norm: str, shape: tuple[int, int, int, int]) -> Folded:
        """Kernel (kh, kw, c, d) and bias (d,) of a convolution and the BatchNorm behind it.

        Args:
            name: prefix of the convolution's tensors in the checkpoint.
            norm: prefix of the BatchNorm's tensors.
            shape: of the kernel in the checkpoint, (d, c, kh, kw).
        """
        ...


class Tensors:
    """A checkpoint, read strictly: problems are collected, and `finish` raises them all at once.

    Attributes:
        tensors: arrays by name.
        epsilon: added to the BatchNorm's variance.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray], *, epsilon: float):
        self.tensors = tensors
        self.epsilon = epsilon
        self._read: set[str] = set()
        self._missing: list[str] = []
        self._misshapen: list[str] = []
        self._unusable: list[str] = []

    def convolution(self, name: str, norm: str, shape: tuple[int, int, int, int]) -> Folded:
        """Fold a BatchNorm into its convolution, in float64. A checkpoint that is folded has a bias and no BatchNorm.

        kernel' = kernel * scale,  bias' = beta - mean * scale,  scale = gamma / sqrt(var + epsilon).

        Args:
            name: prefix of the convolution's tensors.
            norm: prefix of the BatchNorm's tensors.
            shape: of the kernel in the checkpoint, (d, c, kh, kw).

        Returns:
            Kernel (kh, kw, c, d) and bias (d,), float32; zeros where something does not fit.
        """
        kernel = self._tensor(f"{name}.weight", shape).transpose(2, 3, 1, 0)
        if f"{name}.bias" in self.tensors:
            return kernel.astype(np.float32), self._tensor(f"{name}.bias", shape[:1]).astype(np.float32)
        gamma, beta, mean, variance = (self._tensor(f"{norm}.{part}", shape[:1]) for part in _NORM_TENSORS)
        if (variance < 0).any():
            self._unusable.append(f"{norm}.running_var has values below 0")
            variance = np.abs(variance)
        scale = gamma / np.sqrt(variance + self.epsilon)
        return (kernel * scale).astype(np.float32), (beta - mean * scale).astype(np.float32)

    def _tensor(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        self._read.add(name)
        tensor = self.tensors.get(name)
        if tensor is None:
            self._missing.append(name)
        elif tensor.shape != shape:
            self._misshapen.append(f"{name} is {tensor.shape}, expected {shape}")
        elif tensor.dtype.kind != "f":
            self._unusable.append(f"{name} has the type {tensor.dtype}, expected floating point")
        elif not np.isfinite(tensor).all():
            self._unusable.append(f"{name} has values that are infinite or not a number")
        else:
            return tensor.astype(np.float64)
        return np.zeros(shape)

    def finish(self, *, source: str, encoder: str, may_be_unread: Callable[[str], bool]) -> None:
        """Raise everything that does not fit.

        Args:
            source: where the checkpoint came from, for the message.
            encoder: name of the encoder, for the message.
            may_be_unread: whether a tensor of that name belongs to the network beyond the encoder's last stage.

        Raises:
            InputError: tensors are missing, unexpected, of the wrong shape or without usable numbers; the message lists
                them all.
        """
        unexpected = [
            name
            for name in self.tensors
            if name not in self._read and not name.endswith("num_batches_tracked") and not may_be_unread(name)
        ]
        problems = [
            f"{kind} {len(names)}: {', '.join(names)}"
            for kind, names in (
                ("missing", self._missing),
                ("of the wrong shape", self._misshapen),
                ("unusable", self._unusable),
                ("unexpected", unexpected),
            )
            if names
        ]
        if problems:
            raise InputError(f"{source} does not hold the weights of {encoder}; " + "; ".join(problems))


class Random:
    """Weights drawn from the tensors' names, for tests only: He-normal kernels, zero biases."""

    def convolution(self, name: str, norm: str, shape: tuple[int, int, int, int]) -> Folded:
        """See `Source`; the same name gives the same weights.

        Args:
            name: prefix of the convolution's tensors.
            norm: unused.
            shape: of the kernel, (d, c, kh, kw).

        Returns:
            Kernel (kh, kw, c, d) and bias (d,), float32.
        """
        rng = np.random.default_rng(zlib.crc32(name.encode()))
        kernel = rng.standard_normal(shape) * np.sqrt(2 / np.prod(shape[1:]))
        return kernel.transpose(2, 3, 1, 0).astype(np.float32), np.zeros(shape[0], np.float32)
