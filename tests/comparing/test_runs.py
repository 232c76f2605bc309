"""What is read: directories of eval, scores of other programs, and what neither of them can be."""

import json
import re

import numpy as np
import pytest

from fastrecon_jax import metrics
from fastrecon_jax.comparing import runs, scores, systems
from fastrecon_jax.errors import InputError
from tests.comparing import made


def gathered(*texts):
    return systems.gather([runs.read(str(text)) for text in texts])


def test_an_evaluation_is_read_to_the_last_digit(tmp_path):
    found = made.fits({"nearest": 1.0}, seeds=(0, None))
    run = runs.read(str(made.ours(tmp_path / "one", found)))
    assert run.name == "one" and run.encoders == {"nearest": "x"} and run.memory["resident"] > 0
    for (method, part, shots, seed), (names, labels, values) in found.items():
        cell = run.cells[scores.Group("mpdd", part, method, shots, seed)]
        order = np.argsort(names)
        assert cell.images == tuple(sorted(names))
        np.testing.assert_array_equal(cell.labels, labels[order])
        np.testing.assert_array_equal(cell.scores, values[order])
        assert cell.metrics["image_auroc"] == metrics.image_metrics(labels, values)["image_auroc"]
        assert cell.metrics["aupro"] == 0.9
        assert cell.support == {f"train/good/{seed or 0}{n}.png" for n in range(2)}
        assert (cell.fit_seconds, cell.image_seconds) == (1.0, 0.05)


def test_another_program_meets_ours_by_category_and_name(tmp_path):
    found = made.fits({"nearest": 1.0})
    ours = made.ours(tmp_path / "ours", found)
    for i, columns in enumerate((("category", "shots", "seed"), ("shots", "seed"), ("seed", "dataset", "method"))):
        (one, other), taken = gathered(ours, made.theirs(tmp_path / f"theirs {i}", found, columns))
        assert one.cells.keys() == other.cells.keys()
        for key in one.cells:
            assert one.cells[key].images == other.cells[key].images
            np.testing.assert_array_equal(one.cells[key].scores, other.cells[key].scores)
        assert taken == ([] if "shots" in columns else [f"{other.runs[0].name} says no number of shots: taken as 2."])


def test_seconds_and_support_of_other_programs(tmp_path):
    columns = ("path", "label", "score", "fit_seconds", "image_seconds", "comment")
    file = made.write(tmp_path / "scores.csv", columns, [("x/test/g/1.png", 0, 0.1, 3, 0.25, "a,b")])
    (group, cell) = next(iter(runs.read(str(file)).cells.items()))
    assert group == (None, "x", None, None, None)
    assert (cell.fit_seconds, cell.image_seconds, cell.support) == (3.0, 0.25, None)
    assert cell.metrics == {"image_auroc": None, "image_ap": None, "image_f1max": None}
    made.write(tmp_path / "support.csv", ("dataset", "category", "shots", "seed", "path"), [("", "x", "", "", "a.png")])
    assert next(iter(runs.read(str(tmp_path)).cells.values())).support == {"a.png"}


@pytest.mark.parametrize(
    ("path", "category", "name"),
    [
        ("test/good/000.png", "bottle", "test/good/000.png"),
        ("/data/bottle/test/good/000.png", "bottle", "test/good/000.png"),
        (r"D:\data\bottle\test\good\000.png", "bottle", "test/good/000.png"),
        ("./other/test/good/000.png", "bottle", "test/good/000.png"),
        ("/data/candle/Data/Images/Anomaly/000.JPG", "candle", "Data/Images/Anomaly/000.JPG"),
        ("images/cell0001.png", "mono", "images/cell0001.png"),
        ("test/test/000.png", None, "test/test/000.png"),
        ("a/train/good/1.png", "b", "train/good/1.png"),
    ],
)
def test_paths_are_compared_below_the_category(path, category, name):
    assert scores.within(path, category) == name


def test_parts_of_several_runs_are_one_system_where_settings_agree(tmp_path):
    first = made.ours(tmp_path / "first", made.fits({"nearest": 1.0, "padim": 0.5}, ("a",)))
    second = made.ours(tmp_path / "second", made.fits({"nearest": 1.0}, ("b",)))
    found, _ = gathered(first, second)
    assert [(one.name, one.parts(2)) for one in found] == [("nearest", ["mpdd/a", "mpdd/b"]), ("padim", ["mpdd/a"])]
    other = made.ours(tmp_path / "other", made.fits({"nearest": 1.0}, ("b",)), crop_size=448)
    assert [one.name for one in gathered(first, other)[0]] == ["nearest (first)", "padim", "nearest (other)"]
    again = made.ours(tmp_path / "again", made.fits({"nearest": 1.0}, ("a",)))
    assert [one.name for one in gathered(first, again)[0]] == ["nearest (first)", "padim", "nearest (again)"]
    tuned = made.ours(tmp_path / "tuned", made.fits({"nearest": 1.0}, ("b",)), settings={"nearest": {"lam": 2}})
    assert len(gathered(first, tuned)[0]) == 3


def test_a_run_may_have_a_name(tmp_path):
    first = made.ours(tmp_path / "first", made.fits({"nearest": 1.0}, ("a",)))
    second = made.ours(tmp_path / "second", made.fits({"nearest": 1.0}, ("b",)), crop_size=448)
    (one,), _ = gathered(f"wide={first}", f"wide={second}")
    assert (one.name, one.parts(2)) == ("wide", ["mpdd/a", "mpdd/b"])
    both = made.ours(tmp_path / "both", made.fits({"nearest": 1.0, "padim": 1.0}, ("a",)))
    assert [one.name for one in gathered(f"x={both}")[0]] == ["nearest (x)", "padim (x)"]
    with pytest.raises(InputError, match="both has nearest, mpdd/a, 2 shots, draw 0 like another run of the name x"):
        gathered(f"x={first}", f"x={both}")
    odd = made.ours(tmp_path / "a=b", made.fits({"nearest": 1.0}, ("a",)))
    assert runs.read(str(odd)).name == "a=b"


def test_equal_names_get_numbers(tmp_path):
    found = made.fits({"x": 1.0}, ("a",))
    paths = [made.ours(tmp_path / name / "out", found, encoder=name) for name in ("p", "q")]
    names = [one.name for one in gathered(*paths)[0]]
    assert names == [f"x ({path})" for path in paths]
    assert [one.name for one in gathered(paths[0], paths[0])[0]] == [f"x ({paths[0]})", f"x ({paths[0]}) 2"]


def test_what_cannot_be_told_is_asked_for(tmp_path):
    found = made.fits({"nearest": 1.0}, shots=(2, 4))
    ours = made.ours(tmp_path / "ours", found)
    other = made.ours(tmp_path / "set", made.fits({"nearest": 1.0}), dataset="btad")
    theirs = made.theirs(tmp_path / "theirs", made.fits({"nearest": 1.0}), ("category", "seed"))
    with pytest.raises(InputError, match=r"theirs has no column shots, and the other runs have 2, 4: add it"):
        gathered(ours, theirs)
    theirs = made.theirs(tmp_path / "more", made.fits({"nearest": 1.0}))
    with pytest.raises(InputError, match=r"more has no column dataset, and a is in btad, mpdd: add it"):
        gathered(ours, other, theirs)
    file = made.write(tmp_path / "flat/scores.csv", ("path", "label", "score"), [("1.png", 0, 0), ("2.png", 1, 1)])
    with pytest.raises(InputError, match=r"flat has no column category, no paths CATEGORY/test/..., and .* a, b: add"):
        gathered(other, file.parent)
    one = made.ours(tmp_path / "one", made.fits({"nearest": 1.0}, ("a",)))
    assert gathered(one, file.parent)[1] == [
        "flat says no number of shots: taken as 2.",
        "flat says no category: taken as a.",
    ]


LINE = ("x/test/1.png", "0", "0.5")


@pytest.mark.parametrize(
    ("columns", "lines", "message"),
    [
        (
            ("path", "score"),
            [],
            "has no column label: needed are path, label, score; dataset, category, method, shots, s",
        ),
        (("path", "label", "score"), [], "has no line of scores below its header"),
        (("path", "label", "score", "score"), [], "has the column score twice"),
        (
            ("path", "label", "score"),
            [("x", "bad", "1")],
            "line 2: label is 'bad'; allowed is 0, good, or 1, defective",
        ),
        (("path", "label", "score"), [("x", "1", "high")], "line 2: score is 'high'; allowed is a finite number"),
        (("path", "label", "score"), [("x", "1", "nan")], "line 2: score is 'nan'; allowed is a finite number"),
        (("path", "label", "score"), [("x", "1")], "line 2 has 2 values for 3 columns"),
        (
            ("path", "label", "score"),
            [LINE, LINE],
            "line 3: x/test/1.png has two scores of one fit; columns shots, seed",
        ),
        (
            ("path", "label", "score", "shots"),
            [(*LINE, "2.5")],
            "shots is '2.5'; allowed is a whole number from 0, or n",
        ),
        (
            ("path", "label", "score", "seed"),
            [(*LINE, "-1")],
            "seed is '-1'; allowed is a whole number from 0, or noth",
        ),
        (
            ("path", "label", "score", "fit_seconds"),
            [(*LINE, "-1")],
            "fit_seconds is '-1'; allowed is a finite number f",
        ),
    ],
)
def test_scores_that_cannot_be_used_are_named(tmp_path, columns, lines, message):
    file = made.write(tmp_path / "scores.csv", columns, lines)
    with pytest.raises(InputError, match=re.escape(message)) as raised:
        runs.read(str(tmp_path))
    assert str(raised.value).startswith(str(file))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda path: (path / "scores.csv").unlink(), "scores.csv is missing, though results.json is there"),
        (lambda path: (path / "results.json").write_text("{"), "results.json is damaged: "),
        (lambda path: (path / "results.json").write_text("[" * 100_000), "results.json is damaged: "),
        (lambda path: (path / "results.json").write_text("[]"), "it does not hold the settings of eval"),
        (lambda path: (path / "results.json").write_text('{"config": {}, "rows": []}'), "holds no results yet"),
        (
            lambda path: (path / "results.json").write_text('{"config": {}, "rows": [3]}'),
            "row 0 has no usable category",
        ),
        (lambda path: changed(path, shots="two"), "row 0 has no usable shots"),
        (lambda path: changed(path, aupro="high"), "row 0 has no usable aupro"),
        (lambda path: changed(path, category="z"), "scores.csv has no scores of nearest, z, 2 shots, draw 0, which"),
        (
            lambda path: changed(path, image_auroc=0.123),
            "scores.csv and results.json are not of one run: the image AUR",
        ),
        (
            lambda path: (path / "support.csv").write_text("a,b\n1,2\n"),
            "support.csv is damaged, it must have the colum",
        ),
        (lambda path: (path / "scores.csv").write_bytes(b"\xff\xfe\x00"), "scores.csv is not a CSV file in UTF-8"),
    ],
)
def test_damage_is_named(tmp_path, change, message):
    path = made.ours(tmp_path / "run", made.fits({"nearest": 1.0}))
    change(path)
    with pytest.raises(InputError, match=re.escape(message)):
        runs.read(str(path))


def changed(path, **values):
    summary = json.loads((path / "results.json").read_text())
    summary["rows"][0] |= values
    (path / "results.json").write_text(json.dumps(summary))


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"absent is no directory of results: allowed are directories of eval, or wit"):
        runs.read(str(tmp_path / "absent"))
    with pytest.raises(InputError, match=r"holds neither results.json of eval nor scores.csv of another program"):
        runs.read(str(tmp_path))
    (tmp_path / "results.jsonl").write_text("")
    with pytest.raises(InputError, match="holds results of predict, which have no labels"):
        runs.read(str(tmp_path))
    for text in ("=x", "x="):
        with pytest.raises(InputError, match="it must be DIRECTORY or NAME=DIRECTORY"):
            runs.read(text)
