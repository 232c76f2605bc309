"""Charts of a comparison as inline SVG: systems are told apart by colour and by the shape of their marks."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

from fastrecon_jax.reporting.charts import svg, text, tick

_COLOURS = 8
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 400.0, 250.0, 40.0, 14.0, 10.0, 40.0
_ROW = 24.0
_TICKS = 7  # at most so many without leaving some out


class Point(NamedTuple):
    """A point of a line: where it is, half of its error bar, and words beside it."""

    x: float
    y: float
    error: float = 0.0
    words: str = ""


class Bar(NamedTuple):
    """A difference with its intervals, None where there is none."""

    words: str
    value: float
    inner: tuple[float, float] | None
    outer: tuple[float, float] | None


def legend(names: Sequence[str]) -> str:
    """The marks of the systems, in the order in which charts take them."""
    entries = "".join(
        f'<li><svg class="chart" viewBox="-8 -8 16 16" aria-hidden="true">{_mark(i, 0.0, 0.0)}</svg>{escape(name)}</li>'
        for i, name in enumerate(names)
    )
    return f'<ul class="legend">{entries}</ul>'


def lines(title: str, series: Mapping[int, Sequence[Point]], ticks: Mapping[float, str], *, unit: str) -> str:
    """Lines with marks and error bars over an axis with named places; `series` are by the place of their system."""
    points = [point for own in series.values() for point in own]
    low, high = _range([p.y - p.error for p in points], [p.y + p.error for p in points])
    start, end = min(*ticks, *(p.x for p in points)), max(*ticks, *(p.x for p in points))
    bottom = _HEIGHT - _BOTTOM

    def x(value: float) -> float:
        return _LEFT + 12 + (_WIDTH - _LEFT - _RIGHT - 24) * ((value - start) / (end - start) if end > start else 0.5)

    def y(value: float) -> float:
        return bottom - (bottom - _TOP) * (value - low) / (high - low)

    parts = []
    for value in _steps(low, high):
        parts.append(_line("grid", _LEFT, y(value), _WIDTH - _RIGHT, y(value)))
        parts.append(text(_LEFT - 4, y(value) + 4, f"{value:g}", "end"))
    parts += [tick(x(value), bottom, words) for value, words in ticks.items()]
    parts.append(text((_LEFT + _WIDTH) / 2, _HEIGHT - 6, unit, "middle"))
    marks, words = [], []  # above all lines, and marks above the words
    for i, own in series.items():
        places = " ".join(f"{x(p.x):.1f},{y(p.y):.1f}" for p in own)
        parts.append(f'<polyline class="s{i % _COLOURS}" points="{places}"/>')
        for p in own:
            if p.error:
                parts.append(_line(f"s{i % _COLOURS}", x(p.x), y(p.y - p.error), x(p.x), y(p.y + p.error)))
            marks.append(_mark(i, x(p.x), y(p.y)))
            words += [text(x(p.x) + 7, y(p.y) + 12, p.words, "start")] if p.words else []
    parts += [*words, *marks]
    parts.append(f'<path d="M{_LEFT:g} {_TOP:g}V{bottom:g}H{_WIDTH - _RIGHT:g}"/>')
    return svg(title, _HEIGHT, parts, width=_WIDTH)


def rows(title: str, names: Sequence[str], values: Mapping[int, Sequence[float | None]], *, unit: str) -> str:
    """A row for each name with a mark for each system; values are by the place of their system."""
    known = [value for own in values.values() for value in own if value is not None]
    low, high = _range(known, known)
    bottom = _TOP + 2 * _ROW * len(names)
    x, parts = _axis(low, high, bottom, unit)
    for row, name in enumerate(names):
        height = _TOP + 2 * _ROW * row + _ROW
        parts.append(text(8.0, height - 6, name, "start"))
        parts.append(_line("grid", 8.0, height + 8, _WIDTH - _RIGHT, height + 8))
        parts += [_mark(i, x(own[row]), height + 8) for i, own in values.items() if own[row] is not None]
    return svg(title, bottom + _BOTTOM, parts, width=_WIDTH)


def bars(title: str, found: Sequence[Bar], *, unit: str) -> str:
    """A row for each difference: its value, a thick inner and a thin outer interval, and a line at 0."""
    ends = [end for bar in found for interval in (bar.inner, bar.outer) if interval for end in interval]
    values = [0.0, *(bar.value for bar in found), *ends]
    low, high = _range(values, values, most=math.inf)
    bottom = _TOP + 2 * _ROW * len(found)
    x, parts = _axis(low, high, bottom, unit)
    parts.append(_line("zero", x(0.0), _TOP, x(0.0), bottom))
    for row, bar in enumerate(found):
        height = _TOP + 2 * _ROW * row + _ROW
        parts.append(text(8.0, height - 6, bar.words, "start"))
        for kind, interval in (("outer", bar.outer), ("inner", bar.inner)):
            if interval:
                parts.append(_line(kind, x(interval[0]), height + 8, x(interval[1]), height + 8))
        parts.append(_mark(0, x(bar.value), height + 8))
    return svg(title, bottom + _BOTTOM, parts, width=_WIDTH)


def log_ticks(values: Sequence[float]) -> dict[float, str]:
    """Places and words of 1, 2, 5, 10 and so on around some positive values, on a logarithmic axis."""
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    known = [digit * 10.0**power for power in range(low - 1, high + 1) for digit in (1, 2, 5)]
    first = max(i for i, value in enumerate(known) if value <= min(values) * (1 + 1e-9))
    last = min(i for i, value in enumerate(known) if value >= max(values) * (1 - 1e-9))
    around = known[first : max(last, first + 1) + 1]
    if len(around) > _TICKS:
        around = [value for value in around if f"{value:e}".startswith("1.") or value in (around[0], around[-1])]
    return {math.log10(value): f"{value:.1g}" if value < 1 else f"{value:g}" for value in around}


def _axis(low: float, high: float, bottom: float, unit: str):
    def x(value: float) -> float:
        return 14 + (_WIDTH - 14 - _RIGHT - 6) * (value - low) / (high - low)

    parts = []
    for value in _steps(low, high):
        parts.append(tick(x(value), bottom, f"{value:g}"))
    parts.append(_line("", 8.0, bottom, _WIDTH - _RIGHT, bottom))
    parts.append(text(_WIDTH / 2, bottom + _BOTTOM - 6, unit, "middle"))
    return x, parts


def _range(lows: Sequence[float], highs: Sequence[float], most: float = 100.0) -> tuple[float, float]:
    """A range with a little room, on whole steps, that ends at 100 for percentages."""
    low, high = min(lows), max(highs)
    step = _step((high - low) or 1.0)
    low, high = math.floor(low / step) * step, math.ceil(high / step) * step
    return low, min(max(high, low + step), max(most, low + step))


def _step(span: float) -> float:
    size = 10.0 ** math.floor(math.log10(span))
    return next(step for step in (size / 5, size / 2, size, 2 * size) if span / step < 7)


def _steps(low: float, high: float) -> list[float]:
    step = _step(high - low)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 10) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def _line(kind: str, x1: float, y1: float, x2: float, y2: float) -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _mark(i: int, x: float, y: float) -> str:
    """A disc, square, triangle, diamond or downward triangle."""
    shapes = (
        "m-4,0a4,4 0 1,0 8,0a4,4 0 1,0 -8,0",
        "m-3.6,-3.6h7.2v7.2h-7.2z",
        "m0,-4.8l4.6,8h-9.2z",
        "m0,-5l5,5l-5,5l-5,-5z",
        "m0,4.8l4.6,-8h-9.2z",
    )
    return f'<path class="m{i % _COLOURS}" d="M{x:.1f},{y:.1f}{shapes[i % len(shapes)]}"/>'
