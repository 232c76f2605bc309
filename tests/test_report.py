import json

import pytest

from fastrecon_jax import report
from tests.rows import row

CONFIG = {"description": "test", "draws": 2, "lam": 2.0}


ROWS = [row("a", 2, 0, 0.5), row("a", 2, 1, 0.7), row("b", 2, 0, 0.9), row("b", 2, 1, 0.9), row("a", 4, 0, 1.0)]
SCORES = [
    {"dataset": "d", "category": c, "seed": 0, "shots": 2, "path": "x", "label": 1, "score": 0.1, "method": "m"}
    for c in ("a", "b")
]


def test_what_is_written_is_taken_up(tmp_path):
    results = report.start(tmp_path / "out", CONFIG)
    report.write(tmp_path / "out", results._replace(rows=ROWS, scores=SCORES))
    again = report.start(tmp_path / "out", CONFIG)
    assert again.rows == ROWS
    assert [score["category"] for score in again.scores] == ["a", "b"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "config.json", "results.json", "results.csv", "results.md", "scores.csv"
    }  # fmt: skip
    assert json.loads((tmp_path / "out/results.json").read_text()).keys() == {"config", "rows", "mean", "paired"}


def test_scores_of_a_category_that_was_not_finished_are_dropped(tmp_path):
    results = report.start(tmp_path, CONFIG)
    report.write(tmp_path, results._replace(rows=ROWS[:2], scores=SCORES))
    assert [score["category"] for score in report.start(tmp_path, CONFIG).scores] == ["a"]


def test_other_settings_are_refused(tmp_path):
    report.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"holds results of other settings, choose another: lam was 2.0 and is 0.0"):
        report.start(tmp_path, CONFIG | {"lam": 0.0})


def test_results_without_their_settings_are_not_overwritten(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ValueError, match="holds results without their config"):
        report.start(tmp_path, CONFIG)


def test_damaged_results_are_named(tmp_path):
    report.start(tmp_path, CONFIG)
    (tmp_path / "results.json").write_text('{"rows": [')
    with pytest.raises(ValueError, match=r"results.json is damaged, remove it or choose another output directory"):
        report.start(tmp_path, CONFIG)


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"output directory .*file cannot be made"):
        report.start(tmp_path / "file", CONFIG)
