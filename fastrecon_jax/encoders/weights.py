"""Where an encoder's constructor gets its weights: a checkpoint, read strictly, or random numbers."""

import math
import zlib
from collections.abc import Callable, Mapping
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from fastrecon_jax.errors import InputError

RANDOM = "random"  # in place of a checkpoint
_SMALL = 0.02  # standard deviation of position tables and class tokens of transformers


@runtime_checkable
class Source(Protocol):
    """Tensors by their names in a checkpoint; see `convolution.folded` for a convolution with a BatchNorm behind it."""

    def has(self, name: str) -> bool:
        """Whether there is a tensor of that name: checkpoints of one network may differ in names and in what is folded.

        Args:
            name: what the checkpoint calls it.
        """
        ...

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """A tensor, of which name, shape, type and values are checked.

        Args:
            name: what the checkpoint calls it.
            shape: what its shape must be.
            init: how it is drawn if weights are random, see `Random`.
            minimum: below which no value may lie.

        Returns:
            The tensor, of a floating type.
        """
        ...


class Tensors:
    """A checkpoint, read strictly: problems are collected, and `finish` raises them all at once.

    Attributes:
        tensors: arrays by name.
    """

    def __init__(self, tensors: Mapping[str, np.ndarray]):
        self.tensors = tensors
        self._read: set[str] = set()
        self._missing: list[str] = []
        self._misshapen: list[str] = []
        self._unusable: list[str] = []

    @property
    def found(self) -> int:
        """How many of the tensors that were asked for are there, whatever they are."""
        return len(self._read & self.tensors.keys())

    def has(self, name: str) -> bool:
        """Whether the checkpoint holds a tensor of that name."""
        return name in self.tensors

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """A tensor of the checkpoint, see `Source`.

        Args:
            name: what the checkpoint calls it.
            shape: what its shape must be.
            init: unused.
            minimum: below which no value may lie.

        Returns:
            The tensor; zeros where something does not fit, which `finish` will say.
        """
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
        elif (tensor < minimum).any():
            self._unusable.append(f"{name} has values below {minimum:g}")
        else:
            return tensor
        return np.zeros(shape, np.float32)

    def finish(self, *, source: str, encoder: str, may_be_unread: Callable[[str], bool]) -> None:
        """Raise everything that does not fit.

        Args:
            source: where the checkpoint came from, for the message.
            encoder: name of the encoder, for the message.
            may_be_unread: whether the checkpoint may hold a tensor of that name although nothing has read it.

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
    """Weights drawn from the tensors' names, for tests only: the same name gives the same weights."""

    def has(self, name: str) -> bool:
        """True: there is every tensor that is asked for, so that of two ways to store weights the first is taken."""
        del name
        return True

    def tensor(
        self, name: str, shape: tuple[int, ...], *, init: str = "he", minimum: float = -math.inf
    ) -> Float[np.ndarray, "..."]:
        """A random tensor, see `Source`.

        Args:
            name: what a checkpoint would call it; numbers depend on it, but not on its last part if that is `weight`.
            shape: outputs first.
            init: `he`, normal with variance 2 / inputs, before a ReLU; `lecun`, 1 / inputs; `small`, 0.0004; `uniform`,
                up to 1 / √inputs either way, PyTorch's default; `ones` or `zeros`.
            minimum: unused.

        Returns:
            float32.

        Raises:
            ValueError: there is no such `init`.
        """
        if init not in _INITS:
            raise ValueError(f"unknown init {init!r} of {name}: allowed are {', '.join(_INITS)}")
        rng = np.random.default_rng(zlib.crc32(name.removesuffix(".weight").encode()))
        return _INITS[init](rng, shape).astype(np.float32)


def _normal(variance: Callable[[tuple[int, ...]], float]) -> Callable[..., np.ndarray]:
    return lambda rng, shape: rng.standard_normal(shape) * np.sqrt(variance(shape))


_INITS = {
    "he": _normal(lambda shape: 2 / np.prod(shape[1:])),
    "lecun": _normal(lambda shape: 1 / np.prod(shape[1:])),
    "small": _normal(lambda shape: _SMALL**2),
    "uniform": lambda rng, shape: rng.uniform(-1, 1, shape) / np.sqrt(np.prod(shape[1:])),
    "ones": lambda rng, shape: np.ones(shape),
    "zeros": lambda rng, shape: np.zeros(shape),
}
