"""One page to leaf through the images that were inspected: a file that needs nothing but the pictures beside it."""

import os
import urllib.parse
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import Any

from fastrecon_jax import files
from fastrecon_jax.command_line import console
from fastrecon_jax.inspection import routing
from fastrecon_jax.inspection.rows import UNREADABLE, Counts, Row, kind
from fastrecon_jax.parts import pictures
from fastrecon_jax.parts.inspector import VERDICTS
from fastrecon_jax.parts.palette import palette
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.regions import Region

NAME = "index.html"
_KINDS = (*VERDICTS[::-1], UNREADABLE)
_STOPS = 17
_PICKED = {
    routing.ONLY: "the only part",
    routing.GIVEN: "part given by --part",
    routing.NAME: "part picked by its name in the path",
    routing.LIKENESS: "part picked by likeness",
}
_ORDERS = {
    "high": "highest score first",
    "low": "lowest score first",
    "first": "as inspected",
    "last": "latest first",
    "path": "by path",
}
_TOLD = frozenset(  # values of a row that the page tells in its own words, or has no use for
    ("path", "part", "picked", "verdict", "score", "threshold", "p_value", "peak", "regions", "milliseconds", "overlay")
) | {"time", "size", "modified", "error", "note", "warning", "confidence", "reason"}


def write(directory: Path, parts: Sequence[Part], rows: Iterable[Row]) -> None:
    """Write index.html beside the results, of images that are each in one row; InputError if it cannot be written."""
    files.write_text(directory / NAME, html(directory, parts, list(rows)))


def html(directory: Path, parts: Sequence[Part], rows: Sequence[Row]) -> str:
    """The page in `directory`, from which links start, without anything from elsewhere.

    Without JavaScript it is a list: images that could not be read, then the others, the highest scores first.
    """
    order = sorted(range(len(rows)), key=lambda i: -_ratio(rows[i]))
    cards = "\n".join(_card(directory, rows[i], i) for i in order)
    now = datetime.now(UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(", ".join(part.name for part in parts))}: {len(rows)} images</title>
<style>
{_beside("page.css")}</style>
</head>
<body>
<main>
<h1>{console.count(len(rows), "image")}: {Counts(rows)}</h1>
<div>written {now}. A click opens an image, the keys left and right go on, Escape closes it.</div>
{_facts(parts)}
{_drift(rows)}{_form(parts, rows)}
<ul class="rows" aria-label="images">
{cards}
</ul>
</main>
<dialog aria-label="one image"><nav aria-label="images"><button value="-1" aria-label="previous image">&larr;</button>
<button value="1" aria-label="next image">&rarr;</button><span id="at" role="status"></span>
<button value="close">close</button></nav><ul id="single" aria-label="one image"></ul></dialog>
<script>
{_beside("page.js")}</script>
</body>
</html>
"""


def _beside(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _ratio(row: Row) -> float:
    """Score relative to the threshold, so that several parts can be sorted together; unreadable images come first."""
    return 1e9 if row.score is None or not row.threshold else row.score / row.threshold


def _facts(parts: Sequence[Part]) -> str:
    names = (
        *("part", "method", "encoder", "good images", "score: defective above", "borderline above", "false positives"),
        "map: colours of every picture, regions from the mark",
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in names)
    rows = "".join(_fact(part, names) for part in parts)
    return f'<table class="facts"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>'


def _fact(part: Part, names: Sequence[str]) -> str:
    """A row of the table; on a phone a list, in which each value follows its name."""
    recipe, limits = part.recipe, part.limits
    random = " (random weights: scores mean nothing)" if recipe.weights == "random" else ""
    cells = (
        *(part.name, recipe.method, f"{recipe.encoder} {'+'.join(recipe.stages)}{random}", str(len(part.good))),
        *(f"{limits.threshold:.4g}", f"{limits.borderline:.4g}", f"{100 * limits.rate:g} % asked for"),
    )
    contents = (*map(escape, cells), _scale(part))
    named = zip(names, contents, strict=True)
    return "<tr>" + "".join(f'<td data-name="{name}">{content}</td>' for name, content in named) + "</tr>"


def _scale(part: Part) -> str:
    low, high, mark = part.limits.floor, part.limits.ceiling, part.limits.seed
    share = 100 * (mark - low) / max(high - low, 1e-12)
    stops = []
    for i in range(_STOPS):
        red, green, blue = palette()[round(255 * i / (_STOPS - 1))]
        stops.append(f"rgb({red} {green} {blue} / {pictures.OPACITY * i / (_STOPS - 1):.2f})")
    words = f"colours of the anomaly map from {low:.3g}, as in good images, to {high:.3g}; regions from {mark:.4g}"
    return (
        f'<div class="scale" role="img" aria-label="{words}" data-part="{escape(part.name)}">'
        f'<i style="background:linear-gradient(90deg,{",".join(stops)}),#777"></i>'
        f'<b style="left:{share:.1f}%"></b><span style="left:0">{low:.3g}</span>'
        f'<span style="left:{share:.1f}%">{mark:.4g}</span><span style="left:100%">{high:.3g}</span></div>'
    )


def _drift(rows: Sequence[Row]) -> str:
    """What was said of drift; a part's name stands before it where there are several."""
    several = len({row.part for row in rows if row.part}) > 1
    said = [f"{row.part}: {row.note}" if several else row.note for row in rows if row.note]
    return "".join(f'<p class="drift"><strong>drift</strong> {escape(text)}</p>\n' for text in said)


def _form(parts: Sequence[Part], rows: Sequence[Row]) -> str:
    counts = Counts(rows)
    boxes = "".join(
        f'<label class="{name}"><input type="checkbox" name="verdict" value="{name}" checked autocomplete="off"> '
        f'<span class="verdict">{name}</span> {counts[name]}</label>'
        for name in _KINDS
    )
    orders = "".join(f'<option value="{key}">{text}</option>' for key, text in _ORDERS.items())
    names = "".join(f'<option value="{escape(part.name)}">{escape(part.name)}</option>' for part in parts)
    choice = (
        f'<select name="part" aria-label="part"><option value="">all parts</option>{names}</select>'
        if len(parts) > 1
        else ""
    )
    return (
        f'<form autocomplete="off" aria-label="which images are shown">{boxes}'
        f'<select name="order" aria-label="order">{orders}</select>{choice}'
        '<input type="search" name="words" aria-label="words in the path" placeholder="in the path">'
        '<span id="shown" role="status"></span></form>'
    )


def _card(directory: Path, row: Row, order: int) -> str:
    path, verdict = escape(row.path), kind(row)
    overlay = urllib.parse.quote(row.overlay)
    name = f"{path}, {verdict}: photograph with anomaly map and regions"
    view = (
        f'<a class="view" href="{overlay}"><img loading="lazy" decoding="async" alt="{name}" src="{overlay}"></a>'
        if row.overlay
        else f'<a class="view none" aria-label="{path}, {verdict}: no picture" href="{_link(directory, row)}">'
        "no picture</a>"
    )
    score = "" if row.score is None else f" {row.score:.4g}"
    reason = f'<p class="reason">{escape(row.reason)}</p>' if row.reason else ""
    part = f" <span>{escape(row.part)}</span>" if row.picked not in ("", routing.ONLY) else ""
    return (
        f'<li class="row {verdict}" data-order="{order}" data-verdict="{verdict}" '
        f'data-part="{escape(row.part)}" data-ratio="{_ratio(row):.6g}" data-path="{path}">{view}'
        f'<p><span class="verdict">{verdict}</span>{score}{part}</p>'
        f"{reason}"
        f'<p class="path"><a href="{_link(directory, row)}">{path}</a></p>'
        f'<div class="more">{_more(row)}</div></li>'
    )


def _link(directory: Path, row: Row) -> str:
    return urllib.parse.quote(os.path.relpath(row.path, directory))


def _more(row: Row) -> str:
    if row.error:
        return f"<p>{escape(row.error)}</p>"
    confidence = "" if row.confidence is None else f", confidence {row.confidence:.3g}"
    facts = (
        f"score {row.score:.5g}, threshold {row.threshold:.5g}, p-value {row.p_value:.3g}{confidence}",
        f"largest value of the map {row.peak:.4g}",
        f"{row.milliseconds:.0f} ms, {row.time}, {_PICKED[row.picked]}",
        *filter(None, [row.warning]),
    )
    facts += (f"drift: {row.note}",) if row.note else ()
    facts += tuple(f"{name} {_number(value)}" for name, value in _others(row).items())
    return "".join(f"<p>{escape(fact)}</p>" for fact in facts) + _regions(row.regions)


def _others(row: Row) -> dict[str, Any]:
    """Values of a row that the page says nothing else of."""
    return {name: value for name, value in row._asdict().items() if name not in _TOLD and value not in ("", None)}


def _regions(regions: Sequence[Region]) -> str:
    if not regions:
        return "<p>no regions</p>"
    head = "".join(f'<th scope="col">{name}</th>' for name in Region._fields)
    rows = "".join("<tr>" + "".join(f"<td>{_number(value)}</td>" for value in region) + "</tr>" for region in regions)
    return f"<table><tr>{head}</tr>{rows}</table>"


def _number(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
