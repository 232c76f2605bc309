"""Methods that see pixels alone in an evaluation: no encoder where nothing uses one, and the same beside others."""

import json

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation import setup
from fastrecon_jax.evaluation.config import EvalConfig
from tests.data.parts import write_category
from tests.exporting import small_encoder

assert small_encoder.build
TINY = {
    "tdg_side": 32,
    "tdg_coarsest": 11,
    "tdg_finest": 12,
    "tdg_scales": 2,
    "tdg_width": 4,
    "tdg_steps": 2,
    "tdg_transformations": 4,
}
SMALL = {"image_size": 64, "crop_size": 64, "batch_size": 4, "shots": (2,)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_category(tmp_path_factory.mktemp("data"), "bolt")


def config(data, out, **fields):
    places = {"data_dir": str(data), "output_dir": str(out)}
    return EvalConfig(**({"method": ("tdg",)} | SMALL | places | fields), settings=TINY)


def test_it_runs_without_an_encoder_and_the_same_beside_others(data, tmp_path):
    def run(name, **fields):
        directory = evaluation.run(config(data, tmp_path / name, **fields), tell=lambda text: None)
        return json.loads((directory / "results.json").read_text())

    alone = run("alone")
    both = run("both", method=("nearest", "tdg"), encoder="small", weights="random")
    (row,) = alone["rows"]
    assert (row["encoder"], row["weights"], row["query_images"]) == ("none", "none", 6)
    assert alone["config"]["encoder"] == "none"
    assert "tdg (preset small, " in alone["config"]["description"]
    assert ", encoder none, support first." in alone["config"]["description"]
    (beside,) = (other for other in both["rows"] if other["method"] == "tdg")
    assert (beside["encoder"], beside["weights"]) == ("none", "none")
    metrics = [name for name in row if name.startswith(("image_", "pixel_", "aupro"))]
    assert {name: row[name] for name in metrics} == {name: beside[name] for name in metrics}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"encoder": "resnet18"}, "--encoder=resnet18"),
        ({"weights": "random"}, "--weights=random"),
        ({"stages": ("layer2",)}, "--stages=layer2"),
        ({"dtype": "bfloat16"}, "--dtype=bfloat16"),
    ],
)
def test_flags_of_an_encoder_that_nothing_uses_are_refused(data, tmp_path, fields, message):
    with pytest.raises(InputError, match=f"^{message} is not allowed: tdg sees pixels alone and uses no encoder"):
        setup.open_setup(config(data, tmp_path, **fields))
