"""What the pickle of a torch checkpoint says about its tensors, checked, and the arrays made of it."""

import dataclasses
import math
from typing import TypeGuard

import numpy as np

from fastrecon_jax.encoders.checkpoints import safe_pickle

_LARGEST = 2**48  # of a size, stride, offset or number of elements, so that no address overflows
_MOST_DIMENSIONS = 32


def _from_bfloat16(raw):
    return (raw.astype(np.uint32) << 16).view(np.float32)


def _from_bool(raw):
    return raw != 0  # a byte other than 0 and 1 is no numpy bool


# How an element lies in the file, and what makes an array of it, by the name of the storage or of the dtype.
_ELEMENTS = {
    "torch.DoubleStorage": ("<f8", None),
    "torch.FloatStorage": ("<f4", None),
    "torch.HalfStorage": ("<f2", None),
    "torch.BFloat16Storage": ("<u2", _from_bfloat16),
    "torch.LongStorage": ("<i8", None),
    "torch.IntStorage": ("<i4", None),
    "torch.ShortStorage": ("<i2", None),
    "torch.CharStorage": ("i1", None),
    "torch.ByteStorage": ("u1", None),
    "torch.BoolStorage": ("u1", _from_bool),
    "torch.storage.UntypedStorage": ("u1", None),
    "torch.uint16": ("<u2", None),
    "torch.uint32": ("<u4", None),
    "torch.uint64": ("<u8", None),
}


def _item_size(element):
    return np.dtype(_ELEMENTS[element][0]).itemsize


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Storage:
    """A run of memory in the file: the name of its elements, its key, and how many elements it has."""

    element: str
    key: str
    length: int

    @property
    def size(self) -> int:
        """Its bytes in the file."""
        return self.length * _item_size(self.element)


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: Storage
    element: str
    offset: int
    shape: tuple
    strides: tuple

    @property
    def size(self) -> int:
        """The bytes of its array, or a little more."""
        return math.prod(self.shape) * max(4, _item_size(self.element))


def storage(persistent_id: object) -> Storage | safe_pickle.Foreign:
    """Build a storage from its persistent id.

    Args:
        persistent_id: ("storage", name of its type, key, device, number of elements), and None in the older form.

    Returns:
        The storage; the device it was on does not matter. A `Foreign` where the type is not known.

    Raises:
        ValueError: the id says anything else.
    """
    match persistent_id:
        case ("storage", safe_pickle.Name(element), str(key), str(), length) | (
            "storage",
            safe_pickle.Name(element),
            str(key),
            str(),
            length,
            None,
        ) if element.endswith("Storage") and _is_size(length):
            return Storage(element, key, length)
        case ("storage", safe_pickle.Foreign() as foreign, *_):
            return foreign
    raise ValueError("its pickle holds a storage of an unknown kind")


def array(tensor: Tensor, buffer: bytes | memoryview) -> np.ndarray:
    """Make an array of a tensor.

    Args:
        tensor: the view, inside its storage.
        buffer: the bytes of its storage.

    Returns:
        A contiguous array with memory of its own; bfloat16 becomes float32.

    Raises:
        ValueError: the storage has fewer bytes than its length says.
    """
    if len(buffer) < tensor.storage.size:
        raise ValueError(f"storage {tensor.storage.key[:80]} has {len(buffer)} bytes of {tensor.storage.size}")
    kind, convert = _ELEMENTS[tensor.element]
    dtype = np.dtype(kind)
    if not math.prod(tensor.shape):
        raw = np.zeros(tensor.shape, dtype)
    else:
        strides = [stride * dtype.itemsize for stride in tensor.strides]
        raw = np.ndarray(tensor.shape, dtype, buffer, tensor.offset * dtype.itemsize, strides)
    flat = raw.flatten()
    return (convert(flat) if convert else flat).reshape(tensor.shape)


def _is_size(value: object) -> TypeGuard[int]:
    return type(value) is int and 0 <= value <= _LARGEST


def _view(storage, offset, shape, strides, element=None):
    if type(storage) is not Storage or type(shape) is not tuple or type(strides) is not tuple:
        raise ValueError("its pickle is damaged: a tensor without a storage, shape or strides")
    if len(shape) != len(strides) or len(shape) > _MOST_DIMENSIONS:
        raise ValueError(f"a tensor has {len(shape)} sizes and {len(strides)} strides; at most {_MOST_DIMENSIONS}")
    if not all(map(_is_size, (offset, *shape, *strides))):
        raise ValueError(f"a tensor has an offset, size or stride that is no integer from 0 to {_LARGEST}")
    strides = tuple(stride if size > 1 else 0 for size, stride in zip(shape, strides, strict=True))
    end = offset + sum((size - 1) * stride for size, stride in zip(shape, strides, strict=True)) + 1
    element = element or storage.element
    if math.prod(shape) and end * _item_size(element) > storage.size:
        raise ValueError(f"a tensor of shape {shape} reaches beyond its storage {storage.key[:80]}")
    return Tensor(storage, element, offset, shape, strides)


def _tensor(arguments):
    match arguments:
        case (stored, offset, shape, strides):
            return _view(stored, offset, shape, strides)
    raise ValueError("its pickle is damaged: _rebuild_tensor takes 4 arguments")


def _tensor_v2(arguments):
    match arguments:
        case (stored, offset, shape, strides, _, _) | (stored, offset, shape, strides, _, _, None):
            return _view(stored, offset, shape, strides)
    raise ValueError("a tensor is a conjugate or negative view, or _rebuild_tensor_v2 has not its 6 arguments")


def _tensor_v3(arguments):
    match arguments:
        case (stored, offset, shape, strides, _, _, safe_pickle.Name(element)) if element in _ELEMENTS:
            return _view(stored, offset, shape, strides, element)
    raise ValueError("a tensor of a dtype that is not known, or _rebuild_tensor_v3 has not its 7 arguments")


def _parameter(arguments):
    if not arguments or type(arguments[0]) is not Tensor:
        raise ValueError("its pickle is damaged: a Parameter without a tensor")
    return arguments[0]


NAMES = dict.fromkeys(_ELEMENTS) | {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor_v2,
    "torch._utils._rebuild_tensor_v3": _tensor_v3,
    "torch._utils._rebuild_parameter": _parameter,
    "torch._utils._rebuild_parameter_with_state": _parameter,
}
