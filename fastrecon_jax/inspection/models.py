"""The parts that images are inspected by: their files opened, encoders and programs shared where they agree."""

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

from jax.sharding import Mesh

from fastrecon_jax import files, patterns
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.parts import inspector, limits, part_file
from fastrecon_jax.parts.engine import Engine, Recipe, load_encoder, make_engine
from fastrecon_jax.parts.inspector import PartInspector
from fastrecon_jax.parts.part import Part
from fastrecon_jax.runtime import devices


class Model(NamedTuple):
    """A part from its file.

    Attributes:
        file: path of the file.
        sha256: hash of the part, as the file says.
        inspector: the part, ready for inspection.
    """

    file: Place
    sha256: str
    inspector: PartInspector

    @property
    def name(self) -> str:
        """Name of the part."""
        return self.inspector.part.name


def find(wanted: str) -> list[Place]:
    """The files of parts that a user means by a path or a pattern, several with commas; InputError if one is none."""
    return list(dict.fromkeys(file for pattern in patterns.split(wanted) for file in _matches(pattern.strip())))


def _matches(pattern: str) -> list[Place]:
    path = files.place(pattern, "model")
    if not pattern or files.is_dir(path):
        raise InputError(
            f"--model={pattern} is no file: pass files of parts, or a pattern such as 'parts/*.safetensors'"
        )
    matched = [path] if files.exists(path) else _globbed(path)
    if not matched:
        brackets = patterns.BRACKETS if "[" in pattern else ""
        raise InputError(
            f"--model={pattern} is not there; python -m fastrecon_jax.fit makes the file of a part{brackets}"
        )
    for file in matched:
        if file.suffix != part_file.SUFFIX:
            raise InputError(f"--model={file} is not allowed: it must end in {part_file.SUFFIX}")
    return matched


def _globbed(pattern: Place) -> list[Place]:
    if isinstance(pattern, Path):
        return list(map(Path, patterns.matches(str(pattern))))
    return files.globbed(pattern, "model")


def load(paths: list[Place], *, weights: str = "", mesh: Mesh | None = None) -> tuple[Model, ...]:
    """Open parts; equal recipes share their programs, equal encoders their weights.

    `weights` says where the encoder's are, if not where they were at the fit; `mesh` the devices over which batches are
    split. InputError if a file or its weights cannot be used, or if two parts have the same name.
    """
    with contextlib.ExitStack() as held:  # what lies elsewhere is fetched once, for its header and for its arrays
        copies = {path: held.enter_context(files.local(path)) for path in paths}
        return _load(copies, _sharing(weights, mesh), mesh)


def _load(
    copies: Mapping[Place, Path], open_engine: Callable[[Recipe], Engine], mesh: Mesh | None
) -> tuple[Model, ...]:
    headers = {path: part_file.read_header(copy) for path, copy in copies.items()}
    named: dict[str, Place] = {}
    for path, header in headers.items():
        other = named.setdefault(header.name.casefold(), path)
        if other != path:
            raise InputError(
                f"{other} and {path} both hold a part named {header.name}: leave one out, or fit it again with another "
                "--name"
            )
    return tuple(
        Model(path, header.sha256, inspector.create(*part_file.load(copies[path], open_engine), mesh))
        for path, header in headers.items()
    )


def judging(
    loaded: tuple[Model, ...], *, rate: float | None = None, threshold: float | None = None
) -> tuple[Model, ...]:
    """The same parts, judging by another false-positive rate or threshold, where one is given."""
    if rate is None and threshold is None:
        return loaded

    def judge(part: Part) -> Part:
        own = part.limits
        moved = limits.at_rate(own, rate) if threshold is None else limits.at_threshold(own, threshold)
        # Pictures keep the colours that they have at the part's own rate.
        return part._replace(limits=moved._replace(ceiling=own.ceiling))

    return tuple(
        model._replace(inspector=model.inspector._replace(part=judge(model.inspector.part))) for model in loaded
    )


def _sharing(weights: str, mesh: Mesh | None) -> Callable[[Recipe], Engine]:
    """Opens engines, each once."""
    loaded: dict[tuple, Encoder] = {}
    engines: dict[Recipe, Engine] = {}

    def open_engine(recipe: Recipe) -> Engine:
        same = recipe.anywhere
        if same not in engines:
            key = recipe.encoder_key
            if key not in loaded:
                loaded[key] = devices.put(mesh, load_encoder(recipe, weights=weights), devices.COPIED)
            engines[same] = make_engine(recipe, loaded[key])
        return engines[same]

    return open_engine
