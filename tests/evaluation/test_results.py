import json

import pytest

from fastrecon_jax.evaluation import results
from tests.evaluation.rows import row

CONFIG = {"description": "test", "draws": 2, "category": ["a", "b"], "settings": {"fastrecon": {"lam": 2.0}}}


ROWS = [row("a", 2, 0, 0.5), row("a", 2, 1, 0.7), row("b", 2, 0, 0.9), row("b", 2, 1, 0.9), row("a", 4, 0, 1.0)]
SCORES = [
    {"dataset": "d", "category": c, "seed": 0, "shots": 2, "path": "x", "label": 1, "score": 0.1, "method": "m"}
    for c in ("a", "b")
]


def test_what_is_written_is_resumed(tmp_path):
    before = results.start(tmp_path / "out", CONFIG)
    results.write(tmp_path / "out", before._replace(rows=ROWS, scores=SCORES))
    again = results.start(tmp_path / "out", CONFIG)
    assert again.rows == ROWS
    assert [score["category"] for score in again.scores] == ["a", "b"]
    assert {p.name for p in (tmp_path / "out").iterdir()} == {
        "config.json", "results.json", "results.csv", "results.md", "scores.csv"
    }  # fmt: skip
    summary = json.loads((tmp_path / "out/results.json").read_text())
    assert summary.keys() == {"config", "rows", "mean", "paired", "memory"}
    assert summary["memory"]["resident"] > 1e7


def test_what_other_processes_finished_is_gathered(tmp_path):
    before = results.start(tmp_path, CONFIG)
    results.write(tmp_path, results.add(before, ROWS[2:4], SCORES[1:]))
    (tmp_path / results.SHARES).mkdir()
    for category, score in zip("ab", SCORES, strict=True):
        results.leave(tmp_path, category, [r for r in ROWS if r["category"] == category], [score])
    again = results.start(tmp_path, CONFIG)
    assert [row["category"] for row in again.rows] == ["a", "a", "a", "b", "b"]
    assert [score["category"] for score in again.scores] == ["a", "b"]
    assert results.read(tmp_path)["rows"] == again.rows
    results.clear_shares(tmp_path)
    assert results.start(tmp_path, CONFIG).rows == again.rows
    assert not (tmp_path / results.SHARES).exists()


def test_damage_in_what_another_process_left_is_named(tmp_path):
    (tmp_path / results.SHARES).mkdir()
    (tmp_path / results.SHARES / "a.json").write_text('{"rows": []}')
    with pytest.raises(ValueError, match=r"shares/a.json is damaged, .*: it has no list of scores"):
        results.start(tmp_path, CONFIG)


def test_scores_of_a_category_that_was_not_finished_are_dropped(tmp_path):
    before = results.start(tmp_path, CONFIG)
    results.write(tmp_path, before._replace(rows=ROWS[:2], scores=SCORES))
    assert [score["category"] for score in results.start(tmp_path, CONFIG).scores] == ["a"]


def test_other_settings_are_refused(tmp_path):
    results.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"of other settings, choose another: fastrecon lam was 2.0 and is 0.0"):
        results.start(tmp_path, CONFIG | {"settings": {"fastrecon": {"lam": 0.0}}})


def test_results_without_their_settings_are_not_overwritten(tmp_path):
    (tmp_path / "results.json").write_text("{}")
    with pytest.raises(ValueError, match="holds results without their config"):
        results.start(tmp_path, CONFIG)


def test_damaged_results_are_named(tmp_path):
    results.start(tmp_path, CONFIG)
    (tmp_path / "results.json").write_text('{"rows": [')
    with pytest.raises(ValueError, match=r"results.json is damaged, remove it or choose another output directory"):
        results.start(tmp_path, CONFIG)


DEEP = "[" * 100_000


def begun(tmp_path):
    """What a run leaves that finished category a."""
    before = results.start(tmp_path, CONFIG)
    results.write(tmp_path, before._replace(rows=ROWS[:2], scores=SCORES[:1]))
    return tmp_path


def changed(row, **values):
    return json.dumps({"rows": [row | values]})


@pytest.mark.parametrize("text", ["[]", "3", "null", '"lam"', "{", DEEP, "\ufeff{}"])
def test_damaged_settings_are_named(tmp_path, text):
    (begun(tmp_path) / "config.json").write_text(text)
    with pytest.raises(ValueError, match=r"config.json is damaged, remove it or choose another output directory: "):
        results.start(tmp_path, CONFIG)


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
        results.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=rf"results.json is damaged, .*: .*{message}"):
        results.read(tmp_path)


HEAD = ",".join(results.SCORE_COLUMNS)


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
        results.start(tmp_path, CONFIG)


def test_files_that_cannot_be_read_are_named(tmp_path):
    (begun(tmp_path) / "config.json").unlink()
    (tmp_path / "config.json").mkdir()
    with pytest.raises(ValueError, match=r"config.json cannot be read: Is a directory"):
        results.start(tmp_path, CONFIG)


def test_names_that_are_not_utf8_are_refused(tmp_path):
    before = results.start(tmp_path, CONFIG)
    with pytest.raises(ValueError, match=r"scores.csv cannot be written: a name in it is not UTF-8: .*caf.udce9.png"):
        results.write(tmp_path, before._replace(scores=[SCORES[0] | {"path": "caf\udce9.png"}]))


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"output directory .*file cannot be made"):
        results.start(tmp_path / "file", CONFIG)
