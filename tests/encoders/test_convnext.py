"""ConvNeXt against the transformers and timm libraries, in every naming of its tensors; the contract, small."""

import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checks, layers
from fastrecon_jax.encoders.families import convnext
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_convnext
from tests.encoders.tiny_convnext import checkpoint
from tests.helpers import assert_close

DATA = Path(__file__).parent / "data"
NAMES = ("original", "timm", "hugging_face", "hugging_face_model")
STORED = 2.0**-11  # the references are float16


@pytest.fixture
def oracle(monkeypatch):
    return tiny_convnext.load_oracle(monkeypatch)


@pytest.fixture
def small(monkeypatch, oracle):
    tiny_convnext.register(monkeypatch, oracle)


def outputs(name, tensors, oracle, tmp_path, stages=convnext.STAGES):
    file = tmp_path / "w.safetensors"
    save_file(tensors, file)
    encoder = encoders.create(name, weights=str(file), stages=stages)
    return encoder.module()(jnp.asarray(oracle.images()))


@pytest.mark.parametrize("naming", NAMES)
def test_dinov3_equals_transformers(small, oracle, tmp_path, naming):
    expected = np.load(DATA / "dinov3_convnext.npz")
    own = getattr(convnext, naming.upper())
    tensors = checkpoint(oracle, own, drawn_as=convnext.HUGGING_FACE_MODEL, normed=True)
    if naming == "original":  # holds its final norm twice
        tensors |= {f"norms.3.{part}": tensors[f"norm.{part}"] + 1 for part in ("weight", "bias")}
    actual = outputs("small_dinov3", tensors, oracle, tmp_path)
    for stage in ("stage1", "stage2", "stage3"):
        assert_close(actual[stage], expected[stage], STORED)
    assert_close(actual["stage4"], expected["normed"], STORED)


@pytest.mark.parametrize("naming", NAMES)
def test_imagenet_equals_timm(small, oracle, tmp_path, naming):
    expected = np.load(DATA / "convnext.npz")
    tensors = checkpoint(oracle, getattr(convnext, naming.upper()), drawn_as=convnext.TIMM, normed=False)
    tensors |= {"head.norm.weight": np.ones(24, np.float32), "head.fc.weight": np.ones((5, 24), np.float32)}
    actual = outputs("small_convnext", tensors, oracle, tmp_path)
    for stage in convnext.STAGES:
        assert_close(actual[stage], expected[stage], STORED)


def test_layers_stored_as_kernels(small, oracle, tmp_path):
    variant = convnext.Variant(oracle.BLOCKS, oracle.CHANNELS, kernels=True)
    encoders.register("small_kernels", stages=convnext.STRIDES)(functools.partial(convnext.build, variant=variant))
    tensors = checkpoint(oracle, convnext.TIMM, drawn_as=convnext.TIMM, normed=False)
    tensors = {name: x[..., None, None] if ".fc" in name and x.ndim == 2 else x for name, x in tensors.items()}
    actual = outputs("small_kernels", tensors, oracle, tmp_path)
    assert_close(actual["stage4"], np.load(DATA / "convnext.npz")["stage4"], STORED)


def test_checkpoints_are_read_strictly(small, oracle, tmp_path):
    tensors = checkpoint(oracle, convnext.TIMM, drawn_as=convnext.TIMM, normed=False)
    given = outputs("small_convnext", tensors, oracle, tmp_path, stages=("stage2",))  # the rest is unread
    assert given.keys() == {"stage2"}
    del tensors["stages.0.blocks.0.gamma"]
    tensors |= {"stages.1.blocks.9.gamma": np.ones(12, np.float32), "projectors.0": np.ones(1, np.float32)}
    tensors["stem.0.bias"] = np.ones(9, np.float32)
    with pytest.raises(InputError, match=r"missing 1: stages\.0\.blocks\.0\.gamma; ") as error:
        outputs("small_convnext", tensors, oracle, tmp_path, stages=("stage2",))
    for part in ("stem.0.bias is (9,), expected (8,)", "unexpected 2: ", "projectors.0", "stages.1.blocks.9.gamma"):
        assert part in str(error.value)


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
def test_the_contract(small, check):
    encoder = encoders.create("small_dinov3", weights="random", stages=convnext.STAGES)
    check(checks.case(encoder))


def test_stages_have_one_length_and_distances_are_correlations():
    x = np.random.default_rng(0).standard_normal((1, 2, 3, 40)).astype(np.float32)
    x[..., 7] += 1000  # as a few channels of the stream are
    y = np.asarray(layers.standardise(jnp.asarray(x), convnext.EPSILON), np.float64)
    assert_close(np.square(y).sum(-1), np.full((1, 2, 3), 40.0))
    squared = np.square(y[0, 0, 0] - y[0, 1, 2]).sum()
    assert_close(squared, 2 * 40 * (1 - np.corrcoef(x[0, 0, 0], x[0, 1, 2])[0, 1]), 1e-3)


@pytest.mark.parametrize(("name", "channels"), [("dinov3_convnext_t", (192, 384)), ("convnext_atto", (80, 160))])
def test_published_sizes(name, channels):
    encoder = encoders.create(name, weights="random")
    assert encoder.stages == ("stage2", "stage3")
    stages = jax.eval_shape(encoder, jax.ShapeDtypeStruct((1, 224, 224, 3), jnp.uint8))
    assert [stage.shape for stage in stages] == [(1, 28, 28, channels[0]), (1, 14, 14, channels[1])]
