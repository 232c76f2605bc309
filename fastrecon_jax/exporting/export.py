"""The command export: a part as one file for other programs, checked against the part itself."""

import functools
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, UInt8

from fastrecon_jax import exporting, files
from fastrecon_jax.data import images as decoding
from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting.config import ExportConfig
from fastrecon_jax.inspection import fit, reading, summary
from fastrecon_jax.parts import part_file, photos
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.parts.inspector import PartInspector, create
from fastrecon_jax.parts.part import Part
from fastrecon_jax.version import __version__

_CHECKED = 8  # images at most, since each is held in memory at its full size


def export(config: ExportConfig, *, tell: Callable[[str], object]) -> Path:
    """Write a part as one file and run it against the part, on its good photographs and on synthetic ones.

    Args:
        config: the settings.
        tell: takes lines for people.

    Returns:
        The file.

    Raises:
        InputError: something that the user gave cannot be used, or the file differs from the part beyond rounding;
            nothing is left of it then.
    """
    file = fit.target(config.output, "output")
    part, engine = part_file.load(
        files.expanded(config.model), lambda recipe: open_engine(recipe, weights=config.weights)
    )
    inspector = create(part, engine)
    width, height = _size(part, config)
    tell(summary.introduction(engine))
    sizes = {"image_size": part.recipe.image_size, "crop_size": part.recipe.crop_size}
    shape = {"height": height, "width": width, "image_score": part.recipe.image_score}
    data = exporting.export(
        config.format, engine.encoder, engine.method, inspector.arrays, **sizes, **shape, facts=_facts(part)
    )
    pictures = _pictures(part, config, width, height)
    draft = file.with_name(f".{file.name}.unchecked")
    files.write(draft, data)
    try:
        found = exporting.verify(functools.partial(_original, inspector), config.format, draft, pictures)
        limit = exporting.tolerance(part.recipe.method)
        if not max(found) <= limit:
            raise InputError(
                f"the exported file differs from the part by {found.score:.1e} (scores) and {found.map:.1e} (maps), "
                f"more than {limit:g}: it was not written"
            )
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
    tell(
        f"checked on {len(pictures)} images, one by one and together: scores differ by {found.score:.1e}, maps by "
        f"{found.map:.1e} of their range (at most {limit:g})\n"
        f"threshold {part.limits.threshold:.6g}, borderline from {part.limits.borderline:.6g}\n"
        f"{file} ({file.stat().st_size / 1e6:.1f} MB) takes RGB images (n, {height}, {width}, 3) of uint8 and gives "
        f"scores (n,) and maps (n, {sizes['crop_size']}, {sizes['crop_size']})\n"
    )
    return file


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
    """Synthetic photographs, and the good ones that are still where they were, or those that were asked for."""
    if config.images:
        found = reading.find(config.images)[:_CHECKED]
        read = [decoding.decode(path.read_bytes(), str(path)) for path in found]
    else:
        read = _remaining(part)
    right = [np.asarray(picture) for picture in read if picture.size == (width, height)]
    return np.concatenate([exporting.probes(height, width), *(picture[None] for picture in right)])


def _remaining(part: Part) -> list:
    found = []
    for good in part.good[:_CHECKED]:
        try:
            found.append(decoding.decode(Path(good.name).read_bytes(), good.name))
        except (OSError, ValueError):  # moved, replaced or fitted from arrays
            continue
    return found


def _original(
    inspector: PartInspector, pictures: UInt8[np.ndarray, "n H W 3"]
) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, "n crop crop"]]:
    """What the part itself says, through Pillow."""
    sizes = Preprocessing(inspector.part.recipe.image_size, inspector.part.recipe.crop_size)
    pixels = np.stack([photos.load(picture, sizes).pixels for picture in pictures])
    scores, maps = inspector.engine.inspect(inspector.arrays, jnp.asarray(pixels))
    return np.asarray(scores), np.asarray(maps)


def _facts(part: Part) -> dict[str, str]:
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
        "good_images": str(len(part.good)),
        "fastrecon_jax": __version__,
        "jax": jax.__version__,
    }
