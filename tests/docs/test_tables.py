import json
import re
import sys

import pytest

from tests.docs.pages import ROOT, name

sys.path.insert(0, str(ROOT / "scripts"))
import write_tables

sys.path.remove(str(ROOT / "scripts"))
PAGES = write_tables.documents()
FIGURES = {
    "layouts": {
        "table": {"columns": {"part": "{part}", "score": "{score:.1f} ± {std:.1f}", "steps": "{steps:+}"}},
        "shots": {"rows": "part", "columns": "shots", "cell": "{score:.1f}", "bold": "gear"},
        "joined": {"title": "method", "rows": "part", "columns": "kind", "cell": "{score:.1f}", "join": "shots"},
    },
    "records": [
        {"part": "gear", "kind": "demo", "shots": 8, "score": 91.04, "std": 0.2, "steps": [-0.1, [-0.5, -2.0]]},
        {"part": "gear", "kind": "demo", "shots": 4, "score": 80.0},
        {"part": "bottle", "kind": "real", "shots": 8, "score": 100.0},
    ],
}


@pytest.fixture
def figures(tmp_path, monkeypatch):
    monkeypatch.setattr(write_tables, "FIGURES", tmp_path)
    (tmp_path / "made.json").write_text(json.dumps(FIGURES))
    return tmp_path


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_tables_are_those_of_the_figures(page):
    text = page.read_text(encoding="utf-8")
    assert write_tables.rewritten(text) == text, f"{name(page)} differs: run python scripts/write_tables.py"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_table_has_its_end(page):
    text = page.read_text(encoding="utf-8")
    assert len(re.findall("<!-- (?:table|source|settings): ", text)) == text.count("<!-- end -->")


def test_all_figures_are_shown():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for path in (ROOT / "docs" / "figures").glob("*.json"):
        assert f"<!-- table: {path.stem}" in text, f"no table shows {path.name}"


def test_one_line_for_each_record(figures):
    assert write_tables.table(["made", "shots=8"]) == [
        "| part | score | steps |",
        "| --- | ---: | --- |",
        "| gear | 91.0 ± 0.2 | -0.1, -0.5 to -2.0 |",
        "| bottle | 100.0 ±  | - |",
    ]


def test_fields_down_and_across_in_the_order_asked_for(figures):
    assert write_tables.table(["made", "shots", "part=bottle|gear"]) == [
        "| part | 4 | 8 |",
        "| --- | ---: | ---: |",
        "| bottle | - | 100.0 |",
        "| **gear** | 80.0 | 91.0 |",
    ]


def test_values_that_share_a_cell(figures):
    lines = write_tables.table(["made", "joined", "shots=4|8"])
    assert lines[0] == "| method | demo | real |"
    assert lines[2] == "| gear | 80.0 / 91.0 | - |"


def test_a_number_that_was_typed_is_noticed(figures):
    text = "<!-- table: made shots shots=8 -->\n\nold\n\n<!-- end -->\nprose"
    new = write_tables.rewritten(text)
    assert "old" not in new and "91.0" in new and new.endswith("<!-- end -->\nprose")
    assert write_tables.rewritten(new) == new
    assert write_tables.rewritten(new.replace("91.0", "92.0")) == new


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "absent.json is missing"),
        (["made", "absent"], "no layout 'absent': there are table, shots, joined"),
        (["made", "part=screw"], "no record of made.json fits part=screw"),
        (["made", "joined_twice"], "no layout"),
    ],
)
def test_mistakes_are_named(figures, words, message, monkeypatch):
    monkeypatch.setattr(write_tables, "ROOT", figures)
    with pytest.raises(ValueError, match=re.escape(message)):
        write_tables.table(words)


def test_the_means_of_an_evaluation_are_taken(figures, tmp_path):
    run = tmp_path / "run"
    run.mkdir()
    mean = {"encoder": "e", "method": "m", "shots": 8, "score": 0.91234, "other": 1.0}
    (run / "results.json").write_text(json.dumps({"mean": [mean]}))
    write_tables.take(run, "made", {"data": "gear"})
    records = json.loads((figures / "made.json").read_text())["records"]
    assert records[-1] == {"encoder": "e", "method": "m", "data": "gear", "shots": 8, "score": 91.2}
    write_tables.take(run, "made", {"data": "gear"})
    assert json.loads((figures / "made.json").read_text())["records"] == records
