"""What visitors of the demo do: fit or open a part, inspect a photograph, judge it by any threshold, draw it."""

import contextlib
import dataclasses
import math
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float
from PIL import Image

from fastrecon_jax.data import bit_depth, demo
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import area, auto_settings, fitting, inspector, limits, part_file, photos, pictures, repeats
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.inspector import Finding, PartInspector
from fastrecon_jax.parts.part import Part
from fastrecon_jax.serving import uploads
from fastrecon_jax.serving.engines import EngineOpener
from fastrecon_jax.serving.uploads import Accepted, Upload

_EXAMPLE, _DEFECT = "gear", ("rust", 1)
_EXAMPLE_IMAGES = 4
_THUMBNAIL = 96  # pixels
_NAME = 80  # characters of a part's name


class Service(NamedTuple):
    """What all visitors share.

    Attributes:
        engine: for parts that are fitted here.
        open_engine: opens the engines of uploaded parts.
        accepted: which photographs are accepted.
        rate: share of good parts that may be judged defective.
        directory: where the files of parts lie, removed at the end.
    """

    engine: Engine
    open_engine: EngineOpener
    accepted: Accepted
    rate: float
    directory: Path


class InspectedImage(NamedTuple):
    """A photograph that was scored; judging and drawing it computes nothing anew.

    Attributes:
        name: name of its file.
        size: (width, height) in pixels.
        small: the whole of it, to draw on.
        score: image score.
        map: anomaly map of the inspected area.
        missing: what it lacks of the good ones; None where the method cannot tell.
        known: name of the good photograph of the part that it is; empty if it is none.
    """

    name: str
    size: tuple[int, int]
    small: Image.Image
    score: float
    map: Float[np.ndarray, "H W"]
    missing: float | None
    known: str


class Workspace(NamedTuple):
    """What one visitor has: a part, and a photograph under inspection.

    Attributes:
        inspector: the part, ready for inspection.
        warnings: what its good photographs leave in doubt, sentences.
        thumbnails: small copies of them; none for a part from a file.
        file: the part's file, to be downloaded.
        token: tells this part from others; empty for the one that the demo opens with.
        image: the photograph under inspection, if there is one.
    """

    inspector: PartInspector
    warnings: tuple[str, ...]
    thumbnails: tuple[Image.Image, ...]
    file: Path
    token: str
    image: InspectedImage | None = None

    @property
    def part(self) -> Part:
        """The part in use."""
        return self.inspector.part


def example(service: Service) -> Workspace:
    """A part of the built-in data, fitted on four good photographs, with a defective one: what a visitor finds."""
    arrays = [demo.photograph(_EXAMPLE, "train", "good", i) for i in range(_EXAMPLE_IMAGES)]
    good = [Upload(f"good {i + 1}", photos.decode(array, "example")) for i, array in enumerate(arrays)]
    workspace = _fit(service, good, name=f"{_EXAMPLE} (example)", token="")
    defective = photos.decode(demo.photograph(_EXAMPLE, "test", *_DEFECT), "example")
    return _inspect(workspace, Upload("a gear with a spot of rust", defective))


def opened(service: Service, file: Path, open_engine: EngineOpener) -> Workspace:
    """A part from a file that the user of the command names; InputError if it is missing, damaged or no part."""
    part, engine = part_file.load(file, open_engine)
    return _workspace(service, inspector.create(part, engine), token="")


def fit(service: Service, paths: Sequence[str | Path], *, name: str) -> Workspace:
    """A part from uploaded photographs, without a photograph under inspection; InputError if they cannot be used."""
    depth = photos.find_bit_depth(paths, bit_depth.AUTO, service.accepted.pixels)
    good = uploads.read_all(paths, service.accepted, depth=depth)
    recipe = dataclasses.replace(service.engine.recipe, bit_depth=depth)
    service = service._replace(engine=service.engine._replace(recipe=recipe))
    return _fit(service, good, name=name.strip()[:_NAME] or "part", token=secrets.token_hex(8))


def load(service: Service, path: str | Path) -> Workspace:
    """A part from an uploaded file; InputError if it is damaged, no part, or asks for what an upload may not."""
    file = Path(path)
    try:
        part, engine = part_file.load(file, service.open_engine)
    except InputError as error:  # the visitor knows the file by its name alone
        raise InputError(str(error).replace(str(file), file.name)) from None
    return _workspace(service, inspector.create(part, engine), token=secrets.token_hex(8))


def rename(service: Service, workspace: Workspace, name: str) -> Workspace:
    """The same part under another name, with a file of its own."""
    part = workspace.part._replace(name=name.strip()[:_NAME] or workspace.part.name)
    token = workspace.token or secrets.token_hex(8)
    renamed = workspace.inspector._replace(part=part)
    return workspace._replace(inspector=renamed, file=_write(service, part), token=token)


def inspect(service: Service, workspace: Workspace, path: str | Path) -> Workspace:
    """Put an uploaded photograph under inspection; InputError if it cannot be used."""
    return _inspect(workspace, uploads.read(path, service.accepted, depth=workspace.part.recipe.bit_depth))


def judge(workspace: Workspace, threshold: float | None = None) -> Finding:
    """Verdict and regions of the photograph, by the part's threshold or another one; InputError if there is none."""
    part, image = workspace.part, workspace.image
    if image is None:
        raise InputError("there is no photograph to inspect")
    if threshold is not None:
        part = part._replace(limits=limits.at_threshold(part.limits, checked(threshold)))
    seen = {"missing": image.missing, "known": image.known}
    return inspector.judge(part, image.name, image.score, image.map, image.size, **seen)


def checked(threshold: object) -> float:
    """A threshold that a visitor gives; InputError if it is no finite number."""
    with contextlib.suppress(OverflowError):  # a whole number beyond all floats
        if isinstance(threshold, int | float) and not isinstance(threshold, bool) and math.isfinite(threshold):
            return float(threshold)
    shown = repr(threshold) if isinstance(threshold, str) else str(threshold)
    raise InputError(f"the threshold must be a finite number, not {shown[:_NAME]}")


def draw(workspace: Workspace, finding: Finding) -> Image.Image:
    """The photograph with its map and regions, in the colours of the part, at most 640 pixels wide and high."""
    image, part = workspace.image, workspace.part
    scale = {"low": part.limits.floor, "high": part.limits.ceiling}
    return pictures.draw(image.small, finding, part.recipe, image.size, **scale, ignore=part.ignore)


def slider(workspace: Workspace) -> tuple[float, float, float]:
    """Ends and step of the threshold's slider: around all scores and the threshold, in a thousand steps or more."""
    scale, image = workspace.part.limits, workspace.image
    scores = [photo.score for photo in workspace.part.good] + ([image.score] if image else [])
    low = 0.8 * min(*scores, scale.borderline)
    high = 1.15 * max(*scores, scale.threshold)
    # A power of ten, so that thresholds are short numbers.
    step = float(10.0 ** np.floor(np.log10(max((high - low) / 1000, 1e-12))))
    return _multiple(low, step), _multiple(high, step), step


def facts(workspace: Workspace) -> dict[str, Any]:
    """The part as JSON."""
    part = workspace.part
    return {
        "part": part.name,
        "images": len(part.good),
        "method": part.recipe.method,
        "encoder": part.recipe.encoder,
        "target_fpr": part.limits.rate,
        "threshold": part.limits.threshold,
        "borderline": part.limits.borderline,
        "held_out_scores": {photo.name: photo.score for photo in part.good},
        "warnings": list(workspace.warnings),
    }


def finding_facts(workspace: Workspace, finding: Finding, threshold: float | None = None) -> dict[str, Any]:
    """A finding by the part's threshold or another one, as JSON."""
    return {
        "part": workspace.part.name,
        "image": finding.name,
        "verdict": finding.verdict,
        "score": finding.score,
        "threshold": workspace.part.limits.threshold if threshold is None else threshold,
        "p_value": finding.p_value,
        "confidence": finding.confidence,
        "reason": finding.reason,
        "width": workspace.image.size[0],
        "height": workspace.image.size[1],
        "regions": [region._asdict() for region in finding.regions],
    }


def _fit(service: Service, good: Sequence[Upload], *, name: str, token: str) -> Workspace:
    # The programs of the flags' engine serve all photographs of its shape, those of others are made as they come.
    recipe = area.decide(service.engine.recipe, area.usual_size([upload.image for upload in good]))
    sizes = recipe.preprocessing
    prepared = [photos.prepare(upload.image, sizes, name=upload.name, notes=upload.notes) for upload in good]
    engine = auto_settings.resolve(service.open_engine(recipe), prepared)
    fitted = fitting.fit(engine, prepared, name=name, rate=service.rate)
    workspace = _workspace(service, inspector.create(fitted.part, engine), token=token)
    return workspace._replace(warnings=fitted.warnings, thumbnails=tuple(_thumbnail(upload.image) for upload in good))


def _workspace(service: Service, part: PartInspector, *, token: str) -> Workspace:
    return Workspace(part, (), (), _write(service, part.part), token)


def _write(service: Service, part: Part) -> Path:
    """The part's file: in a directory of its own, under a name of plain letters."""
    plain = re.sub(r"[^A-Za-z0-9]+", "_", part.name).strip("_")[:40] or "part"
    folder = service.directory / secrets.token_hex(8)
    folder.mkdir(parents=True)
    file = folder / f"{plain}{part_file.SUFFIX}"
    part_file.save(part, file)
    return file


def _inspect(workspace: Workspace, upload: Upload) -> Workspace:
    preprocessing = workspace.part.recipe.preprocessing
    photo = photos.prepare(upload.image, preprocessing, name=upload.name)
    found = inspector.measure(workspace.inspector, photo.pixels[None], batch_size=1)
    image = InspectedImage(
        name=upload.name,
        size=upload.image.size,
        small=_drawable(upload.image),
        score=float(found.score[0]),
        map=found.map[0],
        missing=None if found.missing is None else float(found.missing[0]),
        known=repeats.known(workspace.part, photo),
    )
    return workspace._replace(image=image)


def _thumbnail(image: Image.Image) -> Image.Image:
    small = image.copy()
    small.thumbnail((_THUMBNAIL, _THUMBNAIL))
    return small


def _drawable(image: Image.Image) -> Image.Image:
    """Neither larger nor much smaller than the picture on the page, so that outlines are crisp."""
    factor = pictures.SIDE // max(image.size)
    return image.resize((image.width * factor, image.height * factor)) if factor > 1 else pictures.shrink(image)


def _multiple(value: float, step: float) -> float:
    """The nearest multiple, without the digits that a product of floats has at its end."""
    return float(f"{step * round(value / step):.12g}")
