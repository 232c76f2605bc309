"""Methods that work on images in an evaluation: alone and beside others, and what is refused."""

import json

import numpy as np
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import figures, on_images, setup
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.serving.config import DemoConfig
from fastrecon_jax.training import checkpoints, loop
from tests.data.parts import write_category
from tests.exporting import small_encoder

assert small_encoder.build
TINY = {
    "differnet_hidden": 8,
    "differnet_blocks": 1,
    "differnet_steps": 4,
    "differnet_bank_rotations": 2,
    "differnet_score_rotations": 2,
}
SMALL = {"encoder": "small", "weights": "random", "image_size": 64, "crop_size": 64, "batch_size": 4, "shots": (2,)}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_category(tmp_path_factory.mktemp("data"), "bolt")


def config(data, out, own=TINY, **fields):
    places = {"data_dir": str(data), "output_dir": str(out)}
    return EvalConfig(**({"method": ("differnet",)} | SMALL | places | fields), settings=own)


def run(data, out, own=TINY, **fields):
    directory = evaluation.run(config(data, out, own, **fields), tell=lambda text: None)
    results = json.loads((directory / "results.json").read_text())
    for row in results["rows"]:
        assert row.pop("fit_seconds") > 0
        assert row.pop("score_images_per_second") > 0
    return results


@pytest.fixture(scope="module")
def alone(data, tmp_path_factory):
    return run(data, tmp_path_factory.mktemp("alone"), support="random", seeds=(0, 1))


def test_it_runs_alone(alone):
    assert [(row["method"], row["seed"], row["query_images"]) for row in alone["rows"]] == [
        ("differnet", 0, 6),
        ("differnet", 1, 6),
    ]
    assert all(0 <= row[name] <= 1 for row in alone["rows"] for name in ("image_auroc", "pixel_auroc", "aupro"))
    assert "differnet (preset small, hidden 8, blocks 1, steps 4, " in alone["config"]["description"]
    assert alone["config"]["settings"]["differnet"]["trained_preset"] == "small"


def test_others_beside_it_change_nothing_and_are_not_changed(data, alone, tmp_path):
    drawn = {"support": "random", "seeds": (0, 1)}
    both = run(data, tmp_path / "both", method=("nearest", "differnet"), **drawn)["rows"]
    nearest = run(data, tmp_path / "nearest", {}, method=("nearest",), **drawn)["rows"]
    assert both == nearest + alone["rows"]


def test_its_images_have_their_own_size_and_its_maps_that_of_the_run(data, tmp_path, monkeypatch):
    seen = []
    measured = figures.metrics.pixel_metrics

    def pixel_metrics(masks, maps):
        seen.append((masks.shape, maps.shape, masks.sum()))
        return measured(masks, maps)

    monkeypatch.setattr(figures.metrics, "pixel_metrics", pixel_metrics)
    opened = setup.open_setup(config(data, tmp_path / "a", TINY | {"side": 32}, image_size=72))
    (compiled,) = opened.programs.methods
    own = on_images._preprocessing(compiled, opened.config)
    assert (own.image_size, own.crop_size) == (36, 32)
    run(data, tmp_path / "b", TINY | {"side": 32})
    run(data, tmp_path / "c", {}, method=("nearest",))
    assert seen[0] == seen[1]
    assert seen[0][:2] == ((6, 64, 64), (6, 64, 64))


def test_copies_count_as_more_images(data, tmp_path):
    opened = setup.open_setup(config(data, tmp_path, support_copies=("flip",)))
    (compiled,) = opened.programs.methods
    (category,) = opened.categories
    images = on_images._support(compiled, category.train[:2], opened.config.preprocessing)
    assert images.shape == (6, 64, 64, 3)
    np.testing.assert_array_equal(images[2], images[0][:, ::-1])
    assert "copies flip" in setup.description(opened)


def test_an_interrupted_evaluation_goes_on_with_its_training(data, alone, tmp_path, monkeypatch):
    save = checkpoints.save

    def interrupted(*arguments):
        save(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", interrupted)
    fields = {"checkpoint_dir": str(tmp_path / "kept"), "support": "random", "seeds": (0, 1)}
    with pytest.raises(KeyboardInterrupt):
        run(data, tmp_path / "out", **fields)
    monkeypatch.setattr(checkpoints, "save", save)
    programs, trained = loop._program, []
    monkeypatch.setattr(loop, "_program", lambda *arguments: trained.append(1) or programs(*arguments))
    assert run(data, tmp_path / "out", **fields)["rows"] == alone["rows"]
    assert len(trained) == 1  # the other draw was trained before
    names = sorted(path.name for path in (tmp_path / "kept" / "bolt").iterdir())
    assert names == ["differnet_2shots_draw0", "differnet_2shots_draw1"]


def test_an_image_score_that_was_asked_for_is_that_of_the_map(data, tmp_path):
    opened = setup.open_setup(config(data, tmp_path, image_score="max"))
    (category,) = opened.categories
    (scored,) = evaluation.score(opened, category, progress=False).scored.values()
    np.testing.assert_array_equal(scored.images, scored.patches.max(axis=(2, 3)))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"tile": (32, 16)}, "--tile=32,16 is not allowed: differnet encodes whole images"),
        ({"feature_cache": "kept"}, r"--feature_cache=\S*kept is not allowed: differnet keeps no features"),
        (
            {"checkpoint_dir": "kept", "method": ("nearest",)},
            r"--checkpoint_dir=\S*kept is not allowed: no method is trained",
        ),
        (
            {"encoder": "dinov2_vits14", "image_size": 42, "crop_size": 42, "own": TINY | {"side": 28}},
            "--method=differnet is not possible with images of 28 pixels and dinov2_vits14: it encodes them with sides "
            "of 28, 14, 7, which must be at least 14",
        ),
    ],
)
def test_what_cannot_be_is_refused_before_the_work(data, tmp_path, fields, message):
    own = fields.pop("own", {} if fields.get("method") else TINY)
    with pytest.raises(InputError, match=f"^{message}"):
        setup.open_setup(config(data, tmp_path, own, **fields))


@pytest.mark.parametrize(
    ("command", "fields"), [(FitConfig, {"images": "x", "model": "x.safetensors"}), (DemoConfig, {})]
)
def test_parts_are_refused_in_one_line(command, fields):
    with pytest.raises(InputError, match=r"^--method=differnet is not possible here: it is trained on the images"):
        command(method="differnet", **fields)
