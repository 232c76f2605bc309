"""The commands fit and extend: from files to a part's file, with what is to be said on the way."""

from collections.abc import Callable, Sequence
from pathlib import Path

import jax
from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line.console import count, percent
from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.config import ExtendConfig, FitConfig
from fastrecon_jax.parts import auto_settings, calibration, part_file, photos
from fastrecon_jax.parts import part as parts
from fastrecon_jax.parts.engine import Engine, Recipe, open_engine
from fastrecon_jax.parts.part import Fitted, Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.version import __version__

Tell = Callable[[str], object]
_SHOWN = 5


def fit(config: FitConfig, *, tell: Tell) -> Part:
    """Fit a part on good photographs and write its file.

    Args:
        config: the settings.
        tell: takes lines for people.

    Returns:
        The part.

    Raises:
        InputError: something that the user gave cannot be used; a file that is there stays as it was.
    """
    file = target(config.model)
    paths = _limited(photos.find(config.images), config.max_images)
    engine = open_engine(_recipe(config))
    tell(introduction(engine))
    tell(f"part {config.name or file.stem}, {count(len(paths), 'image')}\n")
    read = _read(paths, Preprocessing(config.image_size, config.crop_size, config.max_pixels))
    settled = auto_settings.resolve(engine, read)
    if settled is not engine:
        tell(f"chosen from these images alone: {settled.method.note}\n")
    fitted = parts.fit(settled, read, name=config.name or file.stem, rate=config.target_fpr)
    part = fitted.part if config.extendable else fitted.part._replace(stages=())
    part_file.save(part, file)
    tell(summary(fitted))
    tell(f"the part is in {file} ({file.stat().st_size / 1e6:.1f} MB)\n")
    return part


def extend(config: ExtendConfig, *, tell: Tell) -> Part:
    """Add good photographs to a part and write its file.

    Args:
        config: the settings.
        tell: takes lines for people.

    Returns:
        The extended part.

    Raises:
        InputError: something that the user gave cannot be used; the file stays as it was.
    """
    model, file = files.expanded(config.model), target(config.output or config.model)
    old, engine = part_file.load(model, lambda recipe: open_engine(recipe, weights=config.weights))
    paths = _limited(photos.find(config.images), config.max_images, known=len(old.good))
    tell(introduction(engine))
    tell(f"part {old.name}, {count(len(old.good), 'image')} and {len(paths)} more\n")
    read = _read(paths, Preprocessing(engine.recipe.image_size, engine.recipe.crop_size, config.max_pixels))
    fitted = parts.extend(engine, old, read)
    part_file.save(fitted.part, file)
    tell(summary(fitted))
    tell(changes(old, fitted.part))
    tell(f"the part is in {file} ({file.stat().st_size / 1e6:.1f} MB)\n")
    return fitted.part


def introduction(engine: Engine) -> str:
    """What the program runs on.

    Args:
        engine: in use.

    Returns:
        Two lines.
    """
    devices, encoder = jax.devices(), engine.encoder
    random = " RANDOM WEIGHTS: scores mean nothing." if encoder.weights == "random" else ""
    note = f" ({engine.method.note})" if engine.method.note else ""
    return (
        f"fastrecon_jax {__version__}, jax {jax.__version__}, {len(devices)} x {devices[0].device_kind}\n"
        f"{engine.method.name}{note}, encoder {encoder.name} {'+'.join(encoder.stages)} "
        f"({encoder.dtype}, {encoder.weights}).{random}\n"
    )


def summary(fitted: Fitted) -> str:
    """The calibration in words, and the warnings.

    Args:
        fitted: a part.

    Returns:
        A few lines.
    """
    limits, good = fitted.part.limits, fitted.part.good
    low, high = calibration.rate_interval(limits.scores, limits.rate)
    scores = [one.score for one in good]
    held_out = (
        f"scores of the {len(good)} images, each held out of the fit: {min(scores):.4g} to {max(scores):.4g}\n"
        if len(good) > 1
        else f"score of the image itself: {scores[0]:.4g}\n"
    )
    lines = [
        held_out,
        f"threshold {limits.threshold:.4g} for {percent(limits.rate)} false positives, borderline from "
        f"{limits.borderline:.4g}; with so few images the true rate may be {percent(low)} to {percent(high)} "
        "(90 % interval)\n",
        *(f"warning: {warning}\n" for warning in fitted.warnings),
    ]
    return "".join(lines)


def changes(old: Part, new: Part) -> str:
    """What more photographs changed.

    Args:
        old: before.
        new: after.

    Returns:
        A line.
    """
    before, after = old.limits, new.limits
    return (
        f"{len(old.good)} -> {len(new.good)} images: threshold {before.threshold:.4g} -> {after.threshold:.4g}, "
        f"borderline {before.borderline:.4g} -> {after.borderline:.4g}, "
        f"spread of the scores {percent(before.scores.spread)} -> {percent(after.scores.spread)}\n"
    )


def _recipe(config: FitConfig) -> Recipe:
    return Recipe(
        encoder=config.encoder,
        stages=config.stages,
        weights=config.weights,
        weights_sha256=None,
        dtype=config.dtype,
        image_size=config.image_size,
        crop_size=config.crop_size,
        method=config.method,
        settings=config.method_settings(),
        image_score=config.image_score,
    )


def target(path: str) -> Path:
    """A file that can be written, found out before the work.

    Args:
        path: as the user wrote it.

    Returns:
        The path.

    Raises:
        InputError: it is a directory, or its directory is not there.
    """
    file = files.expanded(path)
    if files.is_dir(file):
        raise InputError(f"{file} is a directory, the part is written into a file")
    if not files.is_dir(file.parent):
        raise InputError(f"{file} cannot be written: there is no directory {file.parent}")
    return file


def _limited(paths: list[Path], limit: int, known: int = 0) -> list[Path]:
    if known + len(paths) > limit:
        already = f" and {known} that the part knows" if known else ""
        raise InputError(
            f"--images names {len(paths)} images{already}, more than --max_images={limit}: this is a method for few "
            "images; choose some, or raise --max_images (time and memory grow with them)"
        )
    return paths


def _read(paths: Sequence[Path], preprocessing: Preprocessing) -> list[Photo]:
    """All photographs, or an error that names those that cannot be read."""
    with tqdm(total=len(paths), desc="reading", unit="image", disable=None, leave=False) as progress:
        found = []
        for _, photo in photos.stream(paths, preprocessing):
            found.append(photo)
            progress.update()
    errors = [str(one) for one in found if isinstance(one, InputError)]
    if errors:
        more = f"; and {len(errors) - _SHOWN} more" if len(errors) > _SHOWN else ""
        raise InputError(f"{len(errors)} of {len(paths)} images cannot be used: {'; '.join(errors[:_SHOWN])}{more}")
    return found
