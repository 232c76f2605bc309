"""Charts: round places on their axes, and marks where the values are."""

import re

import pytest

from fastrecon_jax.comparing import charts
from fastrecon_jax.comparing.charts import Bar, Point


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ([0.012, 0.03], ["0.01", "0.02", "0.05"]),
        ([0.01, 0.05], ["0.01", "0.02", "0.05"]),
        ([3.0], ["2", "5"]),
        ([10.0], ["10", "20"]),
        ([0.02, 900.0], ["0.02", "0.1", "1", "10", "100", "1000"]),
    ],
)
def test_logarithmic_axes_have_round_places(values, words):
    assert list(charts.log_ticks(values).values()) == words


def numbers(pattern, chart):
    return [float(found) for found in re.findall(pattern, chart)]


def test_lines_rise_with_their_values_and_have_error_bars():
    series = {0: [Point(0.0, 80.0, 1.0), Point(1.0, 90.0)], 9: [Point(0.0, 85.0)]}
    chart = charts.lines("a & b", series, {0.0: "1", 1.0: "2"}, unit="shots")
    heights = numbers(r'<path class="m0" d="M[\d.]+,([\d.]+)', chart)
    assert heights[0] > heights[1]
    assert numbers(r'<path class="m1" d="M[\d.]+,([\d.]+)', chart)[0] == pytest.approx(sum(heights) / 2, abs=0.1)
    assert chart.count('<line class="s0"') == 1 and "<title>a &amp; b</title>" in chart


def test_rows_and_bars_are_in_order():
    chart = charts.rows("t", ["a", "b"], {0: [50.0, None], 1: [60.0, 70.0]}, unit="%")
    places = numbers(r'<path class="m\d" d="M([\d.]+),', chart)
    assert len(places) == 3 and places == sorted(places)
    chart = charts.bars(
        "t", [Bar("x - y", -2.0, (-3.0, -1.0), (-5.0, 0.5)), Bar("x - z", 1.0, None, None)], unit="points"
    )
    (zero,) = numbers(r'<line class="zero" x1="([\d.]+)"', chart)
    left, right = numbers(r'<path class="m0" d="M([\d.]+),', chart)
    assert left < zero < right
    ((start, end),) = re.findall(r'<line class="inner" x1="([\d.]+)" y1="[\d.]+" x2="([\d.]+)"', chart)
    assert float(start) < left < float(end) < zero
    assert chart.count('class="outer"') == 1


def test_one_value_alone_has_an_axis():
    for chart in (
        charts.lines("t", {0: [Point(1.0, 100.0)]}, {1.0: "2"}, unit="%"),
        charts.rows("t", ["a"], {0: [100.0]}, unit="%"),
        charts.bars("t", [Bar("x", 0.0, (0.0, 0.0), None)], unit="points"),
    ):
        assert "nan" not in chart and 'd="M' in chart
