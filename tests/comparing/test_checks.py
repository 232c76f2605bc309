"""Warnings: each where there is a reason, none where there is none."""

import numpy as np
import pytest

from fastrecon_jax.comparing import checks, comparison, runs, systems
from tests.comparing import made

METRICS = ("image_auroc", "aupro")


def warned(*paths):
    found, _ = systems.gather([runs.read(str(path)) for path in paths])
    return [*checks.warnings(found, METRICS), *comparison.apart(found)]


@pytest.fixture
def one(tmp_path):
    return made.ours(tmp_path / "one", made.fits({"nearest": 1.0}, ("a", "b", "c")))


def test_runs_that_agree_have_no_warnings(one, tmp_path):
    other = made.ours(tmp_path / "other", made.fits({"padim": 1.0}, ("a", "b", "c")))
    assert warned(one) == [] and warned(one, other) == []


def test_parts_and_shots(one, tmp_path):
    found = made.fits({"padim": 1.0}, ("a", "c")) | made.fits({"padim": 1.0}, ("a",), shots=(4,))
    assert warned(one, made.ours(tmp_path / "x", found)) == [
        "padim lacks mpdd/b with 2 shots: its mean is over 2 of 3 parts and does not compare; differences are over the "
        "parts in common.",
        "nearest: no results with 4 shots.",
    ]
    apart = made.ours(tmp_path / "y", made.fits({"spade": 1.0}, ("z",)))
    assert "nearest and spade have no part with one number of shots in common." in warned(one, apart)


def test_images_and_labels(one, tmp_path):
    fewer = made.fits({"padim": 1.0}, ("a", "b", "c"), names=made.images(8, 11))
    (line,) = warned(one, made.ours(tmp_path / "x", fewer))
    assert line.startswith("Test images or their labels differ in mpdd/a, and in 2 more: ")
    assert "nearest 20 images, 12 defective; padim 19 images, 11 defective. Differences of image metrics" in line
    other = made.fits({"padim": 1.0}, ("a", "b", "c"))
    for names, labels, _ in list(other.values())[:1]:
        swapped = labels.copy()
        swapped[[0, -1]] = swapped[[-1, 0]]
        other = {key: (names, swapped if key[1] == "b" else labels, own[2]) for key, own in other.items()}
    (line,) = warned(one, made.ours(tmp_path / "y", other))
    assert "differ in mpdd/b: nearest 20 images, 12 defective; padim 20 images, 12 defective" in line


def test_draws_and_support(one, tmp_path):
    draws = made.fits({"padim": 1.0}, ("a", "b", "c"), seeds=(5, 6, 7))
    (line,) = warned(one, made.ours(tmp_path / "x", draws))
    assert line.startswith(
        "Draws differ in mpdd/a with 2 shots, and in 2 more: nearest draws 0, 1; padim draws 5, 6, 7."
    )
    other = made.ours(tmp_path / "y", made.fits({"padim": 1.0}, ("a", "b", "c")))
    text = (other / "support.csv").read_text().replace("a,2,1,train/good/10", "a,2,1,train/good/99")
    (other / "support.csv").write_text(text)
    assert warned(one, other) == [
        "Support images differ in mpdd/a with 2 shots, draw 1: nearest train/good/10.png, train/good/11.png; padim "
        "train/good/11.png, train/good/99.png."
    ]
    unknown = made.ours(tmp_path / "z", made.fits({"padim": 1.0}, ("a", "b", "c")), support=False)
    (line,) = warned(one, unknown)
    assert line.startswith("Support images are unknown of padim: there is no support.csv beside the scores")


def test_settings(one, tmp_path):
    found = made.fits({"padim": 1.0}, ("a", "b", "c"))
    depths = {"a": 12, "b": 16, "c": 16}
    other = made.ours(tmp_path / "x", found, crop_size=448, max_queries=20, tile=[64, 8], bit_depth=depths)
    again = made.ours(
        tmp_path / "y", {("spade", *key[1:]): own for key, own in found.items()}, bit_depth=depths | {"a": 16}
    )
    assert warned(one, other, again) == [
        "x: at most 20 test images a category (--max_queries), not all.",
        "The setting crop_size differs: nearest, spade 224; padim 448.",
        "The setting bit_depth of a differs: padim 12; spade 16.",
    ]
    theirs = made.theirs(tmp_path / "theirs", found)
    assert any(
        line.startswith("Sizes of images, masks and other settings are unknown of theirs")
        for line in warned(one, theirs)
    )


def test_runs_that_are_not_whole_or_mean_nothing(tmp_path):
    found = made.fits({"nearest": 1.0}, ("a",))
    run = made.ours(tmp_path / "run", found, category=["a", "b"], partial=["a"], weights="random")
    assert warned(run) == [
        "run: not finished, no results of b yet.",
        "run: a not complete; the figures are not those of the published set.",
        "run: the encoder's weights are random, the figures mean nothing.",
    ]


def test_metrics_that_some_parts_lack(tmp_path):
    whole = made.ours(tmp_path / "a", made.fits({"nearest": 1.0}, ("a",)))
    bare = made.ours(tmp_path / "b", made.fits({"nearest": 1.0}, ("b",)), pixels=None)
    assert warned(whole, bare) == ["nearest: aupro not defined on mpdd/b; means are over the other parts."]


def test_many_names_are_cut(tmp_path):
    parts = tuple("abcdefgh")
    one = made.ours(tmp_path / "one", made.fits({"nearest": 1.0}, parts))
    two = made.ours(tmp_path / "two", made.fits({"padim": 1.0}, ("a",)))
    assert warned(one, two)[0].startswith(
        "padim lacks mpdd/b, mpdd/c, mpdd/d, mpdd/e and 3 more with 2 shots: its mean"
    )
    assert np.all([len(line) < 300 for line in warned(one, two)])
