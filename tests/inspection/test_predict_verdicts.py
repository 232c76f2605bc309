"""The command predict: why a verdict, pictures that repeat, other rates and thresholds."""

import shutil

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import ledger, page
from fastrecon_jax.inspection.config import PredictConfig
from fastrecon_jax.parts import limits, part_file
from tests.inspection import line


@pytest.fixture
def images(tmp_path):
    return line.write(tmp_path / "in", 2)


def predict(disc, images, output, **options):
    said = []
    line.predict(disc, images, output, tell=said.append, overlays="none", **options)
    return line.lines(output), "".join(said)


def test_a_stuck_camera_and_a_picture_that_the_part_knows(disc, images, tmp_path):
    first, second = sorted(images.iterdir())
    stuck = shutil.copy(second, images / f"{second.stem}b.png")
    (images / "other").mkdir()
    shutil.copy(first, images / "other" / "same.png")
    good = part_file.read_header(disc).good[0].name
    shutil.copy(good, tmp_path / "known.png")
    rows, _ = predict(disc, f"{images},{images / 'other'},{tmp_path / 'known.png'}", tmp_path / "out")
    reasons = {row["path"]: (row["verdict"], row["reason"]) for row in rows}
    assert reasons[str(stuck)] == ("borderline", f"the same picture as {second} before it")
    assert reasons[str(tmp_path / "known.png")] == ("good", f"the same picture as {good}, one of the good images")
    assert sum(bool(reason) for _, reason in reasons.values()) == 2
    assert all(0 <= row["confidence"] <= 1 for row in rows)
    table = {cells["path"]: cells for cells in line.table(tmp_path / "out")}
    assert all(table[path]["reason"] == reason for path, (_, reason) in reasons.items())
    assert f"the same picture as {second} before it" in (tmp_path / "out" / page.NAME).read_text(encoding="utf-8")


def test_another_rate_and_another_threshold_belong_to_the_run(disc, images, tmp_path):
    own = part_file.read_header(disc).limits
    rows, said = predict(disc, images, tmp_path / "rate", target_fpr=0.2)
    assert {row["threshold"] for row in rows} == {limits.at_rate(own, 0.2).threshold}
    assert "for 20 % false positives" in said
    rows, said = predict(disc, images, tmp_path / "threshold", threshold=1e-3)
    assert {(row["threshold"], row["verdict"]) for row in rows} == {(1e-3, "defective")}
    assert all(row["confidence"] > 0.5 for row in rows)
    assert "threshold 0.001 given" in said
    assert ledger._json(tmp_path / "threshold" / ledger.RUN)["same"]["threshold"] == 1e-3
    line.write(images, 1, start=300)
    rows, _ = predict(disc, images, tmp_path / "threshold", threshold=1e-3)  # resumed
    assert len(rows) == 3
    was = "threshold was 0.001 and is"
    for other, change in (({"threshold": 0.5}, f"{was} 0.5"), ({}, f"{was} not given")):
        with pytest.raises(InputError, match=change):
            predict(disc, images, tmp_path / "threshold", **other)
    with pytest.raises(InputError, match="target_fpr was not given and is"):
        predict(disc, images, tmp_path / "threshold", target_fpr=0.2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"target_fpr": 0.0}, "--target_fpr=0.0 is not allowed: it must be above 0 and below 1"),
        ({"target_fpr": float("nan")}, "--target_fpr=nan is not allowed"),
        ({"threshold": 0.0}, "--threshold=0.0 is not allowed: it must be a number above 0"),
        ({"threshold": float("inf")}, "--threshold=inf is not allowed"),
        ({"threshold": float("nan")}, "--threshold=nan is not allowed"),
        ({"threshold": 1.0, "target_fpr": 0.1}, "--target_fpr=0.1 is not allowed: --threshold stands instead of it"),
    ],
)
def test_rates_and_thresholds_that_are_not_allowed(options, message):
    with pytest.raises(InputError, match=message):
        PredictConfig(model="a.safetensors", images="in", output_dir="out", **options)
