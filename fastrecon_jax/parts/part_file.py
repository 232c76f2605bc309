"""A part in one file: safetensors whose header holds the rest as JSON. Nothing in it is executed."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import safetensors
from jaxtyping import PyTree, Shaped

from fastrecon_jax import files, methods
from fastrecon_jax.command_line.fields import SIDES
from fastrecon_jax.core.scoring import is_image_score
from fastrecon_jax.data import bit_depth
from fastrecon_jax.data.geometry import CROP, RESIZES
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.parts import area, part_settings, remembered
from fastrecon_jax.parts.appearance import Appearance
from fastrecon_jax.parts.engine import Engine, Recipe, make_engine
from fastrecon_jax.parts.limits import Limits
from fastrecon_jax.parts.part import GoodPhoto, Part
from fastrecon_jax.parts.records import MalformedError, build
from fastrecon_jax.version import __version__

FORMAT = 6
SUFFIX = ".safetensors"
_KEY, _STATE, _STAGES, _PIXELS, _IGNORE = "fastrecon_jax", "state", "stages", "pixels", "ignore"
_DTYPES = ("F32", "I32", "U8")
_MOST_DIMENSIONS = 32  # of an array


@dataclasses.dataclass(frozen=True)
class Header:
    """What the file holds beside arrays.

    Attributes:
        format: a number that rises when older programs cannot read the file.
        name: name of the part.
        recipe: what decides scores beside the photographs.
        good: the good photographs.
        limits: calibration and thresholds.
        versions: versions of the packages that wrote the file.
        sha256: hash of all of the other fields and of the arrays.
        appearance: how each good photograph looks; None before format 6.
    """

    format: int
    name: str
    recipe: Recipe
    good: tuple[GoodPhoto, ...]
    limits: Limits
    versions: dict[str, str]
    sha256: str
    appearance: tuple[Appearance, ...] | None = None


def save(part: Part, file: Place) -> None:
    """Write a part whole or not at all; a file that is there is replaced, or stays where InputError is raised."""
    versions = {"fastrecon_jax": __version__, "jax": jax.__version__, "numpy": np.__version__}
    arrays = dict(_named(part.state)) | {f"{_STAGES}.{i}": stage for i, stage in enumerate(part.stages)}
    if part.pixels is not None:
        arrays[_PIXELS] = part.pixels
    if part.ignore is not None:
        arrays[_IGNORE] = part.ignore.astype(np.uint8)
    contents = {
        "format": FORMAT,
        "name": part.name,
        "recipe": dataclasses.asdict(part.recipe),
        "good": [photo._asdict() for photo in part.good],
        "limits": _plain(part.limits),
        "versions": versions,
        "appearance": part.appearance and [one._asdict() for one in part.appearance],
    }
    header = contents | {"sha256": _digest(contents, arrays)}
    files.write_arrays(file, arrays, {_KEY: json.dumps(header, allow_nan=False)})


def _plain(value: Any) -> Any:
    """A record as JSON has it, those that it holds likewise."""
    if hasattr(value, "_asdict"):
        return {key: _plain(field) for key, field in value._asdict().items()}
    return [_plain(item) for item in value] if isinstance(value, tuple) else value


def load(file: Place, open_engine: Callable[[Recipe], Engine]) -> tuple[Part, Engine]:
    """Read a part and open the engine of its recipe with `open_engine`.

    InputError if there is no such file, if it is damaged, of a newer format or no part at all, or if its weights are
    missing or others.
    """
    _check_is_file(file)
    with files.local(file) as here:
        return _load(here, open_engine)


def _check_is_file(file: Place) -> None:
    if not files.is_file(file):
        raise InputError(f"--model={file} is not a file; python -m fastrecon_jax.fit makes one")


def _load(file: Path, open_engine: Callable[[Recipe], Engine]) -> tuple[Part, Engine]:
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            header, contents = _header(file, opened.metadata() or {})
            engine = open_engine(header.recipe)
            arrays = {name: _array(file, name, opened) for name in opened.keys()}  # noqa: SIM118
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{file} cannot be read, it is damaged or no part: {error}") from None
    if header.sha256 != _digest(contents, arrays):
        raise InputError(f"{file} is damaged: its contents are not those that were written")
    engine = _with_ignore(file, engine, arrays.pop(_IGNORE, None))
    return _part(file, header, engine, arrays), engine


def read_header(file: Place) -> Header:
    """What a file says of its part, its form checked as `load` does; the arrays are not read, nor the hash checked."""
    _check_is_file(file)
    with files.local(file) as here:
        return _read_header(here)


def _read_header(file: Path) -> Header:
    try:
        with safetensors.safe_open(file, framework="numpy") as opened:
            return _header(file, opened.metadata() or {})[0]
    except (safetensors.SafetensorError, OSError) as error:
        raise InputError(f"{file} cannot be read, it is damaged or no part: {error}") from None


def _header(file: Path, metadata: Mapping[str, str]) -> tuple[Header, dict[str, Any]]:
    """The header, checked, and as it stands without its hash."""
    if _KEY not in metadata:
        raise InputError(f"{file} is no part: it has no header of fastrecon_jax; python -m fastrecon_jax.fit makes one")
    try:
        contents = json.loads(metadata[_KEY])
    except (ValueError, RecursionError) as error:
        raise InputError(f"{file} is damaged: its header is no JSON: {error}") from None
    number = contents.get("format") if isinstance(contents, dict) else None
    if isinstance(number, int) and number > FORMAT:
        raise InputError(f"{file} has format {number}, this version reads up to {FORMAT}: update fastrecon_jax")
    try:
        header = build(Header, contents)
        recipe = header.recipe
        settings = part_settings.read(recipe.method, recipe.settings, header.format)
        header = dataclasses.replace(header, recipe=dataclasses.replace(recipe, settings=settings))
    except (InputError, MalformedError, OverflowError) as error:
        raise InputError(f"{file} is damaged: {error}") from None
    if header.appearance is not None and len(header.appearance) != len(header.good):
        raise InputError(f"{file} is damaged: appearance of {len(header.appearance)} of {len(header.good)} images")
    recipe = header.recipe
    if recipe.bit_depth not in bit_depth.DEPTHS:
        raise InputError(f"{file} is damaged: pixels of {recipe.bit_depth} bits")
    if unknown := set(recipe.support_copies) - set(methods.SUPPORT_COPIES):
        raise InputError(f"{file} is damaged: copies {', '.join(sorted(unknown)):.40}")
    if recipe.image_score and not is_image_score(recipe.image_score):
        raise InputError(f"{file} is damaged: image score {recipe.image_score:.40}")
    if not _possible(recipe) or not header.good or not recipe.stages:
        raise InputError(
            f"{file} is damaged: sizes {recipe.crop_size} and {recipe.image_size}, shape {recipe.shape}, region "
            f"{recipe.region}, {len(header.good)} images"
        )
    return header, {key: value for key, value in contents.items() if key != "sha256"}


def _possible(recipe: Recipe) -> bool:
    """Whether sizes of images are possible."""
    least, most = SIDES
    if recipe.resize == CROP:
        sizes = not recipe.shape and least <= recipe.crop_size <= recipe.image_size <= most
    else:
        sides = [least <= side <= recipe.image_size <= most for side in recipe.shape]
        sizes = recipe.resize in RESIZES and recipe.crop_size == 0 and len(sides) == 2 and all(sides)
    return sizes and (not recipe.region or (len(recipe.region) == 6 and area.lies_inside(*recipe.region)))


def _array(file: Path, name: str, opened: Any) -> Shaped[np.ndarray, "..."]:
    stored = opened.get_slice(name)
    kind, dimensions = stored.get_dtype(), len(stored.get_shape())
    if dimensions > _MOST_DIMENSIONS:
        raise InputError(
            f"{file} is damaged: {name:.80} has {dimensions} dimensions, no part has more than {_MOST_DIMENSIONS}"
        )
    if kind not in _DTYPES:
        raise InputError(f"{file} is damaged: {name} is of type {kind}, allowed are {', '.join(_DTYPES)}")
    return opened.get_tensor(name)


def _with_ignore(file: Path, engine: Engine, array: np.ndarray | None) -> Engine:
    """The engine, or one that leaves out what a part's array marks."""
    if array is None:
        return engine
    ignore = array > 0
    if array.dtype != np.uint8 or ignore.shape != engine.recipe.preprocessing.kept or not 0 < ignore.mean() < 1:
        raise InputError(f"{file} is damaged: {_IGNORE} is of another shape or type, or marks everything or nothing")
    return make_engine(engine.recipe, engine.encoder, ignore)


def _part(file: Path, header: Header, engine: Engine, arrays: Mapping[str, np.ndarray]) -> Part:
    """Arrays in the places that the recipe and the number of photographs ask for, and nothing else."""
    stages, state, pixels = _expected(engine, len(header.good))
    structure = jax.tree.structure(state)
    expected = dict(_named(state))
    kept: dict[str, Any] = {f"{_STAGES}.{i}": stage for i, stage in enumerate(stages)}
    if engine.method.copies or _PIXELS in arrays:  # files of older formats hold them where copies are made of them
        kept[_PIXELS] = pixels
    extendable = any(name in arrays for name in kept)
    wanted = expected | (kept if extendable else {})
    present, needed = (
        {name: (array.shape, np.dtype(array.dtype)) for name, array in some.items()} for some in (arrays, wanted)
    )
    if present != needed:
        wrong = sorted(name for name in present | needed if present.get(name) != needed.get(name))
        raise InputError(f"{file} is damaged: {', '.join(wrong)} are missing, surplus, or of another shape or type")
    return Part(
        name=header.name,
        recipe=engine.recipe,
        state=jax.tree.unflatten(structure, [arrays[name] for name in expected]),
        stages=tuple(arrays[name] for name in kept if name != _PIXELS) if extendable else (),
        pixels=arrays.get(_PIXELS),
        good=header.good,
        limits=header.limits,
        appearance=header.appearance,
        ignore=engine.ignore,
    )


def _expected(
    engine: Engine, count: int
) -> tuple[tuple[jax.ShapeDtypeStruct, ...], PyTree[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct]:
    """Shapes of the stages, of the state and of the pixels of so many photographs."""
    return remembered.shapes(engine.recipe, engine.encoder, count, functools.partial(_traced, engine, count))


def _traced(
    engine: Engine, count: int
) -> tuple[tuple[jax.ShapeDtypeStruct, ...], PyTree[jax.ShapeDtypeStruct], jax.ShapeDtypeStruct]:
    pixels = jax.ShapeDtypeStruct((count, *engine.recipe.preprocessing.kept, 3), jnp.uint8)
    stages = jax.eval_shape(engine.encode, engine.encoder, pixels)
    number = methods.number_of_copies(engine.method.copies)
    changed = tuple(jax.ShapeDtypeStruct((count, number, *stage.shape[1:]), stage.dtype) for stage in stages if number)
    state = jax.eval_shape(engine.fit, stages, jax.eval_shape(lambda: jax.random.key(0)), changed)
    return stages, state, pixels


def _named(state: PyTree) -> Iterator[tuple[str, Any]]:
    for path, leaf in jax.tree.flatten_with_path(state)[0]:
        yield _STATE + jax.tree_util.keystr(path), leaf


def _digest(contents: Mapping[str, Any], arrays: Mapping[str, Shaped[np.ndarray, "..."]]) -> str:
    hashed = hashlib.sha256(json.dumps(contents, sort_keys=True).encode())
    for name in sorted(arrays):
        hashed.update(name.encode())
        hashed.update(np.ascontiguousarray(arrays[name]).data)
    return hashed.hexdigest()
