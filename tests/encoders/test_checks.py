"""The contract, for every registered encoder; and encoders that break it are found out, in a sentence."""

import functools

import jax.numpy as jnp
import pytest
from flax import nnx

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checks, registry
from fastrecon_jax.encoders.families import convnext, dinov2, dinov3
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_families, tiny_transformer

SIZES = {"tiny_transformer": 7 * tiny_transformer.PATCH}
# Families whose contract is tested on small networks of the same layers, in `tiny_families` or a file of their own.
SMALL = (convnext, dinov2, dinov3)
SIZES |= {name: 4 * shape.patch for name, shape in tiny_families.SHAPES.items()}
assert tiny_transformer.build


def whole():
    """The encoders that are small enough to be tested as they are."""
    small = {module.__name__ for module in SMALL}
    return [name for name in encoders.names() if registry.module_of(name) not in small] + list(tiny_families.names())


@functools.lru_cache(maxsize=1)  # the large ones take memory
def case(name):
    return checks.case(name, image_size=SIZES.get(name, 64))


@pytest.mark.parametrize("check", checks.CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", whole())
def test_the_contract(name, check):
    check(case(name))


class Broken(nnx.Module):
    """Mean colours of squares of 8 pixels, with a fault."""

    def __init__(self, fault, source, stages):
        shape = (3, 3) if fault != "an unchecked tensor" else (3,)
        self.fault, self.stages = fault, tuple(stages)
        self.weight = nnx.Param(jnp.asarray(source.tensor("weight", shape)))

    def __call__(self, images):
        b, h, w, _ = images.shape
        side = 4 if self.fault == "another stride" else 8
        x = images.reshape(b, h // side, side, w // side, side, 3).mean((2, 4))
        if self.fault == "images that depend on each other":
            x = x - x.mean(0, keepdims=True)
        if self.fault == "no gradient":
            x = jnp.round(x * 10)
        if self.fault == "not finite":
            x = x / 0
        if self.fault == "constant":
            x = x * 0
        return {"a": x * self.weight[...].sum()}


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("another stride", r"broken, check_stages: stage a of 3 images of 64 pixels has shape \(3, 16, 16, 3\): a str"),
        ("images that depend on each other", "stages of images in a batch and alone differ by"),
        ("no gradient", "gradients in images are zero"),
        ("not finite", "stage a is not finite"),
        ("constant", "stage a is constant"),
    ],
)
def test_what_breaks_the_contract_is_found_out(monkeypatch, fault, message):
    monkeypatch.setattr(registry, "_REGISTRY", {name: registry.registration(name) for name in registry.names()})
    encoders.register("broken", stages={"a": 8})(functools.partial(Broken, fault))
    with pytest.raises(AssertionError, match=message):
        checks.check_encoder("broken")


def test_unread_tensors_and_wrong_statistics_are_found_out(monkeypatch):
    monkeypatch.setattr(registry, "_REGISTRY", {name: registry.registration(name) for name in registry.names()})
    encoders.register("dark", stages={"a": 8}, std=(58.0, 57.0, 57.0))(functools.partial(Broken, ""))
    with pytest.raises(AssertionError, match=r"std \(58.0, 57.0, 57.0\) must lie above 0 and at most at 1"):
        checks.check_encoder("dark")


def test_an_unknown_name():
    with pytest.raises(InputError, match="unknown encoder 'vgg'"):
        checks.check_encoder("vgg")
