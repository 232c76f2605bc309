"""The page of a report: one file without anything from elsewhere, for people who decide whether a line goes on."""

import base64
import io
from html import escape
from typing import NamedTuple

from PIL import Image

from fastrecon_jax import overlay
from fastrecon_jax.command_line.console import count, percent
from fastrecon_jax.parts.inspector import GOOD
from fastrecon_jax.parts.part import Part
from fastrecon_jax.reporting import charts, subjects
from fastrecon_jax.reporting.html import document, table
from fastrecon_jax.reporting.study import SHARE, Defect, Precision, Sensitivity, Shown, Span

_JPEG = {"format": "JPEG", "quality": 85, "subsampling": 0}
_TALLEST = 2.0  # thresholds; scores above are drawn there


class Study(NamedTuple):
    """All that a report holds.

    Attributes:
        part: the part.
        sha256: hash of the part, as its file says.
        device: versions and device, a line.
        tried: how the photographs that were tried relate to the part, see `subjects`.
        names: names of these photographs.
        defects: painted defects by kind.
        frames: frames without the part, by name.
        sensitivities: harmless changes.
        precision: what the good images tell of the false-positive rate, and what more of them would.
    """

    part: Part
    sha256: str
    device: str
    tried: str
    names: tuple[str, ...]
    defects: tuple[Defect, ...]
    frames: dict[str, Shown]
    sensitivities: tuple[Sensitivity, ...]
    precision: tuple[Precision, ...]


def html(study: Study) -> str:
    """The page; the same study gives the same page."""
    part = study.part
    sections = (_held_out, _defects, _frames, _sensitivities, _more, _how)
    body = f"""<h1>Report on part {escape(part.name)}</h1>
<p>From good images alone: what it finds, what it forgives, and how sure its threshold is.</p>
{_facts(study)}
<ul>
{"".join(f"<li>{escape(sentence)}</li>" for sentence in sentences(study))}
</ul>
{"".join(section(study) for section in sections)}"""
    return document(f"Report on part {part.name}", body)


def sentences(study: Study) -> list[str]:
    """The report in a few lines."""
    finds = [
        f"{defect.kind} from {defect.smallest.pixels:.3g} pixels ({percent(defect.smallest.side)} of the side)"
        for defect in study.defects
        if defect.smallest
    ]
    never = [defect.kind for defect in study.defects if not defect.smallest]
    passing = [name for name, shown in study.frames.items() if shown.trial.verdict == GOOD]
    stays = [f"{one.name} {_span(one.good, one.unit)}" for one in study.sensitivities]
    return [
        f"Painted defects that it finds at the threshold: {'; '.join(finds) or 'none'}."
        + (f" Not reliably found at any size that was tried: {', '.join(never)}." if never else ""),
        f"Frames without the part, or half of it: {len(study.frames) - len(passing)} of {len(study.frames)} do not "
        "pass as good" + (f"; these do: {', '.join(passing)}." if passing else "."),
        f"Good photographs stay good within: {'; '.join(stays)}.",
        _rate(study.precision[0]),
    ]


def _rate(now: Precision) -> str:
    return (
        f"The share of good parts that it will call defective is {percent(now.low)} to {percent(now.high)} "
        "(90 % interval)."
    )


def _span(span: Span, unit: str) -> str:
    if span.low is None or span.high is None:
        return "none (not even as they are)"
    if span.low == span.high:
        return f"0 {unit} (not by the least amount that was tried)"
    return f"up to {span.high:g} {unit}" if span.low == 0 else f"{span.low:+g} to {span.high:+g} {unit}"


def _facts(study: Study) -> str:
    part, recipe = study.part, study.part.recipe
    random = " (random weights: scores mean nothing)" if recipe.weights == "random" else ""
    low, high = study.precision[0].low, study.precision[0].high
    rows = (
        ("part", part.name),
        ("encoder", f"{recipe.encoder} {'+'.join(recipe.stages)}{random}"),
        ("method", recipe.method),
        ("good images", str(len(part.good))),
        ("threshold", f"defective above {part.limits.threshold:.4g}, borderline above {part.limits.borderline:.4g}"),
        (
            "false positives",
            f"{percent(part.limits.rate)} asked for; {percent(low)} to {percent(high)} with 90 % confidence",
        ),
        ("computed with", study.device),
        ("part's sha256", study.sha256[:16]),
    )
    cells = "".join(f'<tr><th scope="row">{name}</th><td>{escape(text)}</td></tr>' for name, text in rows)
    return f'<table class="facts">{cells}</table>'


def _held_out(study: Study) -> str:
    part = study.part
    limits, scores = part.limits, [photo.score for photo in part.good]
    said = (
        f"<p>Each of the {len(scores)} good images is scored by a model of the others. None of these scores should lie "
        "above the threshold, and one far from the rest deserves a look.</p>"
        if len(scores) > 1
        else '<p class="warning">There is one good image: its score by its own model says nothing, and the threshold '
        "is a guess. Add images with python -m fastrecon_jax.extend.</p>"
    )
    strips = {
        "good images, held out" if len(scores) > 1 else "the good image itself": scores,
        "frames without the part": [shown.trial.score for shown in study.frames.values()],
    }
    rules = {"borderline": limits.borderline, "threshold": limits.threshold}
    rows = [(_short(photo.name), f"{photo.score:.4g}", f"{photo.score / limits.threshold:.2f}") for photo in part.good]
    return (
        f"<h2>Held-out scores</h2>{said}{charts.strips('Scores against the threshold', strips, rules)}"
        f"{table('Scores of the good images', ('image', 'score', 'in thresholds'), rows)}"
    )


def _defects(study: Study) -> str:
    threshold = study.part.limits.threshold
    sizes = study.defects[0].sizes
    places = range(len(sizes))
    chart = charts.lines(
        "Share of painted defects found, by kind and size",
        [
            charts.Line(defect.kind, tuple((float(i), 100 * defect.sizes[i].found) for i in places))
            for defect in study.defects
        ],
        ticks={float(i): f"{100 * sizes[i].side:g}" for i in places},
        top=100.0,
        unit="size in % of the shorter side; found in %",
    )
    head = ("kind", "smallest found", *(f"{size.pixels:.3g}\N{NO-BREAK SPACE}px" for size in sizes))
    rows = [
        (
            defect.kind,
            f"{defect.smallest.pixels:.3g}\N{NO-BREAK SPACE}px" if defect.smallest else "none",
            *(f"{100 * size.found:.0f}\N{NO-BREAK SPACE}%" for size in defect.sizes),
        )
        for defect in study.defects
    ]
    pictures = "".join(
        _figure(
            study.part,
            defect.shown,
            f"{defect.kind}, {(defect.smallest or defect.sizes[-1]).pixels:.3g} pixels, "
            f"{'the smallest size found' if defect.smallest else 'the largest tried, not reliably found'}",
            threshold,
            pair=True,
        )
        for defect in study.defects
    )
    return (
        f"<h2>Painted defects</h2><p>Defects are painted on good images at {sizes[0].count} places for each kind and "
        "size, a scratch as long as its size and a twelfth as wide. A size counts as found if it and all larger ones "
        f"are judged defective in at least {percent(SHARE)} of the copies. A real defect may be fainter or stronger "
        "than a painted one of its size.</p>"
        f'{chart}{table("Share judged defective", head, rows)}<div class="pictures">{pictures}</div>'
    )


def _frames(study: Study) -> str:
    pictures = "".join(
        _figure(study.part, shown, name, study.part.limits.threshold) for name, shown in study.frames.items()
    )
    passing = [name for name, shown in study.frames.items() if shown.trial.verdict == GOOD]
    said = (
        f'<p class="warning">These would pass as good: {escape(", ".join(passing))}.</p>'
        if passing
        else "<p>None of these would pass as good.</p>"
    )
    return f'<h2>Frames without the part</h2>{said}<div class="pictures">{pictures}</div>'


def _sensitivities(study: Study) -> str:
    rows = [(one.name, _span(one.good, one.unit), _span(one.passed, one.unit)) for one in study.sensitivities]
    drawn = "".join(map(_sensitivity, study.sensitivities))
    return (
        "<h2>What it forgives</h2><p>Good images, moved, turned, darkened, lightened and blurred: how far at least "
        f"{percent(SHARE)} of them stay good, and how far they are not called defective.</p>"
        f"{table('Amounts', ('change', 'stay good', 'not defective'), rows)}"
        f'<div class="charts">{drawn}</div>'
    )


def _sensitivity(one: Sensitivity) -> str:
    highest = max(amount.highest for amount in one.amounts)
    amounts = [amount.amount for amount in one.amounts]
    ends = {amounts[0]: f"{amounts[0]:g}", 0.0: "0", amounts[-1]: f"{amounts[-1]:g}"}
    chart = charts.lines(
        f"Scores by {one.name}",
        [
            charts.Line("median", tuple((amount.amount, amount.median) for amount in one.amounts)),
            charts.Line("highest", tuple((amount.amount, amount.highest) for amount in one.amounts)),
        ],
        ticks=ends,
        top=min(max(highest, 1.2), _TALLEST),
        unit=f"{one.name} in {one.unit}; score in thresholds",
        rules=(1.0,),
    )
    return f"<section><h3>{escape(one.name.capitalize())}</h3>{chart}</section>"


def _more(study: Study) -> str:
    rows = [
        (str(one.images), f"{percent(one.low)} to {percent(one.high)}", f"{one.threshold:.4g}")
        for one in study.precision
    ]
    head = ("good images", "true rate of false positives, 90 % interval", "threshold")
    return (
        "<h2>What more good images would tell</h2><p>The interval of the true rate of false positives today (first "
        "row), and with more good images if their scores spread as those so far do; then the threshold comes out "
        f"lower, too, and smaller defects are found.</p>{table('More good images', head, rows)}"
    )


def _how(study: Study) -> str:
    ways = {
        subjects.HELD_OUT: "each of them scored by a model of the other good images, as in the calibration",
        subjects.NEW: "which the part has not seen",
        subjects.SEEN: "which the part has seen: on new images it finds about as much, and forgives less",
    }
    names = escape(", ".join(map(_short, study.names)))
    height, width = next(iter(study.frames.values())).pixels.shape[:2]
    return (
        f"<h2>How this was measured</h2><p>Defects and changes are made on {count(len(study.names), 'good image')}, "
        f"{ways[study.tried]}: {names}. Sizes are in pixels of the picture that is inspected, "
        f"{width} x {height}. Random numbers are seeded by the pixels: the same part gives the same report.</p>"
        "<p>What painted defects cannot tell is how your own defects look. Try the part on real ones, too, wherever "
        "you have some.</p>"
    )


def _short(name: str) -> str:
    """The last part of a path; the figures hold all of it."""
    return name.replace("\\", "/").rsplit("/", 1)[-1]


def _figure(part: Part, shown: Shown, name: str, threshold: float, *, pair: bool = False) -> str:
    drawn = overlay.overlay(shown.pixels, shown.map, low=part.limits.floor, high=part.limits.ceiling)
    verdict, ratio = shown.trial.verdict, shown.trial.score / threshold
    kind = f"{verdict} two" if pair else verdict
    pictures = f'<img alt="{escape(name)}, with its anomaly map" src="{_uri(drawn)}">'
    if pair:
        pictures = f'<div class="pair"><img alt="{escape(name)}" src="{_uri(shown.pixels)}">{pictures}</div>'
    return (
        f'<figure class="{kind}">{pictures}<figcaption>{escape(name)}: <span class="verdict">{verdict}</span>, '
        f"score {shown.trial.score:.4g}, {ratio:.2f} of the threshold</figcaption></figure>"
    )


def _uri(pixels) -> str:
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, **_JPEG)
    return "data:image/jpeg;base64," + base64.b64encode(encoded.getvalue()).decode()
