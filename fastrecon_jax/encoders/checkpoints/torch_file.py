"""Checkpoints that torch.save wrote, read as numpy arrays without torch and without running anything they hold.

Two forms exist. Since torch 1.6 a file is a zip archive of stored (not compressed) entries: ROOT/data.pkl, and one
ROOT/data/KEY for each storage. Before, five pickles follow each other (magic number, protocol, facts about the machine,
the object, the keys of the storages), then each storage as its int64 number of elements and its raw bytes.
"""

import contextlib
import functools
import io
import pathlib
import struct
import zipfile
from collections.abc import Callable

import numpy as np

from fastrecon_jax.encoders.checkpoints import safe_pickle, torch_tensor
from fastrecon_jax.errors import InputError

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "network", "weights")
_AVERAGED = ("ema", "model_ema", "state_dict_ema", "ema_state_dict")  # over the steps of training
_PLAIN = (type(None), bool, int, float, str, tuple, list, dict)
_DEEPEST = 3  # wrappers inside each other
_ALLOWED = (
    "allowed is a little-endian file that torch.save wrote of a state dict, dense tensors by name, at the top or under "
    f"one of the keys {', '.join(_WRAPPERS)}, or else {', '.join(_AVERAGED)} (save model.state_dict() rather than the "
    "model)"
)
# What the arrays may take beyond their file: tensors may share a storage, and one may repeat it with a stride of 0.
_GROWTH, _SLACK = 8, 2**26

_Fetch = Callable[[torch_tensor.Storage], bytes | memoryview]


def read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Read a state dict out of a file that torch.save wrote.

    Args:
        path: the file, in the zip form or in the older form.

    Returns:
        Arrays by name, each with memory of its own; bfloat16 becomes float32, every other type stays as it is. Entries
        that are no tensors are left out, and nothing of them is built or run.

    Raises:
        InputError: the file cannot be read, is damaged, or holds no state dict of tensors.
    """
    try:
        data = path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        raise InputError(f"{path} cannot be read: {error}; {_ALLOWED}") from error
    return parse(data, str(path))


def parse(data: bytes, name: str) -> dict[str, np.ndarray]:
    """Read a state dict out of the bytes of a file that torch.save wrote.

    Args:
        data: the whole file.
        name: what an error message calls it.

    Returns:
        Arrays by name, as `read` does.

    Raises:
        InputError: the file is damaged, or holds no state dict of tensors.
    """
    try:
        holder, fetch = _open(data)
        tensors = _state_dict(holder)
        if sum(tensor.size for tensor in tensors.values()) > _GROWTH * len(data) + _SLACK:
            raise ValueError(f"its tensors would take more than {_GROWTH} times the {len(data)} bytes of the file")
        return {key: torch_tensor.array(tensor, fetch(tensor.storage)) for key, tensor in tensors.items()}
    except (ValueError, MemoryError) as error:
        reason = str(error) or "it takes more memory than there is"
        raise InputError(f"{name} cannot be used as a torch checkpoint: {reason}; {_ALLOWED}") from error


def _open(data: bytes) -> tuple[object, _Fetch]:
    if data.startswith(b"PK\x03\x04"):
        return _open_zip(data)
    if data.startswith(b"\x80"):
        return _open_legacy(data)
    raise ValueError(f"it begins with {data[:4]!r}, where a zip archive or a pickle begins otherwise")


def _open_zip(data):
    archive = _Archive(data)
    if archive.read("byteorder", b"little").strip() != b"little":
        raise ValueError("its byte order is not little-endian")
    holder, _ = safe_pickle.load(
        archive.read("data.pkl"), 0, names=torch_tensor.NAMES, persistent=torch_tensor.storage, skip_foreign=True
    )
    read_once = functools.cache(archive.read)
    return holder, lambda storage: read_once(f"data/{storage.key}")


class _Archive:
    """The stored entries of a zip archive, by their names below its folder."""

    def __init__(self, data):
        with _zip_errors():
            self.archive = zipfile.ZipFile(io.BytesIO(data))
        entries = self.archive.infolist()
        self.entries = {entry.filename: entry for entry in entries}
        roots = [name.removesuffix("data.pkl") for name in self.entries if name.endswith("/data.pkl")]
        if len(roots) != 1 or len(self.entries) != len(entries):
            raise ValueError("it is a zip archive without the one data.pkl, or with two entries of one name")
        if any(entry.compress_type or entry.compress_size != entry.file_size for entry in entries):
            raise ValueError("its zip entries are compressed, which those of torch.save never are")
        if sum(entry.file_size for entry in entries) > len(data):
            raise ValueError("its zip entries are longer than the file")
        self.root = roots[0]

    def read(self, name, default=None):
        entry = self.entries.get(self.root + name)
        if entry is None and default is None:
            raise ValueError(f"its zip entry {name[:80]!r} is missing")
        if entry is None:
            return default
        with _zip_errors():
            return self.archive.read(entry)


@contextlib.contextmanager
def _zip_errors():
    damage = (
        zipfile.BadZipFile,
        NotImplementedError,
        RuntimeError,
        LookupError,
        ValueError,
        OverflowError,
        struct.error,
    )
    try:
        yield
    except (*damage, OSError, EOFError) as error:
        raise ValueError(f"its zip archive is damaged or cut short: {error}") from error


def _open_legacy(data):
    position, header = 0, []
    for _ in range(3):
        value, position = safe_pickle.load(data, position, names={}, persistent=torch_tensor.storage)
        header.append(value)
    if header[:2] != [_MAGIC, _PROTOCOL]:
        raise ValueError("it begins with a pickle, but not with the magic number and the protocol of torch.save")
    if type(header[2]) is not dict or header[2].get("little_endian") is not True:
        raise ValueError("its byte order is not little-endian")
    storages = {}

    def persistent(identity):
        storage = torch_tensor.storage(identity)
        if type(storage) is safe_pickle.Foreign:  # its bytes could not be passed over
            raise ValueError(f"its storage is of the type {storage.text}, which is not known")
        if storages.setdefault(storage.key, storage).element != storage.element:
            raise ValueError(f"its storage {storage.key[:80]} has two types")
        return storage

    holder, position = safe_pickle.load(
        data, position, names=torch_tensor.NAMES, persistent=persistent, skip_foreign=True
    )
    keys, position = safe_pickle.load(data, position, names={}, persistent=torch_tensor.storage)
    buffers = _legacy_buffers(data, position, keys, storages)
    return holder, lambda storage: buffers[storage.key]


def _legacy_buffers(data, position, keys, storages):
    if type(keys) is not list or any(type(key) is not str for key in keys) or sorted(keys) != sorted(storages):
        raise ValueError("the list of its storages is damaged")
    memory, buffers = memoryview(data), {}
    for key in keys:
        storage, start = storages[key], position + 8
        position = start + storage.size
        if position > len(data):
            raise ValueError(f"storage {key[:80]} of {storage.size} bytes ends beyond the {len(data)} of the file")
        if struct.unpack_from("<q", data, start - 8)[0] != storage.length:
            raise ValueError(f"storage {key[:80]} has not the {storage.length} elements that its tensors name")
        buffers[key] = memory[start:position]
    return buffers


def _state_dict(holder):
    if type(holder) is safe_pickle.Foreign:
        raise ValueError(f"it holds one {holder.text}, not a dict of tensors")
    if type(holder) is not dict:
        raise ValueError(f"it holds one {type(holder).__name__.lower()}, not a dict of tensors")
    entries = _unwrapped(holder)
    tensors = {key: value for key, value in entries.items() if type(value) is torch_tensor.Tensor}
    if tensors and all(type(key) is str for key in tensors):
        return tensors
    for key, value in entries.items():
        if type(value) not in (*_PLAIN, torch_tensor.Tensor):
            kind = getattr(value, "text", type(value).__name__)
            raise ValueError(f"its entry {key!r:.80} is neither a tensor nor a plain value, but {kind:.80}")
    names = ", ".join(f"{key!r:.40}" for key in list(entries)[:5]) or "nothing"
    raise ValueError(f"it holds no tensors by name, but: {names}")


def _unwrapped(holder, depth=0):
    """The dict of tensors in what training saved: below one of the usual keys, or this one."""
    for keys in (_WRAPPERS, _AVERAGED) if depth < _DEEPEST else ():
        inner = {key: _unwrapped(holder[key], depth + 1) for key in keys if type(holder.get(key)) is dict}
        found = [key for key, value in inner.items() if torch_tensor.Tensor in map(type, value.values())]
        if len(found) > 1:
            raise ValueError(f"it holds more than one state dict: {', '.join(found)}")
        if found:
            return inner[found[0]]
    return holder
