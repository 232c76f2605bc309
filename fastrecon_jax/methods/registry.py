"""The contract of a method, and the methods by name: each file of this folder registers its own."""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias, TypeVar

from jaxtyping import Array, Float, PyTree

from fastrecon_jax.errors import InputError

Features: TypeAlias = PyTree[Float[Array, "_ _ _"]]  # of one image: (h, w, c), or a tuple of such arrays
Builder = TypeVar("Builder", bound=Callable[..., "Method"])


def no_rows(pool: int) -> None:
    """The `rows` of a method whose state holds no rows of the support pool."""
    del pool


class Method(NamedTuple):
    """A method with its settings bound, written for one category and one image; `jax.vmap` maps it over more.

    Attributes:
        name: as registered.
        settings: the frozen dataclass it was made from.
        embed: the encoder's stages of one image, (h_i, w_i, c_i) each, the finest first, to the method's features: an
            array (h, w, c), or a tuple of them.
        fit: (features with a leading axis of the k support images, key) to the state, a NamedTuple of arrays. If
            `choose` is given, a third argument holds the features of n defective copies of each support image, with
            leading axes (k, n).
        score: (state, features of one image) to patch scores (h, w), at least 0, the higher the more anomalous.
        image_score: (state, features, patch scores) to the image score; None for the largest patch score.
        rows: number of rows of the support pool to the number that the state keeps; gives None if it keeps none.
        note: the settings in a few words, for tables and logs.
        strides: pixels per position of the encoder stages it works on, unless the user names stages.
        choose: where a setting is `auto`, (features, features of defective copies) to what was chosen, arrays; None
            where nothing is to be chosen.
        settle: what `choose` gave to settings with numbers in place of `auto`.
        order_matters: whether scores depend on the order of the support images: a greedy coreset begins with the first.
        export_tolerance: largest relative difference between an exported file and the program that is rounding.
    """

    name: str
    settings: Any
    embed: Callable[[Sequence[Float[Array, "_ _ _"]]], Features]
    fit: Callable[..., Any]
    score: Callable[[Any, Features], Float[Array, "h w"]]
    image_score: Callable[[Any, Features, Float[Array, "h w"]], Float[Array, ""]] | None = None
    rows: Callable[[int], int | None] = no_rows
    note: str = ""
    strides: tuple[int, ...] = (8, 16)
    choose: Callable[[Features, Features], Any] | None = None
    settle: Callable[[Any], Any] | None = None
    order_matters: bool = False
    export_tolerance: float = 1e-4


class Registration(NamedTuple):
    """What is known of a method before it is made.

    Attributes:
        name: as users write it.
        settings: frozen dataclass whose fields come from `command_line.fields.setting`.
        build: (settings, map_size=side of the anomaly map in pixels) to the method.
        source: publication it implements, for the docs.
        summary: one line, for help texts and the docs.
    """

    name: str
    settings: type
    build: Callable[..., Method]
    source: str
    summary: str


@dataclasses.dataclass(frozen=True)
class NoSettings:
    """The settings of a method that has none."""


_REGISTRY: dict[str, Registration] = {}


def register(
    name: str, *, settings: type = NoSettings, source: str = "", summary: str = ""
) -> Callable[[Builder], Builder]:
    """Register a method; decorates the function that makes it.

    Args:
        name: as users will write it in `--method=NAME`.
        settings: frozen dataclass of its settings, with defaults and a line of help each, see `command_line.fields`.
        source: publication that it implements.
        summary: what it does, in one line; by default the first line of the builder's docstring.

    Returns:
        The decorator, which returns the builder unchanged.

    Raises:
        ValueError: the name is taken by another builder, or is no name.
    """
    if not name or name == "all" or any(sign in name for sign in ",= /"):
        raise ValueError(f"{name!r} cannot be the name of a method: use letters, digits, -, _ and +, and not 'all'")

    def decorate(build: Builder) -> Builder:
        known = _REGISTRY.get(name)
        if known is not None and known.build.__module__ != build.__module__:
            raise ValueError(f"method {name!r} is registered by {known.build.__module__} already")
        line = summary or (build.__doc__ or "").strip().split("\n")[0]
        _REGISTRY[name] = Registration(name, settings, build, source, line)
        return build

    return decorate


def names() -> tuple[str, ...]:
    """The registered methods, the project's own first."""
    return tuple(_REGISTRY)


def registration(name: str) -> Registration:
    """What was registered under a name.

    Args:
        name: one of `names()`.

    Returns:
        The registration.

    Raises:
        InputError: unknown name.
    """
    if name not in _REGISTRY:
        raise InputError(f"unknown method {name!r}: allowed are {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def create(name: str, settings: Any = None, *, map_size: int = 224) -> Method:
    """Make a method.

    Args:
        name: one of `names()`.
        settings: an instance of the method's settings, or a mapping of their names to values; defaults for the rest.
        map_size: side of the anomaly map in pixels, for a method that reads its image score from it (PaDiM).

    Returns:
        The method with its settings bound.

    Raises:
        InputError: unknown name or setting, a value out of range, or the settings of another method.
    """
    entry = registration(name)
    if settings is None or isinstance(settings, Mapping):
        settings = _from_mapping(entry, settings or {})
    if not isinstance(settings, entry.settings):
        raise InputError(
            f"settings of {name} must be a {entry.settings.__module__}.{entry.settings.__qualname__} or a mapping, not "
            f"{type(settings).__module__}.{type(settings).__qualname__}"
        )
    return entry.build(settings, map_size=map_size)


def _from_mapping(entry: Registration, values: Mapping[str, Any]) -> Any:
    allowed = [field.name for field in dataclasses.fields(entry.settings)]
    unknown = [key for key in values if key not in allowed]
    if unknown:
        raise InputError(
            f"{entry.name} has no setting {', '.join(unknown)}: it has {', '.join(allowed) if allowed else 'none'}"
        )
    return entry.settings(**values)


def note(*parts: str) -> str:
    """The parts that are not empty, joined by commas: for `Method.note`."""
    return ", ".join(part for part in parts if part)
