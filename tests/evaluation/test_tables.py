import numpy as np
import pytest

from fastrecon_jax.evaluation import plots, tables
from tests.evaluation.rows import row

ROWS = [row("a", 2, 0, 0.5), row("a", 2, 1, 0.7), row("b", 2, 0, 0.9), row("b", 2, 1, 0.9), row("a", 4, 0, 1.0)]
RIVAL = [
    r | {"method": "nearest", "image_auroc": r["image_auroc"] + d}
    for r, d in zip(ROWS, (0.1, 0.2, 0, 0.1, 0), strict=True)
]


def test_means_over_categories_and_their_deviation_over_draws():
    two, four = tables.means(ROWS)
    assert two["image_auroc"] == pytest.approx(0.75)
    assert two["image_auroc_std"] == pytest.approx(0.05)  # the means over categories are 0.7 and 0.8
    assert (two["categories"], two["draws"]) == (2, 2)
    assert two["pixel_ap"] is None
    assert four["image_auroc_std"] is None


def test_categories_are_in_percent():
    lines = tables.by_category(ROWS)
    assert lines[0][:4] == ["category", "method", "shots", "image auroc"]
    assert lines[1][:4] == ["a", "fastrecon", "2", "60.0 ± 10.0"]
    assert lines[3][:4] == ["mean of 2", "fastrecon", "2", "75.0 ± 5.0"]
    assert lines[1][7] == "-"
    assert tables.plain(lines).splitlines()[1].startswith("a ")
    assert tables.markdown(lines).splitlines()[1].startswith("| --- | ---:")


def test_methods_stand_against_shots():
    lines = tables.by_method([*ROWS, *RIVAL])
    assert lines[0] == ["method", "image 2", "image 4", "pixel 2", "pixel 4", "AUPRO 2", "AUPRO 4"]
    assert [line[:3] for line in lines[1:]] == [
        ["fastrecon", "75.0 ± 5.0", "100.0"],
        ["nearest", "85.0 ± 10.0", "100.0"],
    ]


def test_paired_differences_and_their_interval():
    two, four = tables.paired([*ROWS, *RIVAL], baseline="fastrecon")
    assert (two["method"], two["shots"], two["pairs"]) == ("nearest", 2, 4)
    assert two["image_auroc"] == pytest.approx(0.1)
    low, high = two["image_auroc_interval"]
    assert 0 <= low < 0.1 < high <= 0.2
    assert two["aupro"] == 0
    assert four["image_auroc_interval"] == [0, 0]
    assert tables.of_pairs([two])[1][:5] == [
        "fastrecon",
        "nearest",
        "2",
        "4",
        f"+10.0 ({100 * low:+.1f} to {100 * high:+.1f})",
    ]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = 0
    for _ in range(100):
        noise = rng.normal(0.02, 0.05, 30)
        base = [row("a", 2, seed, 0.5) for seed in range(30)]
        other = [r | {"method": "m", "image_auroc": 0.5 + x} for r, x in zip(base, noise, strict=True)]
        low, high = tables.paired([*base, *other], baseline="fastrecon")[0]["image_auroc_interval"]
        covered += low <= 0.02 <= high
    assert 88 <= covered <= 99


def test_pairs_only_where_both_are_there_and_defined():
    assert tables.paired(RIVAL, baseline="fastrecon") == []
    assert tables.paired([*ROWS, row("c", 2, 0, 1.0, "nearest")], baseline="fastrecon") == []
    undefined = [r | {"aupro": None} for r in RIVAL]
    assert tables.paired([*ROWS, *undefined], baseline="fastrecon")[0]["aupro"] is None


def test_the_plot_has_a_line_for_each_method_and_only_defined_metrics(tmp_path):
    rows = [r | {"aupro": None} for r in (*ROWS, *RIVAL)]
    figure = plots.shots(rows, "title")
    assert [axes.get_ylabel() for axes in figure.axes] == ["image AUROC, %", "pixel AUROC, %"]
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == ["fastrecon", "nearest"]
    plots.save(figure, tmp_path / "shots.png")
    assert (tmp_path / "shots.png").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"absent/shots.png cannot be written"):
        plots.save(figure, tmp_path / "absent" / "shots.png")


def test_a_cell_ends_neither_its_column_nor_its_line():
    assert tables.markdown([["a|b", "c"], ["one\ntwo", "d"]]) == "| a\\|b | c |\n| --- | ---: |\n| one two | d |\n"
