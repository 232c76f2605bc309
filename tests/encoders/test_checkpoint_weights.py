"""Weights of checkpoints: read whole, by name and shape, and everything that does not fit is said at once."""

import collections
import json
import struct

import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checkpoints, weights
from fastrecon_jax.encoders.convolution import Convolution, folded
from fastrecon_jax.errors import InputError
from tests.encoders.checkpoints import torch_writer


class Recorder:
    """Remembers the tensors that a checkpoint of the encoder must hold."""

    def __init__(self):
        self.tensors = {}

    def has(self, name):
        return name in self.tensors

    def tensor(self, name, shape, *, init="he", minimum=0.0):
        rng = np.random.default_rng(len(self.tensors))
        drawn = rng.uniform(0.5, 1, shape) if len(shape) == 1 else 0.1 * rng.standard_normal(shape)
        self.tensors[name] = drawn.astype(np.float32)
        return self.tensors[name]


def checkpoint(name, stages=()):
    recorder = Recorder()
    encoders.registration(name).build(recorder, stages or encoders.stages_of(name))
    return recorder.tensors


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1", "efficientnet_lite0"])
def test_a_file_loads_with_its_head_and_later_stages_unread(tmp_path, name):
    tensors = checkpoint(name, stages=("stage7",) if name == "efficientnet_lite0" else ("layer4",))
    tensors |= {"bn1.num_batches_tracked": np.array(3)} if name.startswith("resnet") else {}
    tensors |= {("_fc" if name == "efficientnet_lite0" else "fc") + ".weight": np.zeros((10, 4), np.float32)}
    save_file(tensors, tmp_path / "weights.safetensors")
    encoder = encoders.create(name, weights=str(tmp_path / "weights.safetensors"))
    assert encoder.weights.endswith("weights.safetensors")
    assert len(encoder.sha256) == 64


def test_folding_equals_a_batchnorm_by_hand():
    tensors = {
        "c.weight": np.full((1, 1, 1, 1), 3.0),
        "n.weight": np.array([2.0]),
        "n.bias": np.array([5.0]),
        "n.running_mean": np.array([7.0]),
        "n.running_var": np.array([15.0]),
    }
    convolution = Convolution(folded(weights.Tensors(tensors), "c", "n", (1, 1, 1, 1), epsilon=1.0))
    # 2 * (3 x - 7) / sqrt(15 + 1) + 5 at x = 10
    assert convolution(jnp.full((1, 1, 1, 1), 10.0)).item() == 2 * (30 - 7) / 4 + 5


def test_all_that_does_not_fit_is_listed_at_once(tmp_path):
    tensors = checkpoint("resnet18")
    del tensors["layer1.0.conv1.weight"], tensors["bn1.bias"]
    tensors["layer1.0.conv2.weight"] = np.zeros((1, 2), np.float32)
    tensors["stranger"] = np.zeros(1, np.float32)
    tensors["layer2.0.conv1.weight"] = tensors["layer2.0.conv1.weight"].astype(np.int8)
    tensors["layer2.0.bn1.running_mean"][3] = np.nan
    tensors["layer2.1.conv1.weight"][0, 0] = np.inf
    tensors["layer2.1.bn2.running_var"][1] = -0.1
    save_file(tensors, tmp_path / "w.safetensors")
    with pytest.raises(ValueError, match=r"w\.safetensors does not hold the weights of resnet18") as error:
        encoders.create("resnet18", weights=str(tmp_path / "w.safetensors"))
    for part in (
        "missing 2: bn1.bias, layer1.0.conv1.weight",
        "of the wrong shape 1: layer1.0.conv2.weight is (1, 2), expected (64, 64, 3, 3)",
        "unexpected 1: stranger",
        "unusable 4: layer2.0.conv1.weight has the type int8, expected floating point, "
        "layer2.0.bn1.running_mean has values that are infinite or not a number, "
        "layer2.1.conv1.weight has values that are infinite or not a number, "
        "layer2.1.bn2.running_var has values below 0",
    ):
        assert part in str(error.value)


def test_what_is_not_read_may_be_anything(tmp_path):
    tensors = checkpoint("resnet18") | {"fc.weight": np.full((10, 4), np.nan, np.float32)}
    save_file(tensors, tmp_path / "w.safetensors")
    assert encoders.create("resnet18", weights=str(tmp_path / "w.safetensors")).name == "resnet18"


@pytest.mark.parametrize(
    ("init", "deviation"), [("he", 0.2), ("lecun", 0.02**0.5), ("small", 0.02), ("ones", 0.0), ("zeros", 0.0)]
)
def test_random_tensors_have_the_spread_of_their_kind(init, deviation):
    source = weights.Random()
    tensor = source.tensor("a.weight", (400, 50), init=init)
    assert tensor.dtype == np.float32 and abs(tensor.std() - deviation) < 0.02 * deviation + 1e-9
    assert tensor.mean() == pytest.approx(float(init == "ones"), abs=0.01)
    np.testing.assert_array_equal(tensor, source.tensor("a.weight", (400, 50), init=init))


def test_random_tensors_differ_by_name_and_an_unknown_kind_is_refused():
    source = weights.Random()
    assert not np.array_equal(source.tensor("a.weight", (4, 4)), source.tensor("b.weight", (4, 4)))
    with pytest.raises(ValueError, match="unknown init 'xavier' of a: allowed are he, lecun, small, uniform, ones, z"):
        source.tensor("a", (2,), init="xavier")


def written(path, tensors, wrapper="state_dict"):
    """A checkpoint in the container that the ending of its name asks for."""
    if path.suffix == ".safetensors":
        save_file(tensors, path)
    else:
        holder = collections.OrderedDict((name, torch_writer.tensor(array)) for name, array in tensors.items())
        form = "old" if path.suffix == ".pt" else "zip"
        path.write_bytes(torch_writer.save({wrapper: holder, "epoch": 3} if wrapper else holder, form))
    return str(path)


@pytest.fixture(scope="module")
def resnet():
    return checkpoint("resnet18")


@pytest.fixture(scope="module")
def plain(resnet, tmp_path_factory):
    return encoders.create("resnet18", weights=written(tmp_path_factory.mktemp("plain") / "w.safetensors", resnet))


@pytest.mark.parametrize("ending", ["safetensors", "pth", "pt", "ckpt", "pth.tar"])
@pytest.mark.parametrize(
    "prefix",
    ["module.", "model.", "backbone.", "encoder.", "net.", "_orig_mod.", "module.model.backbone.", "my.own.network."],
)
def test_what_training_puts_before_names_is_taken_off(resnet, plain, tmp_path, ending, prefix):
    tensors = {f"{prefix}{name}": tensor for name, tensor in resnet.items()}
    encoder = encoders.create("resnet18", weights=written(tmp_path / f"w.{ending}", tensors))
    assert all(np.array_equal(a, b) for a, b in zip(encoder.params, plain.params, strict=True))


@pytest.mark.parametrize(
    "beside",
    [
        {"n_averaged": ("", np.array(3)), "module.": None},
        {"model.backbone.": None, "model.head.weight": ("", np.zeros(3, np.float32)), "loss.centre": ("", np.ones(2))},
        {"model.": None, "ema_model.": None},
        {"module.encoder_q.": None, "module.encoder_k.": None, "module.queue": ("", np.zeros((4, 4), np.float32))},
    ],
    ids=" ".join,
)
def test_other_networks_and_tensors_beside_the_encoder(resnet, plain, tmp_path, beside):
    tensors = {}
    for i, (prefix, single) in enumerate(beside.items()):
        averaged = {f"{prefix}{name}": tensor + np.float32(i) for name, tensor in resnet.items()}
        tensors |= averaged if single is None else {prefix: single[1].astype(np.float32)}
    first = next(prefix for prefix, single in beside.items() if single is None)
    tensors |= {f"{first}{name}": tensor for name, tensor in resnet.items()}
    encoder = encoders.create("resnet18", weights=written(tmp_path / "w.safetensors", tensors))
    assert all(np.array_equal(a, b) for a, b in zip(encoder.params, plain.params, strict=True))


def test_names_are_read_as_they_are_first():
    tensors = dict.fromkeys(("model.a", "model.b"), np.ones(1))
    assert [prefix for prefix, _ in checkpoints.readings(tensors)] == ["", "model."]
    assert next(checkpoints.readings(tensors)) == ("", tensors)


def test_if_nothing_fits_the_prefix_is_named(resnet, tmp_path):
    tensors = {f"model.feature.{name}": tensor for name, tensor in resnet.items() if name != "bn1.bias"}
    file = written(tmp_path / "w.ckpt", tensors)
    with pytest.raises(InputError, match=r"missing 1: bn1\.bias; its names begin with model\.feature\.$"):
        encoders.create("resnet18", weights=file)
    with pytest.raises(
        InputError, match=r"weights of efficientnet_lite0; missing .*; its names begin with model\.feature\.$"
    ):
        encoders.create("efficientnet_lite0", weights=file)


def test_two_networks_of_which_either_may_be_meant_are_refused(resnet, tmp_path):
    tensors = {f"{which}.{name}": tensor for which in ("teacher", "student") for name, tensor in resnet.items()}
    with pytest.raises(InputError, match="missing"):
        encoders.create("resnet18", weights=written(tmp_path / "w.safetensors", tensors))


def test_a_tensor_of_a_thousand_dimensions_is_refused(tmp_path):
    header = json.dumps({"conv1.weight": {"dtype": "F32", "shape": [1] * 1000, "data_offsets": [0, 4]}}).encode()
    (tmp_path / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(4))
    with pytest.raises(InputError, match=r"tensor conv1\.weight has 1000 dimensions; at most 32 are allowed$"):
        encoders.create("resnet18", weights=str(tmp_path / "w.safetensors"))
