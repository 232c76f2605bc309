import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders import efficientnet, registry, resnet, weights
from fastrecon_jax.encoders.convolution import Convolution
from tests.helpers import assert_close


class Recorder(weights.Random):
    """Remembers the tensors that a checkpoint of the encoder must hold."""

    def __init__(self):
        self.tensors = {}

    def convolution(self, name, norm, shape):
        rng = np.random.default_rng(len(self.tensors))
        self.tensors[f"{name}.weight"] = rng.standard_normal(shape).astype(np.float32) * 0.1
        for part in ("weight", "bias", "running_mean", "running_var"):
            self.tensors[f"{norm}.{part}"] = rng.uniform(0.5, 1, shape[0]).astype(np.float32)
        return super().convolution(name, norm, shape)


def checkpoint(name, stages=()):
    family = registry.FAMILIES[name]
    recorder = Recorder()
    family.build(recorder, stages or tuple(family.of_stride.values())[1:])
    return recorder.tensors


@pytest.mark.parametrize("name", encoders.names())
def test_default_stages_have_strides_8_and_16(name):
    encoder = encoders.create(name, weights="random")
    stages = jax.eval_shape(encoder.apply, encoder.params, jax.ShapeDtypeStruct((2, 64, 96, 3), jnp.float32))
    assert [stage.shape[:3] for stage in stages] == [(2, 8, 12), (2, 4, 6)]
    assert encoder.weights == "random"


def size(encoder):
    return sum(leaf.size for leaf in jax.tree.leaves(encoder.params))


def test_stages_are_returned_finest_first_and_only_as_far_as_asked():
    encoder = encoders.create("resnet18", stages=("layer2", "layer1"), weights="random", platform="gpu")
    assert encoder.stages == ("layer1", "layer2")
    full = encoders.create("resnet18", stages=("layer4",), weights="random", platform="gpu")
    assert size(encoder) < size(full) / 10


def test_bfloat16_stays_near_float32():
    images = jnp.asarray(np.random.default_rng(0).standard_normal((1, 64, 64, 3)), jnp.float32)
    for name in ("resnet18", "efficientnet_lite0"):
        exact, rounded = (encoders.create(name, weights="random", dtype=dtype) for dtype in ("float32", "bfloat16"))
        a, b = (e.apply(e.params, images)[0] for e in (exact, rounded))
        assert b.dtype == jnp.bfloat16
        assert_close(b.astype(jnp.float32), a, 0.05)


def test_bfloat16_with_trained_weights_is_off_by_three_percent_in_the_mean():
    rng = np.random.default_rng(0)
    coarse, fine = (
        rng.standard_normal((1, 16, 16, 3)).repeat(14, 1).repeat(14, 2),
        rng.standard_normal((1, 224, 224, 3)),
    )
    images = jnp.asarray(coarse + 0.3 * fine, jnp.float32)
    exact, rounded = (
        encoders.create("efficientnet_lite0", stages=efficientnet.STAGES, dtype=dtype)
        for dtype in ("float32", "bfloat16")
    )
    for a, b in zip(exact.apply(exact.params, images), rounded.apply(rounded.params, images), strict=True):
        assert b.dtype == jnp.bfloat16
        difference = np.asarray(b, np.float64) - np.asarray(a, np.float64)
        assert np.sqrt(np.square(difference).mean() / np.square(a).mean()) < 0.04
        assert np.abs(difference).max() < 0.08 * np.abs(a).max()


def test_bfloat16_takes_half_of_the_memory():
    exact, rounded = (
        encoders.create("efficientnet_lite0", weights="random", dtype=dtype) for dtype in ("float32", "bfloat16")
    )
    memory = [sum(x.nbytes for x in jax.tree.leaves(encoder.params)) for encoder in (exact, rounded)]
    assert memory[1] < 0.57 * memory[0]


@pytest.mark.parametrize("name", ["resnet18", "efficientnet_lite0"])
def test_products_ask_for_full_precision(name):
    """On a CPU float32 is float32 anyway; a GPU or TPU rounds to TF32 or bfloat16 unless it is told not to."""
    encoder = encoders.create(name, weights="random")
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), jnp.float32)
    program = str(jax.make_jaxpr(encoder.apply)(encoder.params, images))
    products = program.count("dot_general[") + program.count("conv_general_dilated[")
    assert program.count("precision=(Precision.HIGHEST, Precision.HIGHEST)") == products > 10


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
    folded = Convolution(weights.Tensors(tensors, epsilon=1.0).convolution("c", "n", (1, 1, 1, 1)))
    # 2 * (3 x - 7) / sqrt(15 + 1) + 5 at x = 10
    assert folded(jnp.full((1, 1, 1, 1), 10.0)).item() == 2 * (30 - 7) / 4 + 5


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
    ("arguments", "message"),
    [
        ({"name": "vgg"}, "unknown encoder 'vgg': allowed are efficientnet_lite0"),
        ({"name": "resnet18", "stages": ("stage3",)}, "unknown stage 'stage3' of resnet18: allowed are layer1"),
        ({"name": "resnet18", "weights": "random", "dtype": "int8"}, "unknown dtype 'int8': allowed are float32"),
        ({"name": "resnet50_v1"}, "resnet50_v1 has no pretrained weights to fetch: pass the path"),
    ],
)
def test_unknown_names(arguments, message):
    with pytest.raises(ValueError, match=message):
        encoders.create(**arguments)


@pytest.mark.parametrize(("stride", "size"), [(1, 3), (2, 3), (2, 5), (1, 5)])
@pytest.mark.parametrize("shape", [(12, 9), (7, 8)])
def test_depthwise_equals_xlas_grouped_convolution(shape, stride, size):
    rng = np.random.default_rng(size)
    x = jnp.asarray(rng.standard_normal((2, *shape, 6)), jnp.float32)
    kernel = rng.standard_normal((size, size, 1, 6)).astype(np.float32)
    ours = Convolution((kernel, np.zeros(6, np.float32)), stride=stride, same=True, depthwise=True)(x)
    theirs = jax.lax.conv_general_dilated(
        x,
        jnp.asarray(kernel),
        (stride, stride),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
        feature_group_count=6,
    )
    assert_close(ours, theirs, 1e-6)


def test_max_pool_equals_torchs_padding():
    x = jnp.abs(jnp.asarray(np.random.default_rng(0).standard_normal((1, 7, 6, 2)), jnp.float32))
    theirs = jax.lax.reduce_window(
        x, -jnp.inf, jax.lax.max, (1, 3, 3, 1), (1, 2, 2, 1), ((0, 0), (1, 1), (1, 1), (0, 0))
    )
    assert_close(resnet.max_pool(x), theirs, 1e-7)


def test_lite_variants_scale_as_published():
    channels = {
        name: [stage.channels for stage in efficientnet.scaled_stages(variant)]
        for name, variant in efficientnet.VARIANTS.items()
    }
    assert channels["efficientnet_lite0"] == [16, 24, 40, 80, 112, 192, 320]
    assert channels["efficientnet_lite2"] == [16, 24, 48, 88, 120, 208, 352]
    assert [s.blocks for s in efficientnet.scaled_stages(efficientnet.VARIANTS["efficientnet_lite1"])] == [
        1,
        3,
        3,
        4,
        4,
        5,
        1,
    ]


def test_normalise_is_imagenets():
    grey = registry.normalise(jnp.full((1, 1, 1, 3), 255, jnp.uint8))
    assert_close(grey.ravel(), [(1 - 0.485) / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225], 1e-6)


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1", "efficientnet_lite0"])
def test_convolutions_as_single_operations_change_nothing_but_rounding(name):
    encoder = encoders.create(name, weights="random")
    single = registry.single_operations(encoder)
    images = jnp.asarray(np.random.default_rng(0).standard_normal((2, 40, 32, 3)), jnp.float32)
    for expected, actual in zip(
        encoder.apply(encoder.params, images), single.apply(single.params, images), strict=True
    ):
        assert_close(actual, expected, 1e-5)
    jaxpr = str(jax.make_jaxpr(single.apply)(single.params, images))
    assert "conv_general_dilated" in jaxpr and "dot_general" not in jaxpr


@pytest.mark.parametrize("name", ["resnet18", "resnet50_v1", "wide_resnet50_2", "efficientnet_lite0"])
@pytest.mark.parametrize("count", [1, 9])
def test_the_cpus_forms_change_nothing_but_rounding(name, count):
    encoder = encoders.create(name, weights="random", platform="cpu")
    plain = encoders.create(name, weights="random", platform="gpu")
    images = jnp.asarray(np.random.default_rng(count).standard_normal((count, 64, 48, 3)), jnp.float32)
    stages = encoder.apply(encoder.params, images)
    for expected, *actual in zip(
        plain.apply(plain.params, images),
        stages,
        registry.portable(encoder).apply(encoder.params, images),
        strict=True,
    ):
        for one in actual:
            assert one.shape == expected.shape
            assert jnp.max(jnp.abs(one - expected)) < 2e-5 * jnp.max(jnp.abs(expected))


def test_only_the_cpu_has_transformed_weights():
    on = {platform: encoders.create("resnet18", weights="random", platform=platform) for platform in ("cpu", "gpu")}
    jaxprs = {key: str(jax.make_jaxpr(one.apply)(one.params, jnp.zeros((1, 32, 32, 3)))) for key, one in on.items()}
    assert size(on["cpu"]) > 2 * size(on["gpu"])
    assert "dot_general" in jaxprs["cpu"] and "dot_general" not in jaxprs["gpu"]


def test_gradients_pass_through_all_forms():
    encoder = encoders.create("resnet18", weights="random", stages=("layer1",))

    def total(form):
        return lambda x: form.apply(encoder.params, x)[0].sum()

    images = jnp.asarray(np.random.default_rng(0).standard_normal((5, 32, 32, 3)), jnp.float32)
    fast, plain = (jax.grad(total(form))(images) for form in (encoder, registry.portable(encoder)))
    assert jnp.max(jnp.abs(fast - plain)) < 1e-4 * jnp.max(jnp.abs(plain))


@pytest.mark.parametrize("platform", ["cpu", "gpu"])
def test_tfloat32_is_the_platforms_own_precision(platform):
    plain, own = (
        encoders.create("resnet18", weights="random", dtype=dtype, platform=platform)
        for dtype in ("float32", "tfloat32")
    )
    images = jnp.asarray(np.random.default_rng(0).standard_normal((1, 32, 32, 3)), jnp.float32)
    jaxpr = str(jax.make_jaxpr(own.apply)(own.params, images))
    assert ("HIGHEST" in jaxpr) == (platform == "cpu")  # Winograd's products alone, which are a CPU's
    assert "HIGHEST" in str(jax.make_jaxpr(plain.apply)(plain.params, images))
    for expected, actual in zip(plain.apply(plain.params, images), own.apply(own.params, images), strict=True):
        assert actual.dtype == jnp.float32
        assert_close(actual, expected, 1e-5)
