"""A visitor's desk: the part in use and the photograph under inspection, and what is to be seen of them."""

import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax.data import demo
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import part_file, photos
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.inspector import Finding
from fastrecon_jax.serving import html
from fastrecon_jax.serving import session as sessions
from fastrecon_jax.serving.engines import Opener
from fastrecon_jax.serving.session import Bounds, Session, View

_EXAMPLE, _DEFECT = "gear", ("rust", 1)
_SHOTS = 4


class Workshop(NamedTuple):
    """What all visitors share.

    Attributes:
        engine: of parts that are fitted here.
        opener: of the engines of uploaded parts.
        bounds: what is accepted.
        rate: share of good parts that may be judged defective.
        directory: for the files of parts, removed at the end.
    """

    engine: Engine
    opener: Opener
    bounds: Bounds
    rate: float
    directory: Path


class Desk(NamedTuple):
    """What one visitor has before them.

    Attributes:
        session: the part.
        view: the photograph under inspection, if there is one.
        file: of the part, to be downloaded.
        token: tells this part from others; empty for the one that the demo opens with.
    """

    session: Session
    view: View | None
    file: Path
    token: str


class Shown(NamedTuple):
    """What is to be seen, HTML but for the slider.

    Attributes:
        part: the part's card.
        verdict: of the photograph.
        picture: the photograph and its overlay.
        regions: a table.
        rate: what the threshold means.
        slider: lowest and highest threshold, step, and threshold.
    """

    part: str
    verdict: str
    picture: str
    regions: str
    rate: str
    slider: tuple[float, float, float, float]


def example(workshop: Workshop) -> Desk:
    """A part of the built-in data, fitted on four good photographs, with a defective one.

    Args:
        workshop: of the demo.

    Returns:
        The desk that a visitor finds.
    """
    arrays = [demo.photograph(_EXAMPLE, "train", "good", i) for i in range(_SHOTS)]
    images = [(f"good {i + 1}", photos.decode(array, "example")) for i, array in enumerate(arrays)]
    session = sessions.fit(workshop.engine, images, name=f"{_EXAMPLE} (example)", rate=workshop.rate)
    query = photos.decode(demo.photograph(_EXAMPLE, "test", *_DEFECT), "example")
    desk = _desk(workshop, session, token="")
    return desk._replace(view=sessions.look_at(session, "a gear with a spot of rust", query))


def opened(workshop: Workshop, file: Path, opener: Opener) -> Desk:
    """A part from a file of the user's.

    Args:
        workshop: of the demo.
        file: of the part.
        opener: of engines, one that trusts the file.

    Returns:
        The desk that a visitor finds, without a photograph.

    Raises:
        InputError: the file is missing, damaged or no part.
    """
    return _desk(workshop, sessions.load(file, opener), token="")


def fit(workshop: Workshop, paths: Sequence[str | Path], *, name: str) -> Desk:
    """A part from uploaded photographs.

    Args:
        workshop: of the demo.
        paths: of the photographs.
        name: of the part, or empty.

    Returns:
        A desk with this part and no photograph.

    Raises:
        InputError: none, too many, or some that cannot be used.
    """
    images = sessions.read(paths, workshop.bounds)
    session = sessions.fit(workshop.engine, images, name=name.strip()[:80] or "part", rate=workshop.rate)
    return _desk(workshop, session, token=secrets.token_hex(8))


def load(workshop: Workshop, path: str | Path) -> Desk:
    """A part from an uploaded file.

    Args:
        workshop: of the demo.
        path: of the file.

    Returns:
        A desk with this part and no photograph.

    Raises:
        InputError: it is damaged, no part, or asks for what an upload may not.
    """
    session = sessions.load(path, workshop.opener, name=Path(path).name)
    return _desk(workshop, session, token=secrets.token_hex(8))


def rename(workshop: Workshop, desk: Desk, name: str) -> Desk:
    """The same part under another name, and its file.

    Args:
        workshop: of the demo.
        desk: with the part.
        name: new.

    Returns:
        The desk.
    """
    inspector = desk.session.inspector
    part = inspector.part._replace(name=name.strip()[:80] or inspector.part.name)
    session = desk.session._replace(inspector=inspector._replace(part=part))
    return _desk(workshop, session, token=desk.token or secrets.token_hex(8))._replace(view=desk.view)


def inspect(workshop: Workshop, desk: Desk, path: str | Path) -> Desk:
    """Put an uploaded photograph under inspection.

    Args:
        workshop: of the demo.
        desk: with a part.
        path: of the photograph.

    Returns:
        The desk with it.

    Raises:
        InputError: it cannot be used.
    """
    return desk._replace(view=sessions.look(desk.session, path, workshop.bounds))


def show(desk: Desk, threshold: float | None = None) -> Shown:
    """What is to be seen of a desk.

    Args:
        desk: of a visitor.
        threshold: of the score; the calibrated one by default.

    Returns:
        HTML and the slider's numbers.
    """
    session, view = desk.session, desk.view
    limit = session.part.limits.threshold if threshold is None else threshold
    known = html.part(session), html.rate(session.part, limit), (*sessions.slider(session, view), limit)
    if view is None:
        return Shown(known[0], html.WAITING, "", "", *known[1:])
    finding = sessions.judge(session, view, limit)
    overlay = sessions.draw(session, view, finding)
    return Shown(
        known[0],
        html.verdict(session, view, finding, limit),
        html.picture(session, view, finding, overlay),
        html.regions(finding),
        *known[1:],
    )


def facts(desk: Desk) -> dict[str, Any]:
    """A part for programs.

    Args:
        desk: with the part.

    Returns:
        JSON.
    """
    part = desk.session.part
    return {
        "part": part.name,
        "images": len(part.good),
        "method": part.recipe.method,
        "encoder": part.recipe.encoder,
        "target_fpr": part.limits.rate,
        "threshold": part.limits.threshold,
        "borderline": part.limits.borderline,
        "held_out_scores": {good.name: good.score for good in part.good},
        "warnings": list(desk.session.warnings),
    }


def judged(desk: Desk, threshold: float | None = None) -> tuple[dict[str, Any], Finding]:
    """A photograph for programs.

    Args:
        desk: with a photograph.
        threshold: of the score; the calibrated one by default.

    Returns:
        JSON, and what it was made of.

    Raises:
        InputError: there is no photograph.
    """
    if desk.view is None:
        raise InputError("there is no photograph to inspect")
    finding = sessions.judge(desk.session, desk.view, threshold)
    found = {
        "part": desk.session.part.name,
        "image": desk.view.name,
        "verdict": finding.verdict,
        "score": finding.score,
        "threshold": desk.session.part.limits.threshold if threshold is None else threshold,
        "p_value": finding.p_value,
        "width": desk.view.size[0],
        "height": desk.view.size[1],
        "regions": [region._asdict() for region in finding.regions],
    }
    return found, finding


def _desk(workshop: Workshop, session: Session, *, token: str) -> Desk:
    """Its file lies in a directory of its own, under a name of plain letters."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", session.part.name).strip("_")[:40] or "part"
    folder = workshop.directory / secrets.token_hex(8)
    folder.mkdir(parents=True)
    file = folder / f"{plain}{part_file.SUFFIX}"
    part_file.save(session.part, file)
    return Desk(session, None, file, token)
