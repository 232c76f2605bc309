"""AlexNet against torchvision's, with seeded weights; strict reading; tiles are refused."""

import sys
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders.families import alexnet
from fastrecon_jax.errors import InputError
from tests.helpers import assert_close

STORED = 2.0**-11  # the references are float16


@pytest.fixture
def oracle(monkeypatch):
    """The script that made the references."""
    monkeypatch.syspath_prepend(str(Path(__file__).resolve().parents[2] / "scripts" / "oracles"))
    monkeypatch.delitem(sys.modules, "alexnet", raising=False)
    import alexnet as script

    monkeypatch.delitem(sys.modules, "alexnet")
    return script


def opened(tensors, tmp_path, stages=alexnet.STAGES):
    save_file(tensors, tmp_path / "w.safetensors")
    return encoders.create("alexnet", weights=str(tmp_path / "w.safetensors"), stages=stages)


def test_every_stage_is_that_of_torchvision(oracle, tmp_path):
    tensors = oracle.checkpoint() | {"classifier.1.weight": np.ones((2, 2), np.float32)}
    actual = opened(tensors, tmp_path).module()(jnp.asarray(oracle.images()))
    expected = np.load(Path(__file__).parent / "data" / "alexnet.npz")
    for stage in alexnet.STAGES:
        assert_close(actual[stage], expected[stage], STORED)


def test_checkpoints_are_read_strictly(oracle, tmp_path):
    tensors = oracle.checkpoint()
    assert opened(tensors, tmp_path, stages=("pool2",)).stages == ("pool2",)  # the rest is unread
    del tensors["features.10.bias"]
    tensors |= {"features.3.bias": np.ones(9, np.float32), "features.1.weight": np.ones(2, np.float32)}
    with pytest.raises(
        InputError,
        match=r"does not hold the weights of alexnet; missing 1: features\.10\.bias; of the wrong shape 1: "
        r"features\.3\.bias is \(9,\), expected \(192,\); unexpected 1: features\.1\.weight",
    ):
        opened(tensors, tmp_path)


def test_tiles_are_refused():
    with pytest.raises(InputError, match=r"^--tile=64,32 is not possible with alexnet, which does not pad"):
        encoders.tiled(encoders.create("alexnet", weights="random"), (64, 32), height=128, width=128)


def test_the_published_features_are_those_of_stride_32():
    assert encoders.stages_of("alexnet", (32,)) == ("pool5",)
    stage = encoders.create("alexnet", weights="random", stages=("pool5",))(np.zeros((1, 448, 448, 3), np.uint8))
    assert stage[0].shape == (1, 13, 13, 256)
