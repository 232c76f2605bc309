"""The command extend: more good photographs for a part."""

from collections.abc import Callable

from fastrecon_jax import files, locks
from fastrecon_jax.command_line.console import count, shown
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import fit, reading, summary
from fastrecon_jax.inspection.config import ExtendConfig
from fastrecon_jax.parts import fitting, part_file
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.progress import ON_A_TERMINAL


def extend(config: ExtendConfig, *, tell: Callable[[str], object]) -> Part:
    """Add good photographs to a part and write its file, which stays as it was if an InputError is raised.

    `tell` takes lines for people. Where another process writes that file, this one waits, and extends what it wrote.
    """
    file = fit.target(config.output, "output") if config.output else fit.target(config.model)
    with locks.writing(file, tell):
        return _extend(config, file, tell)


def _extend(config: ExtendConfig, file: Place, tell: Callable[[str], object]) -> Part:
    model = files.place(config.model, "model")
    old, engine = part_file.load(model, lambda recipe: open_engine(recipe, weights=config.weights))
    paths = reading.find(config.images, purpose=reading.EXTEND)
    fit.check_number(len(paths), limit=config.max_images, before=len(old.good))
    tell(summary.introduction(engine))
    tell(f"part {shown(old.name)}, {count(len(old.good), 'image')} and {len(paths)} more\n")
    tell(str(reading.skipped(config.images)))
    photos = reading.read_all(paths, engine.recipe.preprocessing._replace(max_pixels=config.max_pixels))
    fitted = fitting.extend(engine, old, photos, seconds=config.max_seconds, bars=ON_A_TERMINAL)
    part_file.save(fitted.part, file)
    tell(summary.describe_fit(fitted))
    tell(summary.describe_extension(old, fitted.part))
    tell(f"the part is in {shown(file)} ({file.stat().st_size / 1e6:.1f} MB)\n")
    return fitted.part
