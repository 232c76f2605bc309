"""What the page shows of a part and of a photograph, as HTML; names of uploads are escaped."""

import base64
import html
import io
from typing import NamedTuple

from PIL import Image

from fastrecon_jax.command_line.console import count, percent
from fastrecon_jax.parts import calibration
from fastrecon_jax.parts.inspector import BORDERLINE, DEFECTIVE, GOOD, Finding
from fastrecon_jax.parts.limits import Limits
from fastrecon_jax.parts.palette import palette
from fastrecon_jax.parts.part import Part
from fastrecon_jax.serving import workspaces
from fastrecon_jax.serving.workspaces import InspectedImage, Workspace

_SIGNS = {GOOD: "✓", BORDERLINE: "?", DEFECTIVE: "✕"}
_ROWS = 8  # regions in the table
_COLOURS = 9  # of the colour bar
WAITING = (
    '<div class="verdict waiting"><span class="sign">→</span><div><strong>Ready</strong>'
    "<p>Drop a photograph of the part above, and its verdict appears here.</p></div></div>"
)
UPLOADING = (
    '<div class="verdict waiting" id="uploading" role="status"><span class="sign">→</span><div>'
    "<strong>Uploading</strong><p>There is no verdict before all of it has arrived.</p></div></div>"
)


class Content(NamedTuple):
    """What the page shows of a workspace, HTML but for the slider.

    Attributes:
        part: the part's card.
        verdict: verdict on the photograph, or that one may come.
        picture: the photograph and its overlay; empty without a photograph.
        regions: a table of regions; empty likewise.
        rate: what the threshold means.
        slider: lowest and highest threshold, step, and threshold.
    """

    part: str
    verdict: str
    picture: str
    regions: str
    rate: str
    slider: tuple[float, float, float, float]


def content(workspace: Workspace, threshold: float | None = None) -> Content:
    """All that the page shows, by the part's threshold or another one."""
    limit = workspace.part.limits.threshold if threshold is None else threshold
    card, meaning = part(workspace), rate(workspace.part, limit)
    slider = (*workspaces.slider(workspace), limit)
    if workspace.image is None:
        return Content(card, WAITING, "", "", meaning, slider)
    finding = workspaces.judge(workspace, limit)
    picture = pair(workspace, workspace.image, finding)
    return Content(
        card, verdict(workspace, workspace.image, finding, limit), picture, regions(finding), meaning, slider
    )


def part(workspace: Workspace) -> str:
    """The card of a part: its good photographs, how it was calibrated, what they leave in doubt."""
    good, limits, recipe = workspace.part.good, workspace.part.limits, workspace.part.recipe
    low, high = calibration.rate_interval(limits.scores, limits.rate)
    return (
        f'<div class="part"><h3>{_safe(workspace.part.name)}</h3>'
        f'<div class="thumbs">{"".join(map(_thumbnail, workspace.thumbnails))}</div>'
        f"<p>Fitted on <b>{count(len(good), 'good photograph')}</b> with {recipe.method} on {recipe.encoder}. "
        f"Threshold <b>{limits.threshold:.4g}</b>, set for {percent(limits.rate)} false alarms among good parts; "
        f"with so few photographs it may really be {percent(low)} to {percent(high)}.</p>"
        f"{_warnings(workspace.warnings)}</div>"
    )


def verdict(workspace: Workspace, image: InspectedImage, finding: Finding, threshold: float) -> str:
    """The verdict in large letters, and in words what it rests on."""
    return (
        f'<div class="verdict {finding.verdict}" data-verdict="{finding.verdict}" data-score="{image.score:.6g}">'
        f'<span class="sign">{_SIGNS[finding.verdict]}</span>'
        f"<div><strong>{finding.verdict.capitalize()}</strong>"
        f"<p>{_safe(image.name)}: {because(finding, threshold)}</p></div>"
        f"<dl><div><dt>Score</dt><dd>{image.score:.4g}</dd></div><div><dt>Threshold</dt><dd>{threshold:.4g}</dd></div>"
        f"<div><dt>p-value</dt><dd>{_probability(finding.p_value)}</dd></div></dl></div>"
        f"{_scale(workspace, image, threshold)}"
        f'<p class="meaning">{chance(finding.p_value)}</p>'
    )


def failed(title: str, reason: str) -> str:
    """Instead of a verdict: that there is none, and why."""
    sentence = reason.strip().rstrip(".")
    return (
        '<div class="verdict failed" role="alert"><span class="sign">!</span>'
        f"<div><strong>{_safe(title)}</strong><p>{_safe(sentence)}.</p></div></div>"
    )


def because(finding: Finding, threshold: float) -> str:
    """A sentence on why the verdict is what it is."""
    score = finding.score
    if score > threshold:
        because = f"its score {score:.4g} is above the threshold {threshold:.4g}"
    elif finding.verdict == BORDERLINE and not finding.reason:
        because = (
            f"its score {score:.4g} is below the threshold {threshold:.4g}, but more good photographs may lower that"
        )
    else:
        because = f"its score {score:.4g} is below the threshold {threshold:.4g}"
    joined = "; " if score > threshold or finding.verdict == GOOD else ", but "
    return f"{because}{joined}{_safe(finding.reason)}." if finding.reason else f"{because}."


def chance(p_value: float) -> str:
    """A sentence on how many good photographs would score as high."""
    if p_value > 0.5:
        return f"Most good parts ({100 * p_value:.0f} of 100) would score at least as high: nothing unusual."
    if p_value < 1e-6:
        return "Fewer than 1 in a million good parts would score as high."
    return f"About 1 in {round(1 / p_value):,} good parts would score as high."


def pair(workspace: Workspace, image: InspectedImage, finding: Finding) -> str:
    """The photograph, and beside it the same with its map and regions."""
    number = len(finding.regions)
    marked = f"{count(number, 'region')} marked" if number else "no region marked"
    overlay = workspaces.draw(workspace, finding)
    return (
        f'<div class="pictures" data-regions="{number}">'
        f"<figure>{_image(image.small, 'the photograph')}<figcaption>Photograph, {image.size[0]}x{image.size[1]}"
        "</figcaption></figure>"
        f"<figure>{_image(overlay, 'anomaly map and regions')}<figcaption>Where it deviates: {marked}</figcaption>"
        f"</figure></div>{_colours(workspace.part.limits)}"
    )


def regions(finding: Finding) -> str:
    """The regions as a table; empty where there is none."""
    if not finding.regions:
        return ""
    rows = "".join(
        f"<tr><td>{i}</td><td>{region.x}, {region.y}</td><td>{region.width} x {region.height}</td>"
        f"<td>{region.area}</td><td>{region.peak:.4g}</td></tr>"
        for i, region in enumerate(finding.regions[:_ROWS], 1)
    )
    more = len(finding.regions) - _ROWS
    return (
        '<table class="regions"><thead><tr><th>Region</th><th>Left, top</th><th>Width x height</th><th>Area</th>'
        f"<th>Highest value</th></tr></thead><tbody>{rows}</tbody></table>"
        + (f"<p>and {more} more</p>" if more > 0 else "")
        + '<p class="meaning">In pixels of the photograph.</p>'
    )


def rate(part: Part, threshold: float) -> str:
    """A sentence on what a threshold means for good parts."""
    own = " (as calibrated)" if threshold == part.limits.threshold else ""
    share = calibration.p_value(part.limits.scores, threshold)
    return f"{percent(share)} of good parts would be judged defective at {threshold:.4g}{own}"


def _warnings(sentences: tuple[str, ...]) -> str:
    if not sentences:
        return ""
    items = "".join(f"<li>{_safe(sentence[:1].upper() + sentence[1:])}.</li>" for sentence in sentences)
    return f'<details class="warnings" open><summary>Worth knowing</summary><ul>{items}</ul></details>'


def _scale(workspace: Workspace, image: InspectedImage, threshold: float) -> str:
    """Scores of the good photographs, the threshold and this photograph's score on one line."""
    low, high, _ = workspaces.slider(workspace)
    part = workspace.part

    def at(score: float) -> str:
        return f"{100 * min(max((score - low) / (high - low), 0.0), 1.0):.2f}%"

    good = "".join(f'<i style="left:{at(photo.score)}" title="{_safe(photo.name)}"></i>' for photo in part.good)
    borderline = at(min(part.limits.borderline, threshold))
    return (
        f'<div class="scale"><div class="zones" style="--borderline-at:{borderline};--threshold-at:{at(threshold)}">'
        "</div>"
        f'{good}<b class="limit" style="left:{at(threshold)}"><span>threshold</span></b>'
        f'<b class="score" style="left:{at(image.score)}"><span>this photograph</span></b></div>'
        '<p class="legend"><i></i> the good photographs, each scored by a model that had not seen it</p>'
    )


def _colours(limits: Limits) -> str:
    colours = palette()
    steps = [colours[i * (len(colours) - 1) // (_COLOURS - 1)] for i in range(_COLOURS)]
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
