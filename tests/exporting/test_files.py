"""Every method and format, against the program itself; each file is also run by a program that has none of ours."""

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

from fastrecon_jax import composition, detector, encoders, exporting, methods
from fastrecon_jax.core import resample
from fastrecon_jax.errors import InputError
from tests.helpers import assert_close

NEEDED = {"stablehlo": ("flatbuffers",), "onnx": ("jax2onnx", "onnx", "onnxruntime")}
SIZES = {"crop_size": 64, "image_size": 72}
PHOTO = {"height": 120, "width": 100}
# The second variants of PatchCore and SPADE compare over several blocks of the bank and choose among support images.
VARIANTS = {
    **{name: (name, {"coreset_ratio": 0.3} if name in ("fastrecon", "patchcore") else {}) for name in methods.names()},
    "patchcore of the paper": ("patchcore", {"coreset_ratio": 1.0, "patchcore_reweighting": 9, "neighbours": 3}),
    "spade of few": ("spade", {"neighbours": 3}),
}
SUPPORT = {"patchcore of the paper": 18}
each_format = pytest.mark.parametrize("kind", exporting.FORMATS)


def need(kind):
    for package in NEEDED[kind]:
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"needs {package}, which is not installed: pip install -e '.[export,onnx]'")


def photographs(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, *PHOTO.values(), 3), np.uint8)


@functools.cache
def encoder(name):
    return encoders.create(name, **({"weights": "random"} if name == "resnet18" else {}))


@functools.cache
def part(encoder_name, variant):
    """(method, arrays, the program's function of images)."""
    name, settings = VARIANTS[variant]
    method, frozen = methods.create(name, methods.MethodSettings(**settings), map_size=64), encoder(encoder_name)
    support = resample.resize_and_crop(jnp.asarray(photographs(0, SUPPORT.get(variant, 5))), **SIZES)
    fit = jax.jit(lambda params, x: method.fit(jax.vmap(method.embed)(detector.encode(frozen, params, x)), KEY))
    arrays = composition.Arrays(frozen.params, fit(frozen.params, support))
    inspect = composition.compose(frozen, method, **SIZES, **PHOTO)
    return method, arrays, jax.jit(lambda x: inspect(arrays, jnp.asarray(x)))


KEY = jax.random.key(0)
FACTS = {"part": "bottle", "threshold": "0.5"}


def export(kind, encoder_name, variant, **changes):
    method, arrays, _ = part(encoder_name, variant)
    return exporting.export(
        kind, encoder(encoder_name), method, arrays, **{**SIZES, **PHOTO, "facts": FACTS, **changes}
    )


@each_format
@pytest.mark.parametrize(
    ("encoder_name", "variant"),
    [("resnet18", variant) for variant in VARIANTS] + [("efficientnet_lite0", name) for name in methods.names()],
)
def test_a_file_gives_the_programs_results_for_batches_of_any_size(tmp_path, encoder_name, variant, kind):
    need(kind)
    file = tmp_path / "part"
    file.write_bytes(export(kind, encoder_name, variant))
    _, _, original = part(encoder_name, variant)
    images = np.concatenate([photographs(1, 1), exporting.probes(**PHOTO, count=2)])
    assert max(exporting.verify(original, kind, file, images)) < 1e-5  # in batches of 3 and 1


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
    file.write_bytes(export(kind, "resnet18", "fastrecon"))
    np.save(images, photographs(1, 2))
    script = ALONE.format(absent=ABSENT[kind], images=str(images), run=RUN[kind].format(file=str(file)))
    done = subprocess.run(
        [sys.executable, "-I", "-c", script], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 0, done.stderr
    expected = part("resnet18", "fastrecon")[2](photographs(1, 2))
    for actual, of_program in zip(json.loads(done.stdout), expected, strict=True):
        assert_close(actual, of_program, 1e-5)


def test_an_onnx_file_is_valid_names_its_tensors_and_keeps_the_facts():
    need("onnx")
    import onnx

    model = onnx.load_from_string(export("onnx", "resnet18", "fastrecon"))
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
    exported = jax.export.deserialize(bytearray(export("stablehlo", "resnet18", "fastrecon")))
    assert exported.platforms == ("cpu", "cuda", "tpu")
    assert [str(x.shape) for x in exported.in_avals] == ["(batch, 120, 100, 3)"]
    assert [str(x.shape) for x in exported.out_avals] == ["(batch,)", "(batch, 64, 64)"]


@each_format
def test_a_file_that_gives_something_else_is_found_out(tmp_path, kind):
    need(kind)
    file = tmp_path / "part"
    file.write_bytes(export(kind, "resnet18", "fastrecon"))
    _, _, other = part("resnet18", "nearest")
    differences = exporting.verify(other, kind, file, exporting.probes(**PHOTO))
    assert min(differences) > exporting.tolerance("fastrecon")


def test_an_unknown_format():
    with pytest.raises(InputError, match="unknown format 'coreml': allowed are stablehlo, onnx"):
        export("coreml", "resnet18", "fastrecon")
    with pytest.raises(InputError, match="unknown format 'coreml'"):
        exporting.load("coreml", Path("part"))


def test_bfloat16_does_not_go_into_onnx():
    method, arrays, _ = part("resnet18", "fastrecon")
    frozen = encoder("resnet18")._replace(dtype="bfloat16")
    with pytest.raises(InputError, match="an encoder of bfloat16 does not go into an onnx file"):
        exporting.export("onnx", frozen, method, arrays, **SIZES, **PHOTO)


@each_format
def test_parts_beyond_two_gigabytes_are_refused(kind):
    method, arrays, _ = part("resnet18", "fastrecon")
    large = arrays._replace(state=np.broadcast_to(np.float32(0), (600_000, 1000)))
    with pytest.raises(InputError, match=f"the part holds 2.4 GB, {kind} files end at 2: fit it with fewer shots"):
        exporting.export(kind, encoder("resnet18"), method, large, **SIZES, **PHOTO)


@pytest.mark.parametrize(
    ("kind", "package", "extra"), [("onnx", "jax2onnx", "onnx"), ("stablehlo", "flatbuffers", "export")]
)
def test_a_missing_package_names_the_extra(monkeypatch, kind, package, extra):
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(InputError, match=rf"exporting needs {package}.*pip install -e \"\.\[{extra}\]\""):
        export(kind, "resnet18", "fastrecon")


def test_what_cannot_be_converted_says_so():
    need("onnx")
    method, arrays, _ = part("resnet18", "nearest")
    odd = method._replace(score=lambda state, features: jax.lax.cond(features.sum() > 0, jnp.sin, jnp.cumsum, features))
    with pytest.raises(InputError, match=r"jax2onnx .* cannot convert this part"):
        exporting.export("onnx", encoder("resnet18"), odd, arrays, **SIZES, **PHOTO)
