"""The figures of the note: frames without the part, what a record says, merged records, and files that repeat."""

import json
import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import jax
import numpy as np
import pytest

from fastrecon_jax import detector, methods
from fastrecon_jax.methods import fastrecon_plus
from tests.data.parts import write_category

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "scripts"


@pytest.fixture
def script(load):
    return load("paper_figures")


def record(part, shots=1, *, data="demo", gap=0.0, **more):
    shares = {"forward_above": 20.0, "both_above": 100.0, "forward_auroc": 50.0, "both_auroc": 60.0, "missed": "none"}
    return {"data": data, "part": part, "encoder": "e", "shots": shots, "good": 3, "gap": gap} | shares | more


def points(script):
    return {kind: [[-1.0, -1.1], [-0.5, -0.8]] for kind in script.KINDS}


def test_a_record_by_hand(script):
    """Two draws, two good images and a defective one, three empty frames."""
    margin = fastrecon_plus.Settings.backward_margin
    forward = np.array([[-1.0, -2.0, 0.0], [-1.0, -1.0, -3.0]])
    tests = script.Maxima(forward, forward + np.array([0.1, 0.3, 0.0]))
    empty = script.Maxima(
        np.array([[-0.9, -5.0, -5.0], [0.0, -5.0, -5.0]]),
        np.array([[-5.0, -0.8 + margin, -0.95], [-5.0, -0.5, -0.95]]),
    )
    found = script.summary(tests, np.array([False, False, True]), empty, ["a", "b", "c"])
    assert (found["good"], found["gap"], found["gap_std"]) == (2, 0.2, 0.1)
    # Forward the first frame alone exceeds the largest good score, -1. Both ways that is -0.9 + 0.1 - margin at most.
    assert found["forward_above"] == pytest.approx(100 * 2 / 6, abs=0.1)
    of_good = script.both_ways(tests)[:, :2].max(axis=1)
    np.testing.assert_allclose(of_good, [-0.9 - margin, -0.7 - margin])
    assert found["both_above"] == pytest.approx(100 * 4 / 6, abs=0.1)
    assert found["missed"] == "c"
    assert (found["forward_auroc"], found["both_auroc"]) == (50.0, 50.0)


def test_both_ways_is_the_score_of_the_method(script):
    """The script's maxima give the image score that the method itself gives."""
    keys = jax.random.split(jax.random.key(0), 2)
    method = methods.create("fastrecon+", fastrecon_plus.Settings(light=False))
    support, query = (
        tuple(jax.random.normal(key, (*count, side, side, 8)) for side in (16, 8, 4))
        for key, count in zip(keys, ((2,), ()), strict=True)
    )
    found = detector.Detector(method, 32)
    state = found.fit(support, jax.random.key(0))
    both = fastrecon_plus.directions(state, method.embed(query))
    maxima = script.Maxima(*(np.asarray(x.max())[None, None] for x in both[:2]))
    np.testing.assert_allclose(script.both_ways(maxima)[0, 0], np.log(found.score(state, query).image), rtol=1e-5)


def test_records_are_merged_by_part(script):
    known = script.merged([], [record("b", gap=0.3), record("a", gap=0.1)])
    new = script.merged(known, [record("b", gap=-0.1), record("b", gap=0.2, data="other")])
    assert [(r["data"], r["part"], r["gap"]) for r in new] == [
        ("demo", "a", 0.1),
        ("demo", "b", -0.1),
        ("other", "b", 0.2),
        ("all parts", "all parts", pytest.approx(0.067)),
    ]
    assert (new[-1]["good"], new[-1]["gap_std"], new[-1]["both_above"]) == (9, pytest.approx(0.125), 100.0)
    assert script.merged(new, []) == new


def test_standard_errors_by_hand(script):
    def of(method, data, auroc, **more):
        return {"encoder": "e", "method": method, "data": data, "shots": 1, "image_auroc": auroc} | more

    records = [
        of("nearest", "a", 80.0, image_auroc_std=1.0),
        of("nearest", "b", 90.0, image_auroc_std=2.0),
        of("fastrecon+", "a", 84.0),
        of("fastrecon+", "b", 90.0),
        of("padim", "a", 99.0),
        of("nearest", "mean", 85.0),
    ]
    nearest, ours = script.standard_errors({"records": records})["records"]
    assert (nearest["image_auroc"], nearest["over_data"]) == (85.0, 5.0)
    assert (nearest["gain"], nearest["gain_over_data"]) == (2.0, 2.0)
    assert (nearest["over_draws"], nearest["sets_with_draws"]) == (0.5, 2)  # sqrt((1 + 4) / 5) / 2
    assert ours == {"encoder": "e", "method": "fastrecon+", "shots": 1, "image_auroc": 87.0, "over_data": 3.0}


def test_standard_errors_are_those_of_the_methods(script):
    figures = ROOT / "docs" / "figures"
    made = script._written(script.standard_errors(json.loads((figures / "methods.json").read_text(encoding="utf-8"))))
    kept = (figures / "standard_errors.json").read_text(encoding="utf-8")
    assert made == kept, "methods.json has changed: run python scripts/paper_figures.py --records_only"


def test_the_picture_repeats_and_has_a_panel_for_each_part(script, tmp_path):
    records = [record(part, k, points=points(script)) for part in ("a", "b") for k in (1, 4)] + [record("c")]
    for name in ("first", "second"):
        script.save(script.picture(records, ["b", "a", "c"], "e"), tmp_path / f"{name}.svg")
    first, second = ((tmp_path / f"{name}.svg").read_text() for name in ("first", "second"))
    assert first == second
    assert "<dc:date>" not in first
    words = [text.text for text in ElementTree.fromstring(first).iter("{http://www.w3.org/2000/svg}text")]
    assert [word for word in words if word and "shots" in word] == ["b, 4 shots", "a, 4 shots"]
    assert set(script.KINDS) <= set(words)
    with pytest.raises(ValueError, match="--panels=c names no part with points for --encoder=e"):
        script.picture(records, ["c"], "e")


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "paper_figures.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_the_script_measures_and_writes_its_files(tmp_path):
    write_category(tmp_path / "data", "disc")
    small = ("--encoder=resnet18", "--weights=random", "--image_size=64", "--crop_size=64", "--output_dir=out")
    ran = run("--data_dir=data", "--shots=1,2", "--seeds=0", "--panels=disc", *small, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    figures = tmp_path / "out" / "figures" / "two_directions.json"
    records = json.loads(figures.read_text())["records"]
    assert [(r["part"], r["shots"], r["good"]) for r in records] == [
        *(("disc", 1, 3), ("disc", 2, 3)),
        *(("all parts", 1, 3), ("all parts", 2, 3)),
    ]
    assert "points" not in records[0]
    assert [len(records[1]["points"][kind]) for kind in ("good", "defective", "empty")] == [3, 3, 5]
    picture = tmp_path / "out" / "paper" / "two_directions.svg"
    before = [path.read_bytes() for path in (figures, picture)]
    assert (tmp_path / "out" / "figures" / "standard_errors.json").is_file()
    again = run("--records_only", "--panels=disc", *small, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert [path.read_bytes() for path in (figures, picture)] == before


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--shots=two", "--shots=two is not allowed: expected whole numbers"),
        ("--shots=9", "category disc has 4 good training images, --shots=9 needs at least 9"),
        ("--seeds=", "--seeds is empty"),
        ("--max_queries=1", "--max_queries=1 is not allowed"),
        ("--panels=", "--panels takes 1 to 9 parts"),
        ("--category=absent", "unknown category 'absent'"),
    ],
)
def test_flags_that_are_not_allowed(flag, message, tmp_path):
    write_category(tmp_path / "data", "disc")
    refused = run("--data_dir=data", "--output_dir=out", flag, cwd=tmp_path)
    assert refused.returncode == 2
    assert refused.stderr.startswith("error: ") and message in refused.stderr
    assert not list(tmp_path.glob("out/*/*"))
