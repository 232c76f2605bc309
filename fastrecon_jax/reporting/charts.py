"""Charts of a report as inline SVG, in the colours of the page, light or dark, and small enough for a phone."""

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import NamedTuple

_WIDTH, _ROW, _LEFT, _RIGHT, _TOP, _BOTTOM = 360.0, 26.0, 8.0, 10.0, 34.0, 30.0
_HEIGHT, _AXIS, _LEGEND = 230.0, 38.0, 14.0
_DASHES = ("", "6 3", "2 3", "8 3 2 3")


class Line(NamedTuple):
    """One line of a chart: its name and its points (x, y)."""

    name: str
    points: tuple[tuple[float, float], ...]


def strips(title: str, rows: Mapping[str, Sequence[float]], rules: Mapping[str, float]) -> str:
    """A row of dots for each group of numbers on one axis from 0, with vertical lines at a few values."""
    top = max([*rules.values(), *(value for row in rows.values() for value in row)]) * 1.05 or 1.0
    bottom = _TOP + 2 * _ROW * len(rows)

    def x(value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / top

    parts = [tick(x(value), bottom, f"{value:.3g}") for value in _round_steps(top)]
    for i, (name, value) in enumerate(rules.items()):
        parts.append(f'<line class="rule" x1="{x(value):.1f}" x2="{x(value):.1f}" y1="{_TOP - 6}" y2="{bottom}"/>')
        anchor = "end" if x(value) > _WIDTH / 2 else "start"
        parts.append(text(x(value), 12.0 + 13 * (i % 2), f"{name} {value:.3g}", anchor))
    for i, (name, values) in enumerate(rows.items()):
        height = _TOP + 2 * _ROW * i + _ROW
        parts.append(text(_LEFT, height - 8, name, "start"))
        parts += [f'<circle cx="{x(value):.1f}" cy="{height + 8}" r="4"/>' for value in values]
    parts.append(f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{bottom}" y2="{bottom}"/>')
    return svg(title, bottom + _BOTTOM, parts)


def lines(
    title: str,
    series: Sequence[Line],
    *,
    ticks: Mapping[float, str],
    top: float,
    unit: str,
    rules: Sequence[float] = (),
) -> str:
    """Lines over an axis with named places, from 0 to `top`, with horizontal lines at a few values."""
    left, bottom = _AXIS, _HEIGHT - _AXIS
    low, high = min(ticks), max(ticks)
    legend = _LEGEND * len(series)

    def x(value: float) -> float:
        return left + 6 + (_WIDTH - left - _RIGHT - 12) * (value - low) / ((high - low) or 1)

    def y(value: float) -> float:
        return legend + bottom - (bottom - 12) * min(value, top) / top

    parts = [
        f'<line class="rule" x1="{left}" x2="{_WIDTH - _RIGHT}" y1="{y(at):.1f}" y2="{y(at):.1f}"/>' for at in rules
    ]
    parts += [text(left - 4, y(value) + 4, f"{value:.3g}", "end") for value in _round_steps(top)]
    parts += [tick(x(value), legend + bottom, name) for value, name in ticks.items()]
    parts.append(text(_WIDTH / 2, legend + _HEIGHT - 4, unit, "middle"))
    for i, line in enumerate(series):
        dash = f' stroke-dasharray="{_DASHES[i % len(_DASHES)]}"' if i % len(_DASHES) else ""
        points = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line.points)
        parts.append(f'<polyline class="series{i % 4}" points="{points}"{dash}/>')
        at = f'x1="{left:g}" x2="{left + 34:g}" y1="{8 + _LEGEND * i:g}" y2="{8 + _LEGEND * i:g}"'
        parts.append(f'<line class="series{i % 4}" {at}{dash}/>')
        parts.append(text(left + 40, 12 + _LEGEND * i, line.name, "start"))
    parts.append(f'<path d="M{left} {legend + 12}V{legend + bottom}H{_WIDTH - _RIGHT}"/>')
    return svg(title, legend + _HEIGHT, parts)


def svg(title: str, height: float, parts: Sequence[str], *, width: float = _WIDTH) -> str:
    """A chart of its parts, named for those who do not see it."""
    return (
        f'<svg class="chart" role="img" aria-label="{escape(title)}" viewBox="0 0 {width:g} {height:g}">'
        f"<title>{escape(title)}</title>{''.join(parts)}</svg>"
    )


def text(x: float, y: float, words: str, anchor: str) -> str:
    """Words that start, end or have their middle at a place."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def tick(x: float, y: float, words: str) -> str:
    """A mark below a horizontal axis, with words."""
    return f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{y:.1f}" y2="{y + 4:.1f}"/>' + text(x, y + 16, words, "middle")


def _round_steps(top: float) -> list[float]:
    """Three to six round values from 0 to `top`."""
    step = 10.0 ** math.floor(math.log10(top))
    step = next(size for size in (step / 5, step / 2, step, 2 * step) if top / size < 6)
    return [i * step for i in range(int(top / step + 1e-9) + 1)]
