"""The command export: a part as one file for other programs, checked against the part itself."""

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from jaxtyping import Float, UInt8
from PIL import Image

from fastrecon_jax import encoders, exporting, files, locks
from fastrecon_jax.data import geometry
from fastrecon_jax.data import images as decoding
from fastrecon_jax.encoders import licences
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting.config import ExportConfig
from fastrecon_jax.inspection import fit, reading, summary
from fastrecon_jax.parts import augment, part_file, photos
from fastrecon_jax.parts.engine import detector_of, open_engine
from fastrecon_jax.parts.inspector import PartInspector, create, score
from fastrecon_jax.parts.part import Part
from fastrecon_jax.version import __version__

_CHECKED = 8  # photographs at most beside changed copies, since each is held in memory at its full size


def export(config: ExportConfig, *, tell: Callable[[str], object]) -> Path:
    """Write a part as one file and run it against the part, on photographs, known and unknown, and synthetic pictures.

    An InputError says what the user gave that cannot be used, or that the file differs from the part beyond rounding;
    nothing is left of it then. Where another process writes that file, this one waits.
    """
    file = fit.target(config.output, "output")
    if not isinstance(file, Path):
        raise InputError(f"--output={file} is not allowed: write the file on this machine, and copy it there")
    with locks.writing(file, tell):
        return _export(config, file, tell)


def _export(config: ExportConfig, file: Path, tell: Callable[[str], object]) -> Path:
    part, engine = part_file.load(
        files.place(config.model, "model"), lambda recipe: open_engine(recipe, weights=config.weights)
    )
    inspector = create(part, engine)
    width, height = _size(part, config)
    preprocessing = part.recipe.preprocessing
    tell(summary.introduction(engine))
    data = exporting.export(
        config.format,
        engine.encoder,
        detector_of(engine),
        inspector.state,
        image_size=preprocessing.resized,
        height=height,
        width=width,
        box=preprocessing.box((width, height)) if preprocessing.cut else None,
        facts=_facts(part, (width, height)) | _licence(engine.encoder),
    )
    pictures = _pictures(part, config, width, height)
    draft = file.with_name(f".{file.name}.unchecked")
    files.write(draft, data)
    try:
        differences = exporting.verify(functools.partial(_original, inspector), config.format, draft, pictures)
        _check(differences, engine.method.export_tolerance)
        if terms := licences.terms(engine.encoder):
            files.write_text(_terms_file(file), _terms_text(engine.encoder, terms))
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    checked = f"checked on {len(pictures)} images, one by one and together: "
    tell(
        checked + _report(file, part, engine.encoder, differences, engine.method.export_tolerance, f"{height}, {width}")
    )
    return file


def _report(
    file: Path,
    part: Part,
    encoder: encoders.Encoder,
    differences: exporting.Differences,
    tolerance: float,
    size: str,
) -> str:
    """What was measured, and what who runs the file must know."""
    limits, (rows, columns) = part.limits, part.recipe.preprocessing.kept
    return (
        f"scores differ by {differences.score:.1e}, maps by {differences.map:.1e} of their range (at most "
        f"{tolerance:g})\nthreshold {limits.threshold:.6g}, borderline from {limits.borderline:.6g}\n"
        f"{file} ({file.stat().st_size / 1e6:.1f} MB) takes RGB images (n, {size}, 3) of uint8 and gives scores (n,) "
        f"and maps (n, {rows}, {columns})\n" + _said_of_licence(encoder, file)
    )


def _said_of_licence(encoder: encoders.Encoder, file: Path) -> str:
    licence, terms = encoder.registration.licence, licences.terms(encoder)
    if not licence:
        return ""
    asked = f": {terms}; {_terms_file(file).name} beside it says so, keep the two together" if terms else ""
    return f"it holds weights of {encoder.name}, whose licence is {licence}{asked}\n"


def _terms_file(file: Path) -> Path:
    """Where the terms of the weights stand beside a file that holds them."""
    return file.with_name(f"{file.name}.LICENCE.txt")


def _terms_text(encoder: encoders.Encoder, terms: str) -> str:
    return f"{encoder.name}, {encoder.weights}, sha256 {encoder.sha256}\n{encoder.registration.licence}: {terms}.\n"


def _licence(encoder: encoders.Encoder) -> dict[str, str]:
    """Licence of the weights in the file, and what it asks for, as metadata."""
    found = {"weights_licence": encoder.registration.licence, "weights_terms": licences.terms(encoder)}
    return {name: text for name, text in found.items() if text}


def _check(differences: exporting.Differences, tolerance: float) -> None:
    if not max(differences) <= tolerance:  # so that a NaN is refused too
        raise InputError(
            f"the exported file differs from the part by {differences.score:.1e} (scores) and {differences.map:.1e} "
            f"(maps), more than {tolerance:g}: it was not written"
        )


def _size(part: Part, config: ExportConfig) -> tuple[int, int]:
    """Width and height of the photographs: as asked for, or those of the good ones."""
    if config.width and config.height:
        return config.width, config.height
    sizes = Counter((good.width, good.height) for good in part.good)
    if len(sizes) > 1:
        shown = ", ".join(f"{width}x{height}" for width, height in sizes)
        raise InputError(
            f"part {part.name} was fitted on images of several sizes ({shown}), an exported file takes one: pass "
            "--width and --height"
        )
    ((width, height),) = sizes
    return width, height


def _pictures(part: Part, config: ExportConfig, width: int, height: int) -> UInt8[np.ndarray, "n H W 3"]:
    """Synthetic pictures, the good photographs that are still where they were or those asked for, and changed copies.

    The part knows the good ones, so that their distances are next to nothing. Copies of one that are moved, turned,
    nearer and darker stand for photographs that the part does not know, of which nearly all that a file gets are.
    """
    if config.images:
        paths = reading.find(config.images)[:_CHECKED]
        read = [decoding.decode(path.read_bytes(), str(path)) for path in paths]
    else:
        read = _remaining(part)
    right = [picture for picture in read if picture.size == (width, height)]
    if config.images and not right:
        raise InputError(
            f"--images={config.images}: none of the {len(read)} images is {width}x{height}, as the file takes them"
        )
    photographs = [np.asarray(picture) for picture in right or _kept(part, width, height)]
    changed = [copy for picture in photographs[:1] for copy in augment.changed_copies(picture)[::2]]
    return np.concatenate([exporting.probes(height, width), *(picture[None] for picture in (*photographs, *changed))])


def _remaining(part: Part) -> list[Image.Image]:
    """The first good photographs that are still where they were at the fit."""
    remaining = []
    for good in part.good[:_CHECKED]:
        try:
            remaining.append(decoding.decode(Path(good.name).read_bytes(), good.name))
        except (OSError, ValueError):  # moved, replaced or fitted from arrays
            continue
    return remaining


def _kept(part: Part, width: int, height: int) -> list[Image.Image]:
    """The first good photograph, from the pixels that a part may keep, brought to the size of photographs again."""
    if part.pixels is None:
        return []
    return [Image.fromarray(part.pixels[0]).resize((width, height), Image.Resampling.BICUBIC)]


def _original(
    inspector: PartInspector, pictures: UInt8[np.ndarray, "n H W 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n h w"]]:
    """What the part itself says, through Pillow."""
    pixels = np.stack([photos.load(picture, inspector.part.recipe.preprocessing).pixels for picture in pictures])
    return score(inspector, pixels)


def _facts(part: Part, size: tuple[int, int]) -> dict[str, str]:
    """What a program that runs the file wants to know of the part, as text."""
    recipe, limits = part.recipe, part.limits
    return {
        "part": part.name,
        "method": recipe.method,
        "encoder": recipe.encoder,
        "weights_sha256": recipe.weights_sha256 or "",
        "threshold": repr(limits.threshold),
        "borderline": repr(limits.borderline),
        "target_fpr": repr(limits.rate),
        "map_threshold": repr(limits.seed),
        "inspected": " ".join(map(str, geometry.frame(recipe.preprocessing, size).inspected)),
        "good_images": str(len(part.good)),
        "fastrecon_jax": __version__,
        "jax": jax.__version__,
    }
