"""Several parts in one call: each image picks its own."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import models, routing
from fastrecon_jax.inspection.routing import Choice, Router
from tests.inspection import line


@pytest.fixture
def mixed(tmp_path):
    """Images of both parts without their names."""
    line.write(tmp_path / "in", 3, start=100)
    return line.write(tmp_path / "in", 3, start=200, part="bar")


def picked(output):
    return {Path(row["path"]).name: (row["part"], row["picked"]) for row in line.lines(output)}


def test_parts_are_picked_by_likeness(disc, bar, mixed, tmp_path):
    assert line.predict(f"{disc},{bar}", mixed, tmp_path / "out", batch_size=4) == 0
    assert picked(tmp_path / "out") == {
        f"{number}.png": (part, "likeness")
        for start, part in ((100, "disc"), (200, "bar"))
        for number in range(start, start + 3)
    }


def test_a_part_that_was_picked_scores_as_if_alone(disc, bar, mixed, tmp_path):
    line.predict(f"{disc},{bar}", mixed, tmp_path / "both")
    line.predict(disc, mixed / "10*.png", tmp_path / "one")
    alone = {row["path"]: row["score"] for row in line.lines(tmp_path / "one")}
    together = {row["path"]: row["score"] for row in line.lines(tmp_path / "both")}
    assert all(together[path] == pytest.approx(score, rel=1e-5) for path, score in alone.items())


def test_a_name_in_the_path_decides(disc, bar, mixed, tmp_path):
    shutil.copytree(mixed, tmp_path / "line Bar-3")
    line.predict(f"{disc},{bar}", tmp_path / "line Bar-3", tmp_path / "out")
    assert set(picked(tmp_path / "out").values()) == {("bar", "name")}


def test_the_command_line_decides(disc, bar, mixed, tmp_path):
    line.predict(f"{disc},{bar}", mixed, tmp_path / "out", part="BAR")
    assert set(picked(tmp_path / "out").values()) == {("bar", "given")}
    with pytest.raises(InputError, match="--part=cup is not among the models: allowed are disc, bar, or auto"):
        line.predict(f"{disc},{bar}", mixed, tmp_path / "out", part="cup")


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("in/bottle/1.png", "bottle"),
        ("in/BOTTLE_1.png", "bottle"),
        ("in/bottles/1.png", None),
        ("in/mybottle.png", None),
        ("in/bottle cap/bottle.png", "bottle cap"),
        ("in/c++/x.png", "c++"),
        ("in/1.png", None),
        ("in/same1/same2.png", None),
    ],
)
def test_names_are_whole_words_and_the_longest_wins(path, expected):
    names = ("bottle", "bottle cap", "c++", "same1", "same2")
    choice = routing.by_name(Router(names, None, None, (), ""), Path(path))
    assert choice == (expected and Choice(names.index(expected), "name"))


def test_parts_without_their_good_images_cannot_be_compared(disc, mixed, tmp_path):
    short = line.fit(tmp_path / "fit", "short", extendable=False)
    assert line.predict(f"{disc},{short}", mixed, tmp_path / "out") == 3
    for row in line.lines(tmp_path / "out"):
        assert "short was fitted with --extendable=false" in row["error"]
        assert row["path"] in row["error"]
        assert "pass --part=NAME" in row["error"]
    assert line.predict(f"{disc},{short}", mixed, tmp_path / "named", part="short") == 0


def test_parts_of_different_recipes_need_names(disc, mixed, tmp_path):
    other = line.fit(tmp_path / "fit", "other", stages=("layer1",))
    with pytest.raises(InputError, match=r"100\.png .*disc and other differ in stages .*pass --part=NAME"):
        line.predict(f"{disc},{other}", mixed, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    shutil.copytree(mixed, tmp_path / "disc or not")
    assert line.predict(f"{disc},{other}", tmp_path / "disc or not", tmp_path / "out") == 0


def test_two_parts_of_one_name_are_refused(disc, mixed, tmp_path):
    shutil.copy(disc, tmp_path / "copy.safetensors")
    with pytest.raises(InputError, match="both hold a part named disc"):
        line.predict(f"{disc},{tmp_path / 'copy.safetensors'}", mixed, tmp_path / "out")


def test_equal_recipes_share_their_programs_and_equal_encoders_their_weights(disc, bar, tmp_path):
    nearest = line.fit(tmp_path, "nearest", method="nearest")
    one, two, three = (model.inspector for model in models.load([disc, bar, nearest]))
    assert one.engine is two.engine
    assert three.engine is not one.engine
    assert three.engine.encoder is one.engine.encoder


def test_a_pattern_names_several_models(disc, bar, mixed, tmp_path):
    for model in (disc, bar):
        shutil.copy(model, tmp_path)
    told = []
    line.predict(tmp_path / "*.safetensors", mixed, tmp_path / "out", tell=told.append)
    assert "part bar" in told[0]
    assert "part disc" in told[0]
    assert told[0].count("encoder resnet18") == 1


def test_pooling_is_the_mean_over_the_image():
    stage = np.arange(2 * 3 * 4 * 5, dtype=np.float32).reshape(2, 3, 4, 5)
    np.testing.assert_allclose(routing.pooled(stage)[1, 2], stage[1, :, :, 2].mean(), rtol=1e-6)
