"""Evaluations of data as cameras and annotation tools store them."""

import csv
import json

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from tests.data.parts import write_category

SMALL = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64, "batch_size": 4, "shots": (2,)}


def run(tmp_path, data="data", *, output="", **settings):
    """The results, and what was told."""
    told = []
    config = EvalConfig(
        data_dir=str(tmp_path / data), output_dir=str(tmp_path / "out" / (output or data)), **(SMALL | settings)
    )
    results = json.loads((evaluation.run(config, tell=told.append) / "results.json").read_text())
    return results, "".join(told)


def scores(tmp_path, output):
    with (tmp_path / "out" / output / "scores.csv").open() as opened:
        return np.array([float(row["score"]) for row in csv.DictReader(opened)])


def deepen(tmp_path, shift, name):
    """The data with 8 + shift bits in 16, grey, and the same with 8."""
    for file in sorted((tmp_path / "data").rglob("*.png")):
        place = file.relative_to(tmp_path / "data")
        grey = np.asarray(Image.open(file).convert("L"))
        for folder, values in ((name, grey.astype(np.uint16) << shift), ("grey", grey)):
            if "ground_truth" in place.parts:
                values = grey
            (tmp_path / folder / place).parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(values).save(tmp_path / folder / place)


@pytest.mark.parametrize("shift", [2, 4, 6])
def test_the_bit_depth_of_a_category_is_found(tmp_path, shift):
    write_category(tmp_path / "data", "bolt")
    deepen(tmp_path, shift, "deep")
    results, told = run(tmp_path, "deep")
    assert f"bit depth of pixels with more than 8 bits, by the training images: {8 + shift} in bolt\n" in told
    assert results["config"]["bit_depth"] == {"bolt": 8 + shift}
    _, told = run(tmp_path, "grey")
    assert "bit depth" not in told
    np.testing.assert_allclose(scores(tmp_path, "deep"), scores(tmp_path, "grey"), rtol=0.05)


def test_the_bit_depth_of_the_flag_and_of_cached_features(tmp_path):
    write_category(tmp_path / "data", "bolt")
    deepen(tmp_path, 4, "deep")
    found = {}
    for depth in ("auto", "12", "16", "auto"):
        run(tmp_path, "deep", bit_depth=depth, feature_cache=str(tmp_path / "cache"), output=depth)
        found[depth] = scores(tmp_path, depth)
    np.testing.assert_array_equal(found["auto"], found["12"])
    assert np.abs(found["16"] / found["12"] - 1).max() > 0.1


def test_files_that_are_not_looked_at_are_told(tmp_path):
    root = write_category(tmp_path / "data", "bolt") / "bolt"
    for name in ("train/good/a.heic", "test/good/b.avif", "test/scratch/c.heic", "test/good/d.txt"):
        (root / name).touch()
    (root / "train/good/more").mkdir()
    Image.new("RGB", (48, 48)).save(root / "test/stray.png")
    _, told = run(tmp_path)
    assert "3 files skipped: .avif (1), .heic (2)" in told
    assert "1 folder inside is not searched" in told
    assert "1 image skipped in train/ and test/ themselves" in told


def test_masks_that_may_not_mean_what_they_should_are_counted(tmp_path):
    root = write_category(tmp_path / "data", "bolt", defective=5) / "bolt"
    _, told = run(tmp_path, output="before")
    assert "masks of defective images" not in told
    masks = sorted((root / "ground_truth/scratch").iterdir())
    for mask in masks[:2]:
        Image.new("L", (48, 48)).save(mask)
    inverted = Image.eval(Image.open(masks[4]), lambda value: 255 - value)
    inverted.save(masks[4])
    _, told = run(tmp_path)
    assert "warning: bolt: 2 of 5 masks of defective images mark nothing" in told
    assert "warning: bolt: 1 of 5 masks of defective images mark more than half of the picture" in told


@pytest.mark.parametrize("ending", ["jpg", "webp"])
def test_masks_of_lossy_formats_give_the_same_figures(tmp_path, ending):
    root = write_category(tmp_path / "data", "bolt") / "bolt"
    expected, _ = run(tmp_path, output="plain")
    for mask in sorted((root / "ground_truth/scratch").iterdir()):
        Image.open(mask).save(mask.with_suffix(f".{ending}"), quality=80)
        mask.unlink()
    results, _ = run(tmp_path)
    for metric in ("pixel_auroc", "aupro"):
        assert results["rows"][0][metric] == pytest.approx(expected["rows"][0][metric], abs=0.01)
