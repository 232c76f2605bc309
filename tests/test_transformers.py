"""A transformer all the way: evaluation, part, inspection, extension, exports; rectangles in multiples of its patch."""

import json

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import FastRecon, exporting, methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.exporting import command
from fastrecon_jax.exporting.config import ExportConfig
from tests.data.parts import write_category
from tests.encoders import tiny_families

OPTIONS = {"tiny_dinov2": ("positions=antialias",), "tiny_dinov3_swiglu": ("periods=bfloat16",)}


def photographs(count, first=0):
    """Discs on grey in fine noise, wider than high."""
    rows, columns = np.mgrid[:80, :112]
    found = []
    for seed in range(first, first + count):
        rng = np.random.default_rng(seed)
        disc = (rows - 40) ** 2 + (columns - 56 - rng.integers(-2, 3)) ** 2 < 600
        found.append((90 + 80 * disc[..., None] + rng.integers(0, 20, (80, 112, 3))).astype(np.uint8))
    return found


def fit(name, **settings):
    known = {"encoder": name, "weights": "random", "image_size": 70, "name": "disc"}
    return FastRecon.fit(photographs(4), **(known | settings))


@pytest.mark.parametrize("name", OPTIONS)
def test_an_evaluation_with_all_methods(tmp_path, name):
    patch = tiny_families.SHAPES[name].patch
    write_category(tmp_path / "data", "bolt")
    config = EvalConfig(
        method=("all",),
        settings={"differnet_hidden": 8, "differnet_blocks": 1, "differnet_steps": 2, "differnet_score_rotations": 1},
        encoder=name,
        weights="random",
        image_size=4 * patch,
        crop_size=4 * patch,
        shots=(2,),
        encoder_options=OPTIONS[name],
        data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "out"),
    )
    directory = evaluation.run(config, tell=lambda text: None)
    results = json.loads((directory / "results.json").read_text())
    assert {row["method"] for row in results["rows"]} == set(methods.names())
    settings = results["config"]
    assert settings["encoder_options"] == list(OPTIONS[name]) and OPTIONS[name][0] in settings["description"]
    assert settings["stages"] == ["block4:normed", "block5:normed", "block6:normed"]


@pytest.mark.parametrize(("name", "method"), list(zip(OPTIONS, ("fastrecon+", "patchcore"), strict=True)))
def test_a_part_from_fit_to_extend(tmp_path, name, method):
    patch = tiny_families.SHAPES[name].patch
    part = fit(name, method=method, settings={"coreset_ratio": 1.0}, encoder_options=OPTIONS[name])
    # The longer side is the nearest multiple of the patch to 70, the shorter one in proportion.
    assert part.part.recipe.shape == {14: (56, 70), 16: (48, 64)}[patch]
    assert part.part.recipe.encoder_options == OPTIONS[name]
    part.save(tmp_path / "disc.safetensors")
    loaded = FastRecon.load(tmp_path / "disc.safetensors")
    queries = photographs(3, first=10)
    scores = part.score(queries)
    np.testing.assert_allclose(loaded.score(queries), scores, rtol=1e-6)
    assert part.score(photographs(1))[0] < scores.min()  # it was fitted on that one
    assert loaded.predict(queries[:1])[0].map.shape == part.part.recipe.shape
    extended = loaded.extend(photographs(2, first=20))
    assert len(extended.part.good) == 6 and extended.part.recipe == part.part.recipe


@pytest.mark.parametrize(
    ("name", "kind"),
    [("tiny_dinov2_reg", "onnx"), ("tiny_dinov3_swiglu", "onnx"), ("tiny_dinov2_swiglu", "stablehlo")],
)
def test_exported_files_give_the_scores_of_the_part(tmp_path, name, kind):
    pytest.importorskip({"onnx": "jax2onnx", "stablehlo": "flatbuffers"}[kind])
    part = fit(name, method="patchcore", stages=("0.5", "block4..block6:mean:normed"))
    part.save(tmp_path / "disc.safetensors")
    for i, picture in enumerate(photographs(2)):
        Image.fromarray(picture).save(tmp_path / f"{i}.png")
    config = ExportConfig(
        model=str(tmp_path / "disc.safetensors"),
        format=kind,
        output=str(tmp_path / "disc.out"),
        images=str(tmp_path / "*.png"),
    )
    file = command.export(config, tell=lambda text: None)
    queries = photographs(3, first=30)
    scores, maps = exporting.load(kind, file)(np.stack(queries))
    np.testing.assert_allclose(scores, part.score(queries), rtol=1e-4)
    assert maps.shape == (3, *part.part.recipe.shape)


def test_sizes_that_a_patch_does_not_divide():
    with pytest.raises(InputError, match=r"--crop_size=60 .*unlike 60: the nearest are 56 and 70"):
        fit("tiny_dinov2", resize="crop", crop_size=60)
    assert fit("tiny_dinov2", resize="stretch", image_size=64).part.recipe.shape == (70, 70)
    config = EvalConfig(encoder="tiny_dinov2", weights="random", image_size=64, crop_size=64)
    with pytest.raises(InputError, match=r"--crop_size=64 .*the nearest are 56 and 70"):
        evaluation.run(config, tell=lambda text: None)
