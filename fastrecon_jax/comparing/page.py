"""A comparison as a page: one file without anything from elsewhere."""

import math
from collections.abc import Sequence
from html import escape

from fastrecon_jax.command_line.console import count
from fastrecon_jax.comparing import charts, texts
from fastrecon_jax.comparing.charts import Bar, Point
from fastrecon_jax.comparing.comparison import Comparison
from fastrecon_jax.comparing.summary import Line
from fastrecon_jax.reporting.html import document, table

_COSTS = {"image_seconds": "seconds an image", "fit_seconds": "seconds of the fit"}


def html(comparison: Comparison) -> str:
    """The page; the same comparison gives the same page."""
    names = [system.name for system in comparison.systems]
    sections = (_warnings, _board, _shots, _parts, _costs, _differences, _sources)
    body = "<h1>Comparison</h1>\n" + f"<p>{escape(', '.join(names))}</p>"
    body += "".join(section(comparison, names) for section in sections)
    return document("Comparison", body, ("fastrecon_jax.comparing", "compare.css"))


def _paragraphs(lines: Sequence[str]) -> str:
    return "".join(f"<p>{escape(line)}</p>" for line in lines)


def _warnings(comparison: Comparison, names: Sequence[str]) -> str:
    if not comparison.warnings:
        return "<p>The runs agree in their parts, test images, labels, draws, support images and settings.</p>"
    lines = "".join(f"<li>{escape(line)}</li>" for line in comparison.warnings)
    return f'<h2>Warnings</h2><div class="warning"><ul>{lines}</ul></div>'


def _board(comparison: Comparison, names: Sequence[str]) -> str:
    head, *rows = texts.board(comparison)
    return f"<h2>Leaderboard</h2>{table('Leaderboard', head, rows)}{_paragraphs(texts.notes(comparison))}"


def _of(comparison: Comparison, name: str) -> list[Line]:
    return [line for line in comparison.lines if line.name == name]


def _shots(comparison: Comparison, names: Sequence[str]) -> str:
    """Each metric against shots, with bars of one standard error over the draws."""
    shots = sorted({line.shots for line in comparison.lines})
    places = {k: math.log2(k) if k else -1.0 for k in shots}
    drawn = []
    for metric in comparison.metrics:
        series = {}
        for i, name in enumerate(names):
            known = [(line.shots, line.figures[metric]) for line in _of(comparison, name)]
            points = [Point(places[k], 100 * of.mean, 100 * (of.error or 0)) for k, of in known if of]
            if points:
                series[i] = points
        if series:
            title = texts.title(metric)
            ticks = {place: str(k) for k, place in places.items()}
            chart = charts.lines(f"{title} against shots", series, ticks, unit=f"shots; {title}, %")
            drawn.append(f"<section><h3>{escape(title)}</h3>{chart}</section>")
    return (
        f"<h2>Against shots</h2>{charts.legend(names)}<p>Bars: one standard error over the draws.</p>"
        f'<div class="charts">{"".join(drawn)}</div>'
    )


def _parts(comparison: Comparison, names: Sequence[str]) -> str:
    """The first metric by part, a chart for each number of shots."""
    metric, parts = comparison.metrics[0], texts.short_parts(comparison)
    title, drawn = texts.title(metric), []
    for shots in sorted({line.shots for line in comparison.lines}):
        values = {
            names.index(line.name): [
                None if (value := line.parts.get(part, {}).get(metric)) is None else 100 * value for part in parts
            ]
            for line in comparison.lines
            if line.shots == shots
        }
        if any(value is not None for own in values.values() for value in own):
            chart = charts.rows(
                f"{title} by part, {count(shots, 'shot')}", list(parts.values()), values, unit=f"{title}, %"
            )
            drawn.append(f"<section><h3>{count(shots, 'shot')}</h3>{chart}</section>")
    head, *rows = texts.by_part(comparison)
    return (
        f'<h2>By part</h2>{charts.legend(names)}<div class="charts">{"".join(drawn)}</div>'
        f"{table(f'{title} by part', head, rows)}"
    )


def _costs(comparison: Comparison, names: Sequence[str]) -> str:
    """What a system takes against what it reaches, a chart for images and one for the fit."""
    metric, drawn = comparison.metrics[0], []
    for field, unit in _COSTS.items():
        series = {}
        for i, name in enumerate(names):
            known = [(line, line.figures[metric], getattr(line, field)) for line in _of(comparison, name)]
            points = [
                Point(math.log10(seconds), 100 * of.mean, words=str(line.shots))
                for line, of, seconds in known
                if of and seconds
            ]
            if points:
                series[i] = points
        if series:
            ticks = charts.log_ticks([10**p.x for own in series.values() for p in own])
            title = f"{texts.title(metric)} against {unit}"
            chart = charts.lines(title, series, ticks, unit=f"{unit}; {texts.title(metric)}, %")
            drawn.append(f"<section><h3>{escape(unit.capitalize())}</h3>{chart}</section>")
    if not drawn:
        return ""
    return (
        f"<h2>Cost against accuracy</h2>{charts.legend(names)}<p>Numbers beside the marks are shots.</p>"
        f'<div class="charts">{"".join(drawn)}</div>'
    )


def _differences(comparison: Comparison, names: Sequence[str]) -> str:
    if not comparison.differences:
        return ""
    metric, drawn = comparison.metrics[0], []
    for shots in sorted({one.shots for one in comparison.differences}):
        found = [
            Bar(f"{one.first} - {one.second}", 100 * one.value, _percent(one.same_parts), _percent(one.other_parts))
            for one in comparison.differences
            if one.shots == shots and one.metric == metric
        ]
        if found:
            title = f"Differences of {texts.title(metric)}, {count(shots, 'shot')}"
            chart = charts.bars(title, found, unit=f"{texts.title(metric)}, percentage points")
            drawn.append(f"<section><h3>{count(shots, 'shot')}</h3>{chart}</section>")
    head, *rows = texts.of_differences(comparison)
    return (
        "<h2>Differences</h2><p>Thick: 95 % interval for these parts; thin: for other parts.</p>"
        f'<div class="charts">{"".join(drawn)}</div>{table("Differences", head, rows)}'
    )


def _percent(interval: tuple[float, float] | None) -> tuple[float, float] | None:
    return interval and (100 * interval[0], 100 * interval[1])


def _sources(comparison: Comparison, names: Sequence[str]) -> str:
    rows = [
        (system.name, system.method, system.encoder or "-", ", ".join(str(run.path) for run in system.runs))
        for system in comparison.systems
    ]
    papers = "".join(
        f"<li>{escape(source)}</li>" for source in dict.fromkeys(one.source for one in comparison.published)
    )
    return f"<h2>Where the figures are from</h2>{table('Runs', ('name', 'method', 'encoder', 'runs'), rows)}" + (
        f"<p>Published:</p><ul>{papers}</ul>" if papers else ""
    )
