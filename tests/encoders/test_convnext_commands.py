"""A ConvNeXt under DINOv3's licence through the commands: eval, fit, predict, export; what each says of the licence."""

import json

import numpy as np
import pytest
from safetensors.numpy import save_file

from fastrecon_jax import exporting
from fastrecon_jax.encoders import licences
from fastrecon_jax.encoders.families import convnext
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.exporting import command as export_command
from fastrecon_jax.exporting.config import ExportConfig
from tests.data.parts import write_category
from tests.encoders import tiny_convnext
from tests.inspection import line, test_fit
from tests.parts.helpers import picture, write

BLOCKS = (1, 1, 1, 1)  # in each stage: programs are compiled in a moment
SAID = "the weights of small_dinov3 are under the DINOv3 License: copies and whatever contains the weights"


@pytest.fixture
def weights(monkeypatch, tmp_path):
    """A checkpoint in the naming of the hub."""
    oracle = tiny_convnext.load_oracle(monkeypatch)
    tiny_convnext.register(monkeypatch, oracle, BLOCKS)
    named = convnext.HUGGING_FACE
    file = tmp_path / "dinov3.safetensors"
    save_file(tiny_convnext.checkpoint(oracle, named, drawn_as=named, normed=True, blocks=BLOCKS), file)
    return str(file)


@pytest.fixture
def part(weights, tmp_path):
    said = []
    images = str(write(tmp_path / "good"))
    test_fit.fit(tmp_path, said.append, images=images, encoder="small_dinov3", stages=(), weights=weights)
    assert SAID in "".join(said)
    return tmp_path / "disc.safetensors"


def test_eval(weights, tmp_path):
    write_category(tmp_path / "data", "bolt")
    said = []
    config = EvalConfig(
        encoder="small_dinov3",
        weights=weights,
        method=("fastrecon", "fastrecon+", "nearest"),
        image_size=64,
        crop_size=64,
        batch_size=4,
        shots=(2,),
        data_dir=str(tmp_path / "data"),
        output_dir=str(tmp_path / "out"),
    )
    results = json.loads((evaluation.run(config, tell=said.append) / "results.json").read_text())
    assert results["config"]["stages"] == ["stage1", "stage2", "stage3"]
    assert len(results["config"]["weights_sha256"]) == 64
    assert [0 <= row["image_auroc"] <= 1 for row in results["rows"]] == [True] * 3
    assert "".join(said).count(SAID) == 1


def test_predict(part, tmp_path):
    write(tmp_path / "new", 2, start=50)
    said = []
    assert line.predict(part, tmp_path / "new", tmp_path / "inspected", tell=said.append) == 0
    assert [row["verdict"] for row in line.lines(tmp_path / "inspected")]
    assert "".join(said).count(SAID) == 1


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_export_and_its_licence(part, tmp_path, kind):
    pytest.importorskip("flatbuffers", reason="needs the extra export: flatbuffers")
    said, output = [], tmp_path / f"disc.{kind}"
    if kind == "onnx":
        onnx = pytest.importorskip("onnx", reason="needs the extra onnx: onnx")
    config = ExportConfig(model=str(part), format=kind, output=str(output))
    file = export_command.export(config, tell=said.append)
    scores, maps = exporting.load(kind, file)(np.stack([np.asarray(picture(seed)) for seed in (1, 7)]))
    assert (scores.shape, maps.shape) == ((2,), (2, 64, 64))
    assert "it holds weights of small_dinov3, whose licence is DINOv3 License: copies and whatever" in "".join(said)
    beside = (tmp_path / f"disc.{kind}.LICENCE.txt").read_text()
    assert beside.startswith("small_dinov3, ") and "dinov3-license" in beside
    if kind == "onnx":
        facts = {entry.key: entry.value for entry in onnx.load(file).metadata_props}
        assert facts["weights_licence"] == licences.DINOV3
        assert "together with a copy of it" in facts["weights_terms"]


def test_random_weights_have_no_terms(weights):
    from fastrecon_jax import encoders

    assert licences.notice(encoders.create("small_dinov3", weights="random")) == ""
