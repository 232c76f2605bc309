"""Writes what torch.save writes, without torch: stand-ins that pickle under the names that torch uses."""

import collections
import io
import itertools
import pickle
import struct
import sys
import types
import unittest.mock
import zipfile

import numpy as np

_STORAGES = {
    "Double": np.float64,
    "Float": np.float32,
    "Half": np.float16,
    "BFloat16": np.uint16,
    "Long": np.int64,
    "Int": np.int32,
    "Short": np.int16,
    "Char": np.int8,
    "Byte": np.uint8,
    "Bool": np.bool_,
}
_KEYS = itertools.count(94155399)
_REBUILD = (
    "_rebuild_tensor",
    "_rebuild_tensor_v2",
    "_rebuild_tensor_v3",
    "_rebuild_parameter",
    "_rebuild_parameter_with_state",
)


def _stand_in(module, name):
    return type(name, (), {"__module__": module, "__qualname__": name})


TORCH = types.ModuleType("torch")
UTILS = types.ModuleType("torch._utils")
STORAGE = types.ModuleType("torch.storage")
for _kind in _STORAGES:
    setattr(TORCH, f"{_kind}Storage", _stand_in("torch", f"{_kind}Storage"))
for _name in _REBUILD:
    setattr(UTILS, _name, _stand_in("torch._utils", _name))
for _name in ("uint16", "float8_e4m3fn", "Size"):
    setattr(TORCH, _name, _stand_in("torch", _name))
STORAGE.UntypedStorage = _stand_in("torch.storage", "UntypedStorage")
TORCH._utils, TORCH.storage = UTILS, STORAGE
_MODULES = {"torch": TORCH, "torch._utils": UTILS, "torch.storage": STORAGE}


class Storage:
    """Flat memory of one type; `kind` is "Float" and the like, or "Untyped"."""

    def __init__(self, values, kind, *, key=None, claimed=None):
        self.values, self.kind = np.ascontiguousarray(values).reshape(-1), kind
        self.key, self.claimed = key or str(next(_KEYS)), claimed

    @property
    def length(self):
        return self.values.size if self.claimed is None else self.claimed

    def persistent_id(self, form):
        kind = STORAGE.UntypedStorage if self.kind == "Untyped" else getattr(TORCH, f"{self.kind}Storage")
        return ("storage", kind, self.key, "cuda:0", self.length, *([None] if form == "old" else []))


class Call:
    """Pickles as the call of a torch._utils function."""

    def __init__(self, function, *arguments):
        self.function, self.arguments = function, arguments

    def __reduce__(self):
        return getattr(UTILS, self.function), self.arguments


def view(storage, shape, strides, offset=0):
    return Call("_rebuild_tensor_v2", storage, offset, shape, strides, False, collections.OrderedDict())


def tensor(values):
    kind = next(name for name, dtype in _STORAGES.items() if values.dtype == dtype and name != "BFloat16")
    strides = tuple(stride // values.itemsize for stride in values.strides)
    return view(Storage(values, kind), values.shape, strides)


def dump(value, form="old", protocol=2):
    """Pickle as torch does, and return the storages met on the way by key."""
    storages = {}

    class Pickler(pickle.Pickler):
        def persistent_id(self, value):
            if not isinstance(value, Storage):
                return None
            storages[value.key] = value
            return value.persistent_id(form)

    buffer = io.BytesIO()
    with unittest.mock.patch.dict(sys.modules, _MODULES):
        Pickler(buffer, protocol).dump(value)
    return buffer.getvalue(), storages


def save(value, form, *, protocol=2, little_endian=True):
    """Return the bytes of a file of `form` "zip" or "old"."""
    data, storages = dump(value, form, protocol)
    if form == "zip":
        entries = {"data.pkl": data, "byteorder": b"little" if little_endian else b"big", "version": b"3\n"}
        entries |= {f"data/{key}": storage.values.tobytes() for key, storage in storages.items()}
        return pack(entries)
    header = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": little_endian})
    keys = sorted(storages)
    body = b"".join(struct.pack("<q", storages[key].length) + storages[key].values.tobytes() for key in keys)
    return b"".join(pickle.dumps(part, protocol) for part in header) + data + pickle.dumps(keys, protocol) + body


def pack(entries, compression=zipfile.ZIP_STORED):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in entries.items():
            archive.writestr(f"archive/{name}", data)
    return buffer.getvalue()
