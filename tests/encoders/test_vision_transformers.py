"""The transformers against the transformers and timm libraries, in every naming; positions, stages and options."""

import functools
import json
import sys
from pathlib import Path
from typing import ClassVar

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import encoders
from fastrecon_jax.encoders import layers, weights
from fastrecon_jax.encoders.families import dinov2, dinov3, tipsv2
from fastrecon_jax.encoders.transformer import attention, naming, positions, rotary, stage_names
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_families
from tests.helpers import assert_close

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = np.load(Path(__file__).parent / "data" / "vision_transformers.npz")
SMALL = tiny_families.DINOV2["tiny_dinov2"]._replace(width=96, depth=3, heads=2, hidden=384, table=7)
ROTARY = dinov3.VARIANTS["dinov3_vits16"].shape
SMALL_ROTARY = ROTARY._replace(width=96, depth=3, heads=2, hidden=384)
CASES = {
    "dinov2_swiglu": (dinov2, SMALL._replace(gated=True, hidden=256)),
    "timm_dinov2": (dinov2, SMALL),
    "timm_dinov2_reg": (dinov2, SMALL._replace(registers=4)),
    "timm_dinov2_swiglu": (dinov2, SMALL._replace(gated=True, hidden=256)),
    "timm_tipsv2": (dinov2, SMALL._replace(registers=1)),
    "dinov3_small": (dinov3, ROTARY),
    "dinov3_small_plus": (dinov3, dinov3.VARIANTS["dinov3_vitsplus16"].shape),
    "timm_dinov3": (dinov3, SMALL_ROTARY),
    "timm_dinov3_qkvb": (dinov3, SMALL_ROTARY),
    "timm_dinov3_swiglu": (dinov3, SMALL_ROTARY._replace(gated=True)),
}


def assert_as_stored(actual, stored, tolerance):
    """As `assert_close`, beyond the half unit that storing as float16 has rounded off."""
    actual = np.asarray(actual, np.float64).reshape(stored.shape)
    unit = np.spacing(np.abs(stored)).astype(np.float64)
    nearest = np.clip(stored.astype(np.float64), actual - 0.5 * unit, actual + 0.5 * unit)
    assert_close(nearest, stored, tolerance)


@pytest.fixture
def oracle(monkeypatch):
    """The script that made the references: its seeded weights and its images."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts" / "oracles"))
    monkeypatch.delitem(sys.modules, "vision_transformers", raising=False)
    import vision_transformers as script

    return script


def strictly(family, tensors, shape, stages, **options):
    """The module with a checkpoint's weights, none of which may be left over without the family's leave."""
    source = weights.Tensors(tensors)
    module = family.build(source, stages, shape=shape, **options)
    unread = functools.partial(family.beyond, last_stage=stages[-1], depth=shape.depth)
    source.finish(source="the checkpoint", encoder="the network", may_be_unread=unread)
    return module


def run(module, images):
    return jax.jit(lambda module, images: module(images))(module, jnp.asarray(images))


@pytest.mark.parametrize("case", CASES)
def test_the_libraries_give_the_same(oracle, case):
    family, shape = CASES[case]
    names = json.loads(str(REFERENCE[f"{case}/names"]))
    tensors = {name: oracle.tensor(name, tuple(sides)) for name, sides in names.items()}
    last = f"block{shape.depth}:normed"
    outputs = run(strictly(family, tensors, shape, (f"block{oracle.BLOCK}", last)), oracle.images(shape.patch))
    for stage, stored in ((f"block{oracle.BLOCK}", "block"), (last, "normed")):
        assert_as_stored(outputs[stage][..., :: oracle.EVERY], REFERENCE[f"{case}/{stored}"], 1e-5)


@pytest.mark.parametrize("registers", [False, True])
@pytest.mark.parametrize("form", layers.FORMS)
def test_dinov2_small_equals_the_transformers_library(shared, monkeypatch, registers, form):
    monkeypatch.syspath_prepend(str(shared / "reference"))
    monkeypatch.delitem(sys.modules, "seeded_weights", raising=False)
    from seeded_weights import dinov2_tensor

    name = f"dinov2_{'with_registers_' if registers else ''}small"
    lines = (shared / "reference" / f"{name}_names.txt").read_text().split("\n")
    listed = [line.split(" ", 1) for line in lines if line]
    shapes = {key: tuple(json.loads(f"[{shape.strip('(), ')}]")) for key, shape in listed}
    tensors = {key: dinov2_tensor(key, shape).astype(np.float32) for key, shape in shapes.items()}
    stages = ("block1", "block6", "block12", "block12:normed")
    shape = dinov2.VARIANTS["dinov2_vits14" + "_reg" * registers].shape
    module = strictly(dinov2, tensors, shape, stages)
    assert module.options == (f"positions={'antialias' if registers else 'plain'}",)
    layers.choose(module, form, jax.lax.Precision.HIGHEST)
    reference = np.load(shared / "reference" / f"{name}_seeded.npz")
    drawn = np.random.default_rng(224).standard_normal((1, 3, 224, 224)).astype(np.float32)
    for size, images in (("224x224", drawn.transpose(0, 2, 3, 1)), ("140x98", reference["images_140x98"])):
        outputs = run(module, images)
        for stage, stored in zip(stages, ("hidden1", "hidden6", "hidden12", "normed"), strict=True):
            assert_as_stored(outputs[stage], reference[f"{stored}_{size}"], 1e-4)


class Spy(naming.Renamed):
    """Notes the tensors by the names that are asked for, before they are renamed."""

    seen: ClassVar[dict] = {}

    def tensor(self, name, shape, **settings):
        value = super().tensor(name, shape, **settings)
        Spy.seen[name] = value if value.any() else value + 0.01
        return Spy.seen[name]


def renamed(tensors, names):
    """A checkpoint in another naming."""
    pieces = {}
    for name, value in tensors.items():
        found = naming.parts(names, name)
        pieces |= {part: piece for part, piece in zip(found, np.split(value, len(found)), strict=True) if part}
    return pieces


@pytest.mark.parametrize("name", tiny_families.names())
def test_a_file_of_each_naming_is_the_same_network(monkeypatch, tmp_path, name):
    family = dinov3 if name in tiny_families.DINOV3 else dinov2
    shape = tiny_families.SHAPES[name]
    monkeypatch.setattr(Spy, "seen", {})
    monkeypatch.setattr(family, "Renamed", Spy)
    family.build(weights.Random(), ("block6:normed",), shape=shape)
    monkeypatch.setattr(family, "Renamed", naming.Renamed)
    common = {} if family is dinov3 else {"options": ("positions=plain",)}
    images = np.random.default_rng(0).integers(0, 256, (1, 4 * shape.patch, 3 * shape.patch, 3)).astype(np.uint8)
    found = {}
    for kind, names in family.NAMES.items():
        tensors = dict(Spy.seen)
        if family is dinov2 and kind == naming.TIMM and shape.registers:
            tensors["cls_token"] = tensors["cls_token"] + tensors["pos_embed"][:, :1]
            tensors["pos_embed"] = tensors["pos_embed"][:, 1:]
        if family is dinov3 and kind == naming.TIMM:  # its other variant
            tensors |= {key: 0 * value for key, value in tensors.items() if key.endswith("qkv.bias")}
            tensors = {key: value for key, value in tensors.items() if not key.endswith("qkv.bias")}
        checkpoint = renamed(tensors, names)
        unread = {naming.ORIGINAL: "mask_token", naming.HUGGING_FACE: "embeddings.mask_token"}
        if kind in unread:
            checkpoint[unread[kind]] = np.zeros((1, shape.width), np.float32)
        file = tmp_path / f"{kind}.safetensors"
        save_file(checkpoint, file)
        encoder = encoders.create(name, weights=str(file), stages=("block6:normed",), **common)
        found[kind] = jax.jit(lambda encoder, images: encoder(images))(encoder, images)[0]
        del checkpoint[next(iter(checkpoint))]
        save_file(checkpoint | {"head.weight": np.zeros(3, np.float32)}, file)
        with pytest.raises(InputError, match=r"missing 1: .*unexpected 1: head\.weight"):
            encoders.create(name, weights=str(file), **common)
    if family is dinov3:
        del found[naming.TIMM]  # it has no biases, the others have
    for other in found.values():
        assert_close(other, found[naming.ORIGINAL], 1e-6)


@pytest.mark.parametrize("size", [(4, 3), (7, 7), (12, 16)])
@pytest.mark.parametrize("way", positions.WAYS)
def test_positions_are_resampled_as_torch_does(oracle, way, size):
    table = oracle.table()
    stored = REFERENCE[f"positions/{way}_{size[0]}x{size[1]}"]
    rows, columns = (positions.matrix(7, n, way=way) for n in size)
    assert_as_stored(np.einsum("hm,wn,mnc->hwc", rows, columns, table), stored, 1e-6)
    # With as many patches as positions, programs take the table as it is.
    expected = table if size == (7, 7) else np.einsum("hm,wn,mnc->hwc", rows, columns, table)
    assert_close(positions.resample(jnp.asarray(table), *size, way=way), expected, 1e-6)


def test_positions_follow_the_origin_unless_told_otherwise(tmp_path):
    shape = tiny_families.SHAPES["tiny_dinov2"]
    found = {
        origin: dinov2.build(Only(has), ("block6",), shape=shape).options
        for origin, has in (("original", "mask_token"), ("huggingface", "embeddings.cls_token"), ("timm", "cls_token"))
    }
    assert found == {
        "original": ("positions=offset",),
        "huggingface": ("positions=plain",),
        "timm": ("positions=antialias",),
    }
    registers = shape._replace(registers=4)
    assert dinov2.build(Only("mask_token"), ("block6",), shape=registers).options == ("positions=antialias",)
    chosen = encoders.create("tiny_dinov2", weights="random", options=("positions=antialias",))
    assert chosen.options == ("positions=antialias",)
    for options, message in (
        (("periods=float32",), "periods=float32 is not allowed: tiny_dinov2 has positions"),
        (("positions=linear",), "positions may be checkpoint, offset, plain, antialias"),
        (("positions=plain", "positions=offset"), "it is given twice"),
    ):
        with pytest.raises(InputError, match=message):
            encoders.create("tiny_dinov2", weights="random", options=options)
    with pytest.raises(InputError, match="resnet18 has none"):
        encoders.create("resnet18", weights="random", options=("positions=plain",))


class Only(weights.Random):
    """Random weights of a checkpoint that is known by one tensor."""

    def __init__(self, *names):
        self.names = names

    def has(self, name):
        return name in self.names


def test_periods_are_the_checkpoints_own_unless_told_otherwise():
    shape = tiny_families.SHAPES["tiny_dinov3"]._replace(width=96)  # 32 channels a head, 8 periods
    exact = 100 ** (np.arange(8) / 8)
    rounded = exact.astype(ml_dtypes.bfloat16).astype(np.float32)
    build = functools.partial(dinov3.build, stages=("block1",), shape=shape)
    for source, periods, option, expected in (
        (Only("storage_tokens"), "checkpoint", "float32", exact),
        (Only("storage_tokens", dinov3.PERIODS), "checkpoint", "stored", np.ones(8)),
        (Only("storage_tokens", dinov3.PERIODS), "float32", "float32", exact),
        (Only("reg_token"), "bfloat16", "bfloat16", rounded),
    ):
        module = build(source, periods=periods)
        assert module.options == (f"periods={option}",)
        assert_close(module.periods[...], expected, 1e-7)
    assert np.abs(rounded / exact - 1).max() > 1e-3


def test_rotary_positions_by_hand():
    lengths = np.array([1.0, 10.0], np.float32)  # two periods, heads of 8 channels
    turned = rotary.rotation(jnp.asarray(lengths), 2, 3, before=1)
    assert turned.cosine.shape == (7, 8)
    assert_close(turned.cosine[0], np.ones(8))
    assert not turned.sine[0].any()  # the class token has no place
    # The patch in row 1 and column 2: y = 2 * 1.5 / 2 - 1 = 0.5, x = 2 * 2.5 / 3 - 1 = 2 / 3.
    angles = 2 * np.pi * np.concatenate([0.5 / lengths, 2 / 3 / lengths] * 2)
    assert_close(turned.cosine[6], np.cos(angles), 1e-5)
    x = np.arange(8.0, dtype=np.float32)
    by_hand = x * np.cos(angles) + np.concatenate([-x[4:], x[:4]]) * np.sin(angles)
    tokens = jnp.broadcast_to(jnp.asarray(x), (1, 1, 7, 8))
    assert_close(rotary.rotate(tokens, turned)[0, 0, 6], by_hand, 1e-5)


@pytest.mark.parametrize("form", layers.FORMS)
def test_attention_of_672_pixels_equals_the_plain_formula(form):
    n, heads, size = 48 * 48 + 1, 3, 16
    rng = np.random.default_rng(0)
    q, k, v = (rng.standard_normal((1, heads, n, size)).astype(np.float32) for _ in range(3))
    attend = jax.jit(functools.partial(attention.attend, at_once=attention.AT_ONCE[form]))
    found = attend(q, k, v)
    logits = np.einsum("bgnd,bgmd->bgnm", *(x.astype(np.float64) for x in (q, k)))
    exponentials = np.exp(logits - logits.max(-1, keepdims=True))
    expected = np.einsum("bgnm,bgmd->bgnd", exponentials / exponentials.sum(-1, keepdims=True), v.astype(np.float64))
    assert_close(found, expected, 1e-5)
    builtin = jax.nn.dot_product_attention(*(jnp.swapaxes(x, 1, 2) for x in (q, k, v)), scale=1.0)
    assert_close(found, jnp.swapaxes(builtin, 1, 2), 1e-5)
    # The matrix of all heads takes 64 MB: on a CPU it is never there as a whole.
    whole = f"f32[1,{heads},{n},{n}]"
    assert (whole in str(jax.make_jaxpr(attend)(q, k, v))) == (form == "single")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("block6", ((6,), "", "")),
        ("0.5", ((6,), "", "")),
        ("1.0", ((12,), "", "")),
        ("0.01", ((1,), "", "")),
        ("block12:normed", ((12,), "", "normed")),
        ("block12:class", ((12,), "", "class")),
        ("block7..block9:mean", ((7, 8, 9), "mean", "")),
        ("0.5..0.75:mean:normed", ((6, 7, 8, 9), "mean", "normed")),
        ("block12+block8:concat", ((8, 12), "concat", "")),
        *((wrong, None) for wrong in ("block0", "block13", "0", "0.0", "1.5", "block6:mean", "block7..block9")),
        *((wrong, None) for wrong in ("block9..block7:mean", "block6+block6:mean", "block6:normed:mean", "layer6")),
        *((wrong, None) for wrong in ("block6+block7:mean:class", "", "block6:", "0.5..:mean", "block6:normed:normed")),
    ],
)
def test_names_of_stages(text, expected):
    read = stage_names.read(text, 12)
    assert (read and tuple(read)) == expected
    if read:
        assert stage_names.read(read.name, 12) == read


def test_stages_are_what_their_names_say():
    names = ("block2", "block4", "block2..block4:mean", "block4+block2:concat:normed", "block4:normed", "block4:class")
    encoder = encoders.create("tiny_dinov2_reg", weights="random", stages=(*names, "block3", "0.34:normed"))
    images = np.random.default_rng(0).integers(0, 256, (2, 56, 42, 3)).astype(np.uint8)
    outputs = jax.jit(lambda encoder, images: encoder(images))(encoder, images)
    found = dict(zip(encoder.stages, map(np.asarray, outputs), strict=True))
    assert encoder.stages[:2] == ("block2", "block2:normed")  # finest first, then as they are computed
    assert {stage.shape for name, stage in found.items() if "concat" not in name and "class" not in name} == {
        (2, 4, 3, 24)
    }
    mean = (found["block2"] + found["block3"] + found["block4"]) / 3
    assert_close(found["block2..block4:mean"], mean, 1e-6)
    joined = np.concatenate([found["block2:normed"], found["block4:normed"]], axis=-1)
    assert_close(found["block2+block4:concat:normed"], joined, 1e-6)
    assert found["block4:class"].shape == (2, 4, 3, 3)  # heads
    normal = (found["block4"] - found["block4"].mean(-1, keepdims=True)) / found["block4"].std(-1, keepdims=True)
    assert_close(found["block4:normed"], normal, 1e-4)


def test_attention_of_the_class_token_by_the_plain_formula():
    shape = tiny_families.SHAPES["tiny_dinov3"]
    module = dinov3.build(weights.Random(), ("block1:class",), shape=shape)
    x = jnp.asarray(np.random.default_rng(0).standard_normal((1, 3, 24)), jnp.float32)
    of_token = module.blocks[0].attn.of_token(x)
    source = weights.Random()
    kernel = source.tensor("blocks.0.attn.qkv.weight", (72, 24), init="lecun")
    tokens = np.asarray(x[0], np.float64) @ kernel.T.astype(np.float64)
    q, k = (tokens[:, i * 24 : (i + 1) * 24].reshape(3, 3, 8) for i in (0, 1))
    assert_close(of_token[0], np.einsum("gd,mgd->gm", q[0], k) / np.sqrt(8), 1e-5)


@pytest.mark.parametrize(("name", "depth"), [("dinov2_vits14", 12), ("dinov2_vitl14_reg", 24), ("dinov2_vitg14", 40)])
def test_default_stages_are_thirds_of_the_upper_half(name, depth):
    thirds = stage_names.thirds(depth)
    assert thirds == {12: (8, 10, 12), 24: (16, 20, 24), 40: (27, 33, 40)}[depth]
    assert encoders.stages_of(name, (4, 8, 16)) == tuple(f"block{block}:normed" for block in thirds)
    assert encoders.stages_of(name, (8, 16)) == tuple(f"block{block}:normed" for block in thirds[1:])


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("dinov2_vits14", 22e6),
        ("dinov2_vitb14_reg", 86.6e6),
        ("dinov2_vitl14", 304e6),
        ("dinov2_vitg14", 1.136e9),
        ("dinov3_vits16", 21.6e6),
        ("dinov3_vitsplus16", 28.7e6),
        ("dinov3_vitb16", 85.7e6),
        ("dinov3_vitl16", 303e6),
        ("dinov3_vithplus16", 840.5e6),
        ("tipsv2_b14", 86e6),
        ("tipsv2_l14", 304e6),
    ],
)
def test_published_sizes(name, parameters):
    """Counted without making them."""

    class Count:
        total = 0

        def has(self, name):
            return False

        def tensor(self, name, shape, **_):
            self.total += int(np.prod(shape))
            return np.broadcast_to(np.zeros(1, np.float32), shape)

    entry, source = encoders.registration(name), Count()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "device_put", lambda x, *_: np.zeros(1, np.float32))
        patch.setattr(np, "ascontiguousarray", lambda x, *_: np.zeros(1, np.float32))
        entry.build(source, (f"block{len(entry.stages)}:normed",))
    assert abs(source.total / parameters - 1) < 0.02


@pytest.mark.parametrize("name", ["tiny_dinov2", "tiny_dinov3"])
def test_sizes_that_are_no_multiples_of_the_patch_are_refused(name):
    encoder = encoders.create(name, weights="random")
    patch = tiny_families.SHAPES[name].patch
    below, above = 4 * patch, 5 * patch
    with pytest.raises(
        InputError, match=rf"multiples of {patch} pixels, unlike {below + 3}: the nearest are {below} and {above}"
    ):
        encoder(np.zeros((1, below, below + 3, 3), np.uint8))


def test_facts_of_the_families():
    assert encoders.registration("tipsv2_b14").mean == (0.0, 0.0, 0.0) and tipsv2.VARIANTS
    assert encoders.registration("dinov3_vits16").licence == "DINOv3 License"
    entry = encoders.registration("dinov2_vitb14_reg")
    assert entry.weights == "hf://facebook/dinov2-with-registers-base"
    assert entry.also == (
        "hf://timm/vit_base_patch14_reg4_dinov2.lvd142m",
        "https://dl.fbaipublicfiles.com/dinov2/dinov2_vitb14/dinov2_vitb14_reg4_pretrain.pth",
    )
    with pytest.raises(
        InputError, match=r"unknown stage 'block13' of dinov2_vits14: allowed are block1, .*encoders\.md"
    ):
        encoders.create("dinov2_vits14", weights="random", stages=("block13",))
    with pytest.raises(InputError, match="nothing may be named twice"):
        encoders.create("dinov2_vits14", weights="random", stages=("block6", "0.5"))
