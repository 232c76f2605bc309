"""Each method and each encoder in every format, against the program; each file also runs without this package."""

import dataclasses
import functools
import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import encoders, exporting, methods
from fastrecon_jax.core import resample
from fastrecon_jax.detector import Detector
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_transformer
from tests.exporting import small_encoder
from tests.helpers import assert_close, encoded_copies

NEEDED = {"stablehlo": ("flatbuffers",), "onnx": ("jax2onnx", "onnx", "onnxruntime")}
IMAGE, CROP = 72, 64
PHOTO = {"height": 120, "width": 100}
# The second variants of PatchCore and SPADE compare over several blocks of the bank and choose among support images.
VARIANTS = {
    **{
        name: (name, {"coreset_ratio": 0.3} if name in ("fastrecon", "patchcore") else {})
        for name in methods.feature_names()
    },
    "patchcore of the paper": ("patchcore", {"coreset_ratio": 1.0, "reweighting": 9, "neighbours": 3}),
    "nearest of the part": ("nearest", {"foreground": 0.0, "pooling": False}),
    "spade of few": ("spade", {"neighbours": 3}),
}
SUPPORT = {"patchcore of the paper": 18}
# Each encoder once in the format that converts its operations one by one, one of each family in the other; of
# ConvNeXts, which differ in width and depth alone, the smallest; transformers in test_transformers.py, at a tiny size.
TRANSFORMERS = ("dinov2_", "dinov3_vit", "tipsv2_", "tiny_dinov", "tiny_tips")
OTHERS = [name for name in encoders.names() if not name.startswith(TRANSFORMERS)]
ENCODERS = [("onnx", name) for name in OTHERS if name != "small" and "convnext" not in name]
ENCODERS += [("onnx", "convnext_atto")]
ENCODERS += [("stablehlo", name) for name in ("resnet18", "efficientnet_lite0", "tiny_transformer", "convnext_atto")]
assert small_encoder.build and tiny_transformer.build
each_format = pytest.mark.parametrize("kind", exporting.FORMATS)


def need(kind):
    for package in NEEDED[kind]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}, which is not installed: pip install -e '.[export,onnx]'")


def photographs(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, *PHOTO.values(), 3), np.uint8)


@functools.cache
def part(encoder_name, variant):
    """(encoder, detector, state, the program as a function of images)."""
    name, settings = VARIANTS[variant]
    crop = 63 if encoder_name == "tiny_transformer" else CROP  # its patches have 7 pixels
    detector = Detector(methods.create(name, settings, map_size=crop), crop)
    stages = encoders.stages_of(encoder_name, detector.method.strides)
    encoder = encoders.create(encoder_name, stages=stages, weights="random")
    support = jnp.asarray(photographs(0, SUPPORT.get(variant, 5)))

    images = resample.resize_and_crop(support, image_size=IMAGE, crop_size=crop)
    encode = functools.partial(jax.jit(lambda encoder, images: encoder(images)), encoder)
    state = jax.jit(detector.fit)(encode(images), jax.random.key(0), encoded_copies(encode, images, detector.method))
    inspect = jax.jit(functools.partial(detector.inspect_photographs, image_size=IMAGE))
    return encoder, detector, state, lambda images: tuple(inspect(encoder, state, jnp.asarray(images)))[:2]


FACTS = {"part": "bottle", "threshold": "0.5"}


def export(kind, encoder_name="small", variant="fastrecon", **changes):
    encoder, detector, state, _ = part(encoder_name, variant)
    return exporting.export(
        kind, *(encoder, detector, state), **{"image_size": IMAGE, **PHOTO, "facts": FACTS, **changes}
    )


@each_format
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_methods_file_gives_the_programs_results_for_batches_of_any_size(tmp_path, variant, kind):
    need(kind)
    file = tmp_path / "part"
    file.write_bytes(export(kind, "small", variant))
    images = np.concatenate([photographs(1, 1), exporting.probes(**PHOTO, count=2)])
    assert max(exporting.verify(part("small", variant)[3], kind, file, images)) < 1e-5  # in batches of 3 and 1


@each_format
def test_what_is_known_exactly_is_no_rounding(tmp_path, kind):
    """Photographs of the support with a new corner: the rest has distances of 0 up to the rounding of each program."""
    need(kind)
    file = tmp_path / "part"
    _, detector, _, program = part("small", "fastrecon+")
    file.write_bytes(export(kind, "small", "fastrecon+"))
    images = photographs(0, 5)
    images[:, :30, :30] = 255
    assert max(exporting.verify(program, kind, file, images)) < detector.method.export_tolerance == 1e-4


@each_format
def test_the_file_of_a_part_with_tiles_gives_the_programs_results(tmp_path, kind):
    need(kind)
    file = tmp_path / "part"
    whole, detector, state, _ = part("small", "nearest")
    encoder = encoders.tiled(whole, (48, 16), height=CROP, width=CROP)
    file.write_bytes(exporting.export(kind, encoder, detector, state, image_size=IMAGE, **PHOTO))
    inspect = jax.jit(functools.partial(detector.inspect_photographs, image_size=IMAGE))
    images = np.concatenate([photographs(1, 1), exporting.probes(**PHOTO, count=1)])

    def original(encoder, images):
        return tuple(inspect(encoder, state, jnp.asarray(images)))[:2]

    assert max(exporting.verify(functools.partial(original, encoder), kind, file, images)) < 1e-5
    assert max(exporting.verify(functools.partial(original, whole), kind, file, images)) > 1e-3  # tiles have edges


@pytest.mark.parametrize(("kind", "encoder_name"), ENCODERS)
def test_every_encoders_file_gives_the_programs_results(tmp_path, encoder_name, kind):
    need(kind)
    file = tmp_path / "part"
    file.write_bytes(export(kind, encoder_name, "nearest"))
    images = exporting.probes(**PHOTO, count=1)
    assert max(exporting.verify(part(encoder_name, "nearest")[3], kind, file, images)) < 1e-5


ALONE = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {absent}:
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import json
import numpy as np
images = np.load({images!r})
{run}
assert not set({absent}) & set(sys.modules)
print(json.dumps([np.asarray(score).tolist(), np.asarray(map).tolist()]))
"""
RUN = {
    "onnx": "import onnxruntime\n"
    "session = onnxruntime.InferenceSession({file!r}, providers=['CPUExecutionProvider'])\n"
    "score, map = session.run(['score', 'map'], {{'image': images}})",
    "stablehlo": "import jax\nscore, map = jax.export.deserialize(bytearray(open({file!r}, 'rb').read())).call(images)",
}
ABSENT = {"onnx": ("fastrecon_jax", "jax", "jaxlib", "flax"), "stablehlo": ("fastrecon_jax", "flax")}


@each_format
def test_a_program_without_ours_runs_the_file(tmp_path, kind):
    need(kind)
    file, images = tmp_path / "part", tmp_path / "images.npy"
    file.write_bytes(export(kind))
    np.save(images, photographs(1, 2))
    script = ALONE.format(absent=ABSENT[kind], images=str(images), run=RUN[kind].format(file=str(file)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = part("small", "fastrecon")[3](photographs(1, 2))
    for actual, of_program in zip(json.loads(done.stdout), expected, strict=True):
        assert_close(actual, of_program, 1e-5)


def test_an_onnx_file_is_valid_names_its_tensors_and_keeps_the_facts():
    need("onnx")
    import onnx

    model = onnx.load_from_string(export("onnx"))
    onnx.checker.check_model(model, full_check=True)
    shapes = {
        value.name: [side.dim_param or side.dim_value for side in value.type.tensor_type.shape.dim]
        for value in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {"image": ["batch", 120, 100, 3], "score": ["batch"], "map": ["batch", 64, 64]}
    assert model.graph.input[0].type.tensor_type.elem_type == onnx.TensorProto.UINT8
    assert {entry.key: entry.value for entry in model.metadata_props} == FACTS


def test_a_stablehlo_file_runs_on_all_platforms():
    need("stablehlo")
    exported = jax.export.deserialize(bytearray(export("stablehlo")))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert [str(x.shape) for x in exported.in_avals] == ["(batch, 120, 100, 3)"]
    assert [str(x.shape) for x in exported.out_avals] == ["(batch,)", "(batch, 64, 64)"]


@each_format
def test_a_file_that_gives_something_else_is_found_out(tmp_path, kind):
    need(kind)
    file = tmp_path / "part"
    file.write_bytes(export(kind))
    differences = exporting.verify(part("small", "nearest")[3], kind, file, exporting.probes(**PHOTO))
    assert min(differences) > part("small", "fastrecon")[1].method.export_tolerance


@each_format
def test_images_of_another_size_are_refused(tmp_path, kind):
    need(kind)
    message = r"images of \(120, 101, 3\) are not allowed: the part takes \(120, 100, 3\)"
    file, images = tmp_path / "part", np.zeros((1, 120, 101, 3), np.uint8)
    file.write_bytes(export(kind))
    with pytest.raises(ValueError, match=message):
        exporting.load(kind, file)(images)
    inspect = exporting.program(*part("small", "fastrecon")[:3], image_size=IMAGE, **PHOTO)
    with pytest.raises(ValueError, match=message):
        inspect(jnp.asarray(images))


def test_an_unknown_format():
    with pytest.raises(InputError, match="unknown format 'coreml': allowed are stablehlo, onnx"):
        export("coreml")
    with pytest.raises(InputError, match="unknown format 'coreml'"):
        exporting.load("coreml", Path("part"))


def test_bfloat16_does_not_go_into_onnx():
    encoder, detector, state, _ = part("small", "fastrecon")
    half = dataclasses.replace(encoder, dtype="bfloat16")
    with pytest.raises(InputError, match="an encoder of bfloat16 does not go into an onnx file"):
        exporting.export("onnx", half, detector, state, image_size=IMAGE, **PHOTO)


@each_format
def test_parts_beyond_two_gigabytes_are_refused(kind):
    encoder, detector, *_ = part("small", "fastrecon")
    large = np.broadcast_to(np.float32(0), (600_000, 1000))
    with pytest.raises(InputError, match=f"the part holds 2.4 GB, {kind} files end at 2: fit it with fewer shots"):
        exporting.export(kind, encoder, detector, large, image_size=IMAGE, **PHOTO)


@pytest.mark.parametrize(
    ("kind", "package", "extra"), [("onnx", "jax2onnx", "onnx"), ("stablehlo", "flatbuffers", "export")]
)
def test_a_missing_package_names_the_extra(monkeypatch, kind, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"exporting needs {package}.*pip install -e \"\.\[{extra}\]\""):
        export(kind)


def test_what_cannot_be_converted_says_so():
    need("onnx")
    encoder, detector, state, _ = part("small", "nearest")

    def odd(state, features):
        return jax.lax.cond(features.sum() > 0, jnp.sin, jnp.cumsum, features)

    unknown = dataclasses.replace(detector, method=detector.method._replace(score=odd))
    with pytest.raises(InputError, match=r"jax2onnx .* cannot convert this part"):
        exporting.export("onnx", encoder, unknown, state, image_size=IMAGE, **PHOTO)
