"""What the page says of a part and of a photograph, as HTML; names of uploads are escaped."""

import base64
import html
import io

from PIL import Image

from fastrecon_jax.command_line.console import count, percent
from fastrecon_jax.parts import calibration, pictures
from fastrecon_jax.parts.inspector import BORDERLINE, DEFECTIVE, GOOD, Finding
from fastrecon_jax.parts.part import Part
from fastrecon_jax.serving import session as sessions
from fastrecon_jax.serving.session import Session, View

_SIGNS = {GOOD: "✓", BORDERLINE: "?", DEFECTIVE: "✕"}
_ROWS = 8
_COLOURS = 9  # of the colour bar
WAITING = (
    '<div class="verdict waiting"><span class="sign">→</span><div><strong>Ready</strong>'
    "<p>Drop a photograph of the part above, and its verdict appears here.</p></div></div>"
)


def part(session: Session) -> str:
    """The card of a part: its good photographs, how it was calibrated, what is to be doubted.

    Args:
        session: the part.

    Returns:
        HTML.
    """
    known = session.part
    limits, recipe = known.limits, known.recipe
    low, high = calibration.rate_interval(limits.scores, limits.rate)
    return (
        f'<div class="part"><h3>{_safe(known.name)}</h3>'
        f'<div class="thumbs">{"".join(map(_thumbnail, session.thumbnails))}</div>'
        f"<p>Fitted on <b>{count(len(known.good), 'good photograph')}</b> with {recipe.method} on {recipe.encoder}. "
        f"Threshold <b>{limits.threshold:.4g}</b>, set for {percent(limits.rate)} false alarms among good parts; "
        f"with so few photographs it may really be {percent(low)} to {percent(high)}.</p>"
        f"{_doubts(session.warnings)}</div>"
    )


def verdict(session: Session, view: View, finding: Finding, threshold: float) -> str:
    """The verdict in large letters, and in words what it rests on.

    Args:
        session: the part.
        view: of the photograph.
        finding: on it, by the threshold.
        threshold: of the score.

    Returns:
        HTML.
    """
    return (
        f'<div class="verdict {finding.verdict}" data-verdict="{finding.verdict}" data-score="{view.score:.6g}">'
        f'<span class="sign">{_SIGNS[finding.verdict]}</span>'
        f"<div><strong>{finding.verdict.capitalize()}</strong>"
        f"<p>{_safe(view.name)}: {because(view.score, finding.verdict, threshold)}</p></div>"
        f"<dl><div><dt>Score</dt><dd>{view.score:.4g}</dd></div><div><dt>Threshold</dt><dd>{threshold:.4g}</dd></div>"
        f"<div><dt>p-value</dt><dd>{_probability(finding.p_value)}</dd></div></dl></div>"
        f"{_scale(session, view, threshold)}"
        f'<p class="meaning">{chance(finding.p_value)}</p>'
    )


def because(score: float, found: str, threshold: float) -> str:
    """Why the verdict is what it is.

    Args:
        score: of the photograph.
        found: the verdict.
        threshold: of the score.

    Returns:
        A sentence.
    """
    if found == DEFECTIVE:
        return f"its score {score:.4g} is above the threshold {threshold:.4g}."
    if found == BORDERLINE:
        return (
            f"its score {score:.4g} is below the threshold {threshold:.4g}, but more good photographs may lower that."
        )
    return f"its score {score:.4g} is below the threshold {threshold:.4g}."


def chance(p_value: float) -> str:
    """A p-value in words.

    Args:
        p_value: probability that a good photograph scores as high.

    Returns:
        A sentence.
    """
    if p_value > 0.5:
        return f"Most good parts ({100 * p_value:.0f} of 100) would score at least as high: nothing unusual."
    if p_value < 1e-6:
        return "Fewer than 1 in a million good parts would score as high."
    return f"About 1 in {round(1 / p_value):,} good parts would score as high."


def picture(session: Session, view: View, finding: Finding, overlay: Image.Image) -> str:
    """The photograph beside its overlay, over the scale of colours.

    Args:
        session: the part.
        view: of the photograph.
        finding: on it.
        overlay: from `session.draw`.

    Returns:
        HTML.
    """
    found = len(finding.regions)
    marked = "no region marked" if not found else f"{count(found, 'region')} marked"
    return (
        f'<div class="pictures" data-regions="{found}">'
        f"<figure>{_image(view.small, 'the photograph')}<figcaption>Photograph, {view.size[0]}x{view.size[1]}"
        "</figcaption></figure>"
        f"<figure>{_image(overlay, 'anomaly map and regions')}<figcaption>Where it deviates: {marked}</figcaption>"
        f"</figure></div>{_colours(session.part, finding)}"
    )


def regions(finding: Finding) -> str:
    """The regions as a table.

    Args:
        finding: on a photograph.

    Returns:
        HTML; empty where there is none.
    """
    if not finding.regions:
        return ""
    rows = "".join(
        f"<tr><td>{i}</td><td>{one.x}, {one.y}</td><td>{one.width} x {one.height}</td><td>{one.area}</td>"
        f"<td>{one.peak:.4g}</td></tr>"
        for i, one in enumerate(finding.regions[:_ROWS], 1)
    )
    more = len(finding.regions) - _ROWS
    return (
        '<table class="regions"><thead><tr><th>Region</th><th>Left, top</th><th>Width x height</th><th>Area</th>'
        f"<th>Highest value</th></tr></thead><tbody>{rows}</tbody></table>"
        + (f"<p>and {more} more</p>" if more > 0 else "")
        + '<p class="meaning">In pixels of the photograph.</p>'
    )


def rate(known: Part, threshold: float) -> str:
    """What a threshold means for good parts.

    Args:
        known: the part.
        threshold: of the score.

    Returns:
        A sentence for the slider.
    """
    own = " (as calibrated)" if threshold == known.limits.threshold else ""
    share = calibration.p_value(known.limits.scores, threshold)
    return f"{percent(share)} of good parts would be judged defective at {threshold:.4g}{own}"


def _doubts(sentences: tuple[str, ...]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_safe(sentence[:1].upper() + sentence[1:])}.</li>" for sentence in sentences)
    return f'<details class="doubts" open><summary>Worth knowing</summary><ul>{items}</ul></details>'


def _scale(session: Session, view: View, threshold: float) -> str:
    """Scores of the good photographs, the threshold and this photograph's score on one line."""
    low, high, _ = sessions.slider(session, view)
    limits = session.part.limits

    def at(score: float) -> str:
        return f"{100 * min(max((score - low) / (high - low), 0.0), 1.0):.2f}%"

    good = "".join(f'<i style="left:{at(one.score)}" title="{_safe(one.name)}"></i>' for one in session.part.good)
    borderline = at(min(limits.borderline, threshold))
    return (
        f'<div class="scale"><div class="zones" style="--borderline-at:{borderline};--threshold-at:{at(threshold)}">'
        "</div>"
        f'{good}<b class="limit" style="left:{at(threshold)}"><span>threshold</span></b>'
        f'<b class="score" style="left:{at(view.score)}"><span>this photograph</span></b></div>'
        '<p class="legend"><i></i> the good photographs, each scored by a model that had not seen it</p>'
    )


def _colours(known: Part, finding: Finding) -> str:
    limits, palette = known.limits, pictures.palette()
    steps = [palette[i * (len(palette) - 1) // (_COLOURS - 1)] for i in range(_COLOURS)]
    gradient = ", ".join(f"rgb({r} {g} {b})" for r, g, b in steps)
    return (
        f'<div class="colours"><span>like good parts {limits.floor:.3g}</span>'
        f'<i style="background:linear-gradient(90deg, {gradient})"></i>'
        f"<span>{limits.ceiling:.3g} unlike them</span></div>"
    )


def _thumbnail(image: Image.Image) -> str:
    return _image(image, "a good photograph")


def _image(image: Image.Image, alternative: str) -> str:
    """In the page itself: nothing is written for it, and nothing fetched."""
    encoded = io.BytesIO()
    image.save(encoded, format="JPEG", quality=90, subsampling=0)
    data = base64.b64encode(encoded.getvalue()).decode()
    return f'<img src="data:image/jpeg;base64,{data}" alt="{alternative}">'


def _safe(text: str) -> str:
    return html.escape(text)


def _probability(value: float) -> str:
    return f"{value:.2g}" if value >= 1e-6 else "< 1e-6"
