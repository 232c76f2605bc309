"""The parts that images are inspected by: their files opened, encoders and programs shared where they agree."""

import dataclasses
import glob
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import inspector, part_file
from fastrecon_jax.parts.engine import Engine, Recipe, load_encoder, make_engine
from fastrecon_jax.parts.inspector import PartInspector


class Model(NamedTuple):
    """A part from its file.

    Attributes:
        file: that it came from.
        sha256: of its contents, as the file says.
        inspector: ready.
    """

    file: Path
    sha256: str
    inspector: PartInspector

    @property
    def name(self) -> str:
        """Of the part."""
        return self.inspector.part.name


def find(patterns: str) -> list[Path]:
    """The files that a user means.

    Args:
        patterns: a path or a pattern; several with commas.

    Returns:
        Paths, each once.

    Raises:
        InputError: one of them names no file that ends in .safetensors.
    """
    parts = [patterns] if files.exists(files.expanded(patterns)) else patterns.split(",")
    return list(dict.fromkeys(file for part in parts for file in _matches(part.strip())))


def _matches(pattern: str) -> list[Path]:
    path = files.expanded(pattern)
    if not pattern or files.is_dir(path):
        raise InputError(
            f"--model={pattern} is no file: pass files of parts, or a pattern such as 'parts/*.safetensors'"
        )
    matched = [path] if files.exists(path) else sorted(map(Path, glob.glob(str(path))))  # noqa: PTH207 (absolute)
    if not matched:
        raise InputError(f"--model={pattern} is not there; python -m fastrecon_jax.fit makes the file of a part")
    for file in matched:
        if file.suffix != part_file.SUFFIX:
            raise InputError(f"--model={file} is not allowed: it must end in {part_file.SUFFIX}")
    return matched


def load(paths: list[Path], *, weights: str = "") -> tuple[Model, ...]:
    """Open parts; equal recipes share their programs, equal encoders their weights.

    Args:
        paths: of their files, at least one.
        weights: where the encoder's weights are, if not where they were at the fit.

    Returns:
        The parts.

    Raises:
        InputError: a file or its weights cannot be used, or two parts have the same name.
    """
    headers = {path: part_file.read_header(path) for path in paths}
    known: dict[str, Path] = {}
    for path, header in headers.items():
        other = known.setdefault(header.name.casefold(), path)
        if other != path:
            raise InputError(
                f"{other} and {path} both hold a part named {header.name}: leave one out, or fit it again with another "
                "--name"
            )
    opened = _sharing(weights)
    return tuple(
        Model(path, header.sha256, inspector.create(*part_file.load(path, opened))) for path, header in headers.items()
    )


def _sharing(weights: str) -> Callable[[Recipe], Engine]:
    """Opens engines, each once."""
    loaded: dict[tuple, Encoder] = {}
    engines: dict[Recipe, Engine] = {}

    def opened(recipe: Recipe) -> Engine:
        same = dataclasses.replace(recipe, weights="")  # the hash says which they are
        if same not in engines:
            key = (recipe.encoder, recipe.stages, recipe.dtype, recipe.weights_sha256)
            if key not in loaded:
                loaded[key] = load_encoder(recipe, weights=weights)
            engines[same] = make_engine(recipe, loaded[key])
        return engines[same]

    return opened
