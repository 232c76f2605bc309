import json

import pytest

from fastrecon_jax import report

CONFIG = {"description": "test", "draws": 2, "lam": 2.0}


def row(category, shots, seed, value):
    facts = dict.fromkeys(report.COLUMNS, 1) | dict.fromkeys(report.METRICS, value)
    return facts | {"category": category, "shots": shots, "seed": seed, "pixel_ap": None}


ROWS = [row("a", 2, 0, 0.5), row("a", 2, 1, 0.7), row("b", 2, 0, 0.9), row("b", 2, 1, 0.9), row("a", 4, 0, 1.0)]
SCORES = [
    {"dataset": "d", "category": c, "seed": 0, "shots": 2, "path": "x", "label": 1, "score": 0.1} for c in ("a", "b")
]


def test_means_over_categories_and_their_deviation_over_draws():
    two, four = report.means(ROWS)
    assert two["image_auroc"] == pytest.approx(0.75)
    assert two["image_auroc_std"] == pytest.approx(0.05)  # the means over categories are 0.7 and 0.8
    assert (two["categories"], two["draws"]) == (2, 2)
    assert two["pixel_ap"] is None
    assert four["image_auroc_std"] is None


def test_the_table_is_in_percent():
    lines = report.table(ROWS)
    assert lines[0][:3] == ["category", "shots", "image auroc"]
    assert lines[1][:3] == ["a", "2", "60.0 ± 10.0"]
    assert lines[3][:3] == ["mean of 2", "2", "75.0 ± 5.0"]
    assert lines[1][6] == "-"
    assert report.plain(lines).splitlines()[1].startswith("a ")
    assert report.markdown(lines).splitlines()[1].startswith("| --- | ---:")


def test_what_is_written_is_taken_up(tmp_path):
    results = report.start(tmp_path / "out", CONFIG)
    report.write(tmp_path / "out", results._replace(rows=ROWS, scores=SCORES))
    again = report.start(tmp_path / "out", CONFIG)
    assert again.rows == ROWS
    assert [score["category"] for score in again.scores] == ["a", "b"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "config.json", "results.json", "results.csv", "results.md", "scores.csv"
    }  # fmt: skip
    assert json.loads((tmp_path / "out/results.json").read_text()).keys() == {"config", "rows", "mean"}


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
