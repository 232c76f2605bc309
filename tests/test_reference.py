"""The published formulas, inverse and all, in float64 on real images: our figures and scores beside theirs."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from fastrecon_jax import detector, encoders, methods
from fastrecon_jax.data import folder, loader
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.evaluation import encoding, programs, run
from fastrecon_jax.evaluation.config import EvalConfig


def settings(shared, category, **more):
    weights = shared / "weights" / "resnet50_v1_to_layer3.safetensors"
    return EvalConfig(
        data_dir=str((shared / "data" / category).parent),
        category=(category.split("/")[1],),
        encoder="resnet50_v1",
        weights=str(weights),
        **more,
    )


@pytest.mark.parametrize("lam", [0.0, 2.0])
@pytest.mark.parametrize("category", ["mvtec_ad/bottle", "mpdd/metal_plate"])
def test_figures_and_scores_are_the_published_ones(shared, tmp_path, category, lam):
    config = settings(shared, category, shots=(2, 4, 8), settings={"lam": lam}, output_dir=str(tmp_path))
    run.run(config, tell=lambda text: None)
    rows = json.loads((tmp_path / "results.json").read_text())["rows"]
    with (tmp_path / "scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    reference = json.loads((shared / "reference" / "fastrecon_resnet50_v1.json").read_text())
    for row in rows:
        expected = reference[f"{category} shots={row['shots']} lam={lam:g}"]
        ours = {s["path"]: float(s["score"]) for s in scores if s["shots"] == str(row["shots"])}
        assert ours.keys() == expected["scores"].keys()
        assert row["coreset_rows"] == expected["coreset_rows"]
        for metric in ("image_auroc", "pixel_auroc"):
            assert row[metric] == pytest.approx(expected[metric], abs=1e-4)
        a, b = (np.array([scores[name] for name in ours]) for scores in (ours, expected["scores"]))
        assert np.abs(a / b - 1).max() < 1e-5
        assert spearmanr(a, b)[0] > 0.9999


@pytest.mark.parametrize("category", ["mvtec_ad/bottle", "mpdd/metal_plate"])
def test_the_coreset_is_the_published_one(shared, category):
    config = settings(shared, category)
    encoder = encoders.create(config.encoder, weights=config.weights)
    method = methods.create("fastrecon")
    compiled = programs.create(encoder, [method], map_size=224)
    train = folder.open_category((shared / "data" / category).parent, category.split("/")[1]).train[:8]
    batch = next(loader.batches(train, Preprocessing(256, 224), batch_size=8))
    stages, _ = encoding.timed(compiled.encode, compiled.encoder, batch.images)
    reference = json.loads((shared / "reference" / "fastrecon_resnet50_v1.json").read_text())
    for shots in (2, 4, 8):
        states = compiled.methods[0].fit(tuple(stage[None, :shots] for stage in stages), detector.keys([None]))
        expected = reference[f"{category} shots={shots} lam=2"]["first_coreset_indices"]
        np.testing.assert_array_equal(states.coreset[0, : len(expected)], expected)
