"""The command fit: good photographs to a part's file."""

from collections.abc import Callable
from pathlib import Path

from fastrecon_jax import files, locks
from fastrecon_jax.command_line.console import count, shown
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import reading, summary
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.parts import area, auto_settings, fitting, part_file, photos
from fastrecon_jax.parts.engine import Recipe, open_engine
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.progress import ON_A_TERMINAL


def fit(config: FitConfig, *, tell: Callable[[str], object]) -> Part:
    """Fit a part on good photographs and write its file, which stays as it was if an InputError is raised.

    `tell` takes lines for people. Where another process writes that file, this one waits.
    """
    file = target(config.model)
    with locks.writing(file, tell):
        return _fit(config, file, tell)


def _fit(config: FitConfig, file: Place, tell: Callable[[str], object]) -> Part:
    paths = reading.find(config.images, purpose=reading.FIT)
    check_number(len(paths), limit=config.max_images)
    depth = photos.find_bit_depth(paths, config.bit_depth, config.max_pixels)
    usual = area.usual_size(paths)
    recipe = area.decide(_recipe(config, depth), usual, config.region)
    ignore = area.read_ignore(config.ignore, recipe, usual) if config.ignore else None
    engine = open_engine(recipe, ignore=ignore)
    tell(summary.introduction(engine))
    tell(f"part {shown(config.name or file.stem)}, {count(len(paths), 'image')}\n")
    tell(f"{reading.skipped(config.images)}{summary.describe_bit_depth(depth, config.bit_depth)}")
    good = reading.read_all(paths, engine.recipe.preprocessing._replace(max_pixels=config.max_pixels))
    resolved = auto_settings.resolve(engine, good)
    if resolved is not engine:
        tell(f"chosen from these images alone: {resolved.method.note}\n")
    fitted = fitting.fit(
        resolved,
        good,
        name=config.name or file.stem,
        rate=config.target_fpr,
        seconds=config.max_seconds,
        bars=ON_A_TERMINAL,
    )
    part = fitted.part if config.extendable else fitted.part._replace(stages=(), pixels=None)
    part_file.save(part, file)
    tell(summary.describe_fit(fitted))
    tell(f"the part is in {shown(file)} ({file.stat().st_size / 1e6:.1f} MB)\n")
    return part


def target(path: str, flag: str = "model") -> Place:
    """The file of a part that is to be written; InputError, before the work, if it cannot be."""
    file = files.place(path, flag)
    if files.is_dir(file):
        raise InputError(f"{file} is a directory, the part is written into a file")
    if isinstance(file, Path) and not files.is_dir(file.parent):
        raise InputError(f"{file} cannot be written: there is no directory {file.parent}")
    return file


def check_number(images: int, *, limit: int, before: int = 0) -> None:
    """Refuse more images than --max_images, with those that the part was fitted on before."""
    if before + images > limit:
        already = f" and {before} that the part knows" if before else ""
        raise InputError(
            f"--images names {images} images{already}, more than --max_images={limit}: this is a method for few "
            "images; choose some, or raise --max_images (memory grows with them)"
        )


def _recipe(config: FitConfig, depth: int) -> Recipe:
    return Recipe(
        encoder=config.encoder,
        stages=config.stages,
        weights=config.weights,
        weights_sha256=None,
        dtype=config.dtype,
        image_size=config.image_size,
        crop_size=area.crop_size(config.resize, config.image_size, config.crop_size),
        method=config.method,
        settings=config.method_settings(),
        image_score=config.image_score,
        bit_depth=depth,
        resize=config.resize,
        encoder_options=config.encoder_options,
        support_copies=config.support_copies,
        tile=config.tile,
    )
