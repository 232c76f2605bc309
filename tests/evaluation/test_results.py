import json

import pytest

from fastrecon_jax.evaluation import results as report
from tests.evaluation.rows import row

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


DEEP = "[" * 100_000


def begun(tmp_path):
    """What a run leaves that finished category a."""
    results = report.start(tmp_path, CONFIG)
    report.write(tmp_path, results._replace(rows=ROWS[:2], scores=SCORES[:1]))
    return tmp_path


def changed(row, **values):
    return json.dumps({"rows": [row | values]})


@pytest.mark.parametrize("text", ["[]", "3", "null", '"lam"', "{", DEEP, "\ufeff{}"])
def test_damaged_settings_are_named(tmp_path, text):
    (begun(tmp_path) / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is damaged, remove it or choose another output directory: "):
        report.start(tmp_path, CONFIG)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "it does not hold an object"),
        ("{}", "it has no list of rows"),
        ('{"rows": {"a": 1}}', "it has no list of rows"),
        ('{"rows": [3]}', "row 0 does not have the columns dataset, category"),
        ('{"rows": [{"category": "a"}]}', "row 0 does not have the columns dataset, category"),
        (changed(ROWS[0], category=["a"]), r"row 0 has \['a'\] as category"),
        (changed(ROWS[0], shots=2.5), "row 0 has 2.5 as shots"),
        (changed(ROWS[0], shots=True), "row 0 has True as shots"),
        (changed(ROWS[0], aupro="high"), "row 0 has 'high' as aupro"),
        (changed(ROWS[0], aupro=float("nan")), "row 0 has nan as aupro"),
        (DEEP, "recursion"),
    ],
)
def test_results_of_wrong_types_are_named(tmp_path, text, message):
    (begun(tmp_path) / "results.json").write_text(text)
    with pytest.raises(ValueError, match=rf"results.json is damaged, .*: .*{message}"):
        report.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=rf"results.json is damaged, .*: .*{message}"):
        report.read(tmp_path)


HEAD = ",".join(report.SCORE_COLUMNS)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "scores.csv is missing though results.json lists finished categories"),
        ("", "scores.csv is damaged, .*: it does not have the columns dataset, category"),
        ("a,b\n1,2\n", "scores.csv is damaged, .*: it does not have the columns dataset, category"),
        (f"{HEAD}\nd,a,0,2\n", "scores.csv is damaged, .*: line 2 does not hold the columns"),
        (f"{HEAD}\nd,a,0,2,x,1,0.1,m,more\n", "scores.csv is damaged, .*: line 2 does not hold the columns"),
        (f"{HEAD}\nd,a,0,2,x,maybe,0.1,m\n", "scores.csv is damaged, .*: line 2 does not hold the columns"),
        (f"{HEAD}\nd,a,0,2,x,1,high,m\n", "scores.csv is damaged, .*: could not convert string to float: 'high'"),
        (f"{HEAD}\nd,b,0,2,x,1,0.1,m\n", "scores.csv has no scores of a, which results.json lists as finished"),
    ],
)
def test_scores_that_do_not_fit_are_named(tmp_path, text, message):
    (begun(tmp_path) / "scores.csv").unlink()
    if text is not None:
        (tmp_path / "scores.csv").write_text(text)
    with pytest.raises(ValueError, match=message):
        report.start(tmp_path, CONFIG)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (begun(tmp_path) / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ValueError, match=r"config.json cannot be read: Is a directory"):
        report.start(tmp_path, CONFIG)


def test_names_that_are_not_utf8_are_refused(tmp_path):
    results = report.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"scores.csv cannot be written: a name in it is not UTF-8: .*caf.udce9.png"):
        report.write(tmp_path, results._replace(scores=[SCORES[0] | {"path": "caf\udce9.png"}]))


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"output directory .*file cannot be made"):
        report.start(tmp_path / "file", CONFIG)
