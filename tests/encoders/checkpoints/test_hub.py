"""Weights by name from a hub: downloaded once, pinned, checked; what is said where they cannot be had."""

import functools
import hashlib
import os
import subprocess
import sys
from pathlib import Path

import huggingface_hub
import numpy as np
import pytest
from safetensors.numpy import save

from fastrecon_jax.encoders import checkpoints
from fastrecon_jax.encoders.checkpoints import checkpoint, hub
from fastrecon_jax.errors import InputError
from tests.encoders.checkpoints.stand_in_hub import COMMIT, Server

ROOT = Path(__file__).resolve().parents[3]
WEIGHTS = {"conv.weight": np.arange(6, dtype=np.float32).reshape(2, 3)}
BODY = save(WEIGHTS)
SOURCE = "hf://timm/wide_resnet50_2.tv_in1k"


@pytest.fixture
def server():
    started = Server(BODY)
    yield started
    started.stop()


@pytest.fixture
def here(server, tmp_path, monkeypatch):
    """Downloads of this process go to the stand-in and into a cache of their own."""
    cache = tmp_path / "cache"
    download = functools.partial(huggingface_hub.hf_hub_download, endpoint=server.url, cache_dir=cache, token=False)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", download)
    return server


def refusal(source):
    with pytest.raises(InputError) as caught:
        checkpoint.load(source)
    message = str(caught.value)
    assert "\n" not in message
    return message


def test_download_once_and_then_from_the_cache(here):
    loaded = checkpoint.load(SOURCE)
    np.testing.assert_array_equal(loaded.tensors["conv.weight"], WEIGHTS["conv.weight"])
    assert loaded.source == f"{SOURCE}@{COMMIT}"
    assert loaded.sha256 == hashlib.sha256(BODY).hexdigest()
    path = "/timm/wide_resnet50_2.tv_in1k/resolve/main/model.safetensors"
    assert here.requests == [("HEAD", path), ("GET", path)]
    here.stop()
    assert checkpoint.load(SOURCE).source == loaded.source
    assert checkpoint.load(loaded.source).sha256 == loaded.sha256  # by the commit, without the hub


def test_revision_and_file(here):
    loaded = checkpoint.load("hf://timm/m@refs%2Fpr%2F1/sub/weights.safetensors")
    assert loaded.source == f"hf://timm/m@{COMMIT}/sub/weights.safetensors"
    assert here.requests[0] == ("HEAD", "/timm/m/resolve/refs%2Fpr%2F1/sub/weights.safetensors")


@pytest.mark.parametrize(
    ("source", "parts"),
    [
        (
            "hf://absent/m",
            ("there is no repository absent/m, or it is private", "HF_TOKEN", "pass its path as --weights"),
        ),
        ("hf://gated/m", ("gated/m is gated: sign in on ", "/gated/m and accept its conditions", "hf auth login")),
        (
            "hf://waiting/m",
            ("the account whose token is in use has no access to waiting/m", "wait until it is granted"),
        ),
        ("hf://old/m@v2", ("old/m has no revision v2", "/old/m/commits lists")),
        ("hf://empty/m/a.pth", ("empty/m has no file a.pth", "/tree/main as hf://empty/m/FILE")),
        ("hf://cut/m", ("it arrived incomplete", "run the command again")),
        ("hf://changed/m", ("has not the hash that the hub published", "delete ", "downloads it once more")),
    ],
)
def test_what_is_said_where_weights_cannot_be_had(here, source, parts):
    message = refusal(source)
    for part in parts:
        assert part in message


def test_a_file_of_the_cache_that_changed(here, tmp_path):
    loaded = checkpoint.load(SOURCE)
    (blob,) = (tmp_path / "cache").rglob("blobs/*")
    blob.write_bytes(BODY[:-1])
    assert f"delete {blob}" in refusal(SOURCE)
    blob.unlink()
    assert checkpoint.load(SOURCE).sha256 == loaded.sha256


def test_no_network_gives_the_way_out(monkeypatch):
    def fail(*arguments, **options):
        raise ConnectionError("no route to host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fail)
    message = refusal("hf://timm/m/a.pth")
    for part in (
        "ConnectionError: no route to host",
        "or download a.pth from",
        "--weights",
        "HF_HOME",
        "HF_HUB_OFFLINE",
    ):
        assert part in message


def command(tmp_path, server, *arguments, **environment):
    known = {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(ROOT)}
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("HF_", "HUGGING"))}
    return subprocess.run(
        [sys.executable, *arguments], env=clean | known | environment, capture_output=True, text=True, cwd=tmp_path
    )


LOAD = """
import sys
from fastrecon_jax.encoders import checkpoints
print(checkpoints.is_here(sys.argv[1]), checkpoints.load(sys.argv[1]).source, checkpoints.is_here(sys.argv[1]))
"""


def test_commands_use_the_hub_of_the_environment_and_show_progress(server, tmp_path):
    ran = command(tmp_path, server, "-c", LOAD, SOURCE)
    assert ran.stdout == f"False {SOURCE}@{COMMIT} True\n"
    assert "model.safetensors: 100%" in ran.stderr
    ran = command(tmp_path, server, "-c", LOAD, SOURCE, HF_HUB_OFFLINE="1")
    assert (ran.stdout, ran.stderr) == (f"True {SOURCE}@{COMMIT} True\n", "")
    settings = ("--encoder=resnet18", "--shots=1", "--category=gear")
    ran = command(tmp_path, server, "-m", "fastrecon_jax.eval", *settings, HF_HUB_OFFLINE="1")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.startswith(
        "error: hf://timm/resnet18.tv_in1k cannot be downloaded: HF_HUB_OFFLINE is set and the "
    )
    assert ran.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("source", "commit", "expected"),
    [
        ("hf://timm/m", COMMIT, f"hf://timm/m@{COMMIT}"),
        ("hf://timm/m/a.pth", COMMIT, f"hf://timm/m@{COMMIT}/a.pth"),
        ("hf://timm/m@v2", COMMIT, "hf://timm/m@v2"),
        ("hf://timm/m", "../x", "hf://timm/m"),
        ("package://m", COMMIT, "package://m"),
        ("m.pth", COMMIT, "m.pth"),
    ],
)
def test_pinned(source, commit, expected):
    assert checkpoints.pinned(source, commit) == expected
    assert checkpoints.revision(expected) == (COMMIT if COMMIT in expected else "")


def test_where_the_cache_has_no_links_nothing_is_checked(tmp_path):
    hub.check(tmp_path / "model.safetensors", b"", "0" * 64)
