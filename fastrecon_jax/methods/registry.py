"""The contract of a method, and the methods by name: each file of this folder registers the method it holds."""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree, UInt8

from fastrecon_jax.core.sizes import Size
from fastrecon_jax.errors import InputError

Features: TypeAlias = PyTree[Float[Array, "_ _ _"]]  # features of one image: (h, w, c), or a tuple of such arrays
Builder = TypeVar("Builder", bound=Callable[..., "Method"])

# Changed copies of good photographs that a method may ask for: what `data.copies` can make, and how many of each kind.
COPIES = {"light": 2, "turns": 3, "rot8": 7, "rot30": 30, "flip": 2, "defective": 4, "poses": 18}
# Those that show good parts and that users may ask for.
SUPPORT_COPIES = tuple(kind for kind in COPIES if kind not in ("defective", "poses"))

# In the note of methods whose encoder is to be meta-trained: figures must not pass for those of the paper.
NOT_META_TRAINED = "not meta-trained"


def number_of_copies(kinds: Sequence[str]) -> int:
    """How many copies of an image kinds of copies are together.

    Args:
        kinds: kinds of copies, of `COPIES`; each may be named once.

    Returns:
        The number of copies, at least 0.
    """
    return sum(COPIES[kind] for kind in kinds)


def no_rows(pool: int) -> None:
    """The `rows` of a method whose state holds no rows of the support pool."""
    del pool


class Training(NamedTuple):
    """What a method that is trained is told beside its data.

    Attributes:
        directory: where it keeps checkpoints, from which an interrupted training goes on; None for none.
        progress: whether it shows progress and loss on a terminal.
    """

    directory: Path | None = None
    progress: bool = True


class OnImages(NamedTuple):
    """The parts of a method that works on images: it encodes them itself, turned, resized, or with gradients in them.

    Attributes:
        sides: sides in pixels of the square images that it gives the encoder, the largest first: that of its images.
        fit: function (encoder, images (k, H, W, 3), 0 to 255, key, `Training`) -> state, a NamedTuple of arrays. It is
            not called inside `jit` or `vmap`, so that it may train.
        score: function (encoder, state, one image (H, W, 3), of a floating type) -> anomaly map of the size that the
            method was made for, (h, w), at least 0, which nothing resizes or blurs, and image score.
        encodes: whether it uses the encoder; false for a method of the pixels alone.
    """

    sides: tuple[int, ...]
    fit: Callable[[Any, UInt8[Array | np.ndarray, "k H W 3"], PRNGKeyArray, Training], Any]
    score: Callable[[Any, Any, Float[Array, "H W 3"]], tuple[Float[Array, "h w"], Float[Array, ""]]]
    encodes: bool = True


class Method(NamedTuple):
    """A method with its settings bound, written for one category and one image; `jax.vmap` maps it over more.

    Attributes:
        name: registered name.
        settings: frozen dataclass that the method was made from.
        embed: function (stages of one image, (h_i, w_i, c_i) each, the finest first) -> features, an array (h, w, c) or
            a tuple of such arrays.
        fit: function (features with a leading axis for the k support images, key) -> state, a NamedTuple of arrays. If
            `copies` names any, a third argument holds the features of the n copies of each support image, kind by kind,
            with leading axes (k, n).
        score: function (state, features of one image) -> patch scores, (h, w), at least 0; higher is more anomalous.
        thin: function (state, features, features of copies, or ()) -> what of each support image a fit on fewer images
            may choose from, a tree of arrays with a leading axis k, which `fit` takes as a keyword `kept`; the state is
            that of all of them. None where every fit chooses from all. Held-out calibrations fit many times, and are
            quick by it.
        image_score: function (state, features, patch scores) -> image score; None for the largest patch score.
        rows: function (number of rows in the support pool, without copies) -> number of rows that the state keeps, None
            if it keeps none.
        note: the settings in a few words, for tables and logs.
        strides: strides of the encoder stages that the method works on, in pixels, unless the user names stages.
        copies: kinds of changed copies of each support image that `fit` gets beside it, of `COPIES`: `light`, darker
            and lighter; `turns`, turned by quarters; `rot8` and `rot30`, rotated in 45 and 11.5 degrees' steps; `flip`,
            mirrored; `defective`, with painted defects; `poses`, turned by up to 45 degrees,
            shifted, mirrored and grey.
        more_copies: for a method with `copies`: whether `fit` and `rows` take a keyword `more`, the number of further
            copies of each support image, which follow its own and show good parts. A method without `copies` gets
            further ones as more support images, see `with_copies`.
        choose: function (features, features of defective copies) -> arrays that say what was chosen for settings that
            are `auto`; None where no setting is.
        settle: function (what `choose` returned) -> settings with numbers in place of `auto`.
        score_and_missing: function (state, features of one image, positions to be left out, (h, w), or None) -> patch
            scores as from `score` or `score_rest`, and the logarithm of how far the image is from having all that good
            images have, a scalar; None if the method cannot tell. A frame without the part is near to good ones where
            these show the same, and this alone tells it from them.
        score_rest: function (state, features of one image, positions to be left out, (h, w)) -> patch scores of the
            others; None where each patch score depends on its own position alone, so that those can be set to 0.
        prepare: function (state) -> the state with what `score` derives from it alone, computed once for a batch of
            images; None where there is nothing of the kind. It says, too, that the distances of one image fill the
            caches of a CPU, which then scores one image after the other.
        whole_image: whether the image score sees more than the patch scores, so that no position can be left out.
        order_matters: whether scores depend on the order of the support images: a greedy coreset starts with the first.
        export_tolerance: largest relative difference between an exported file and the program that counts as rounding.
        images: the parts of a method that works on images instead, see `on_images`; None for one that works on
            features.
    """

    name: str
    settings: Any
    embed: Callable[[Sequence[Float[Array, "_ _ _"]]], Features]
    fit: Callable[..., Any]
    score: Callable[[Any, Features], Float[Array, "h w"]]
    thin: Callable[..., Any] | None = None
    image_score: Callable[[Any, Features, Float[Array, "h w"]], Float[Array, ""]] | None = None
    rows: Callable[..., int | None] = no_rows
    note: str = ""
    strides: tuple[int, ...] = (8, 16)
    copies: tuple[str, ...] = ()
    more_copies: bool = False
    choose: Callable[[Features, Features], Any] | None = None
    settle: Callable[[Any], Any] | None = None
    score_and_missing: (
        Callable[[Any, Features, Bool[Array, "h w"] | None], tuple[Float[Array, "h w"], Float[Array, ""] | None]] | None
    ) = None
    score_rest: Callable[[Any, Features, Bool[Array, "h w"]], Float[Array, "h w"]] | None = None
    prepare: Callable[[Any], Any] | None = None
    whole_image: bool = False
    order_matters: bool = False
    export_tolerance: float = 1e-4
    images: OnImages | None = None


class Registration(NamedTuple):
    """The registry's entry for a method.

    Attributes:
        name: name that users write.
        settings: frozen dataclass whose fields come from `command_line.fields.setting`.
        build: function (settings, map_size=side of the anomaly map, or its height and width, in pixels) -> method.
        source: publication that the method implements, for the docs.
        summary: what the method does, in one line, for help texts and the docs.
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
    """Decorate the function that makes a method, and register the method.

    Args:
        name: name of the method, which users write in `--method=NAME`.
        settings: frozen dataclass of its settings, each with a default and a help text, see `command_line.fields`.
        source: publication that the method implements.
        summary: what the method does, in one line; by default the first line of the builder's docstring.

    Returns:
        The decorator, which returns the builder unchanged.

    Raises:
        ValueError: the name is not allowed, or another module has registered it.
    """
    if not name or name == "all" or any(sign in name for sign in ",= /"):
        raise ValueError(f"{name!r} cannot be the name of a method: use letters, digits, -, _ and +, and not 'all'")

    def decorate(build: Builder) -> Builder:
        # The same module may register again, as a notebook or a reload does.
        registered = _REGISTRY.get(name)
        if registered is not None and registered.build.__module__ != build.__module__:
            raise ValueError(f"method {name!r} is registered by {registered.build.__module__} already")
        line = summary or (build.__doc__ or "").strip().split("\n")[0]
        _REGISTRY[name] = Registration(name, settings, build, source, line)
        return build

    return decorate


def names() -> tuple[str, ...]:
    """Names of the registered methods, the project's own first."""
    return tuple(_REGISTRY)


def feature_names() -> tuple[str, ...]:
    """Names of the methods that work on features, which alone make parts."""
    return tuple(name for name in _REGISTRY if create(name).images is None)


def check_makes_parts(name: str) -> None:
    """Refuse a method that works on images where a part is made, inspected or exported.

    Args:
        name: one of `names()`.

    Raises:
        InputError: only `eval` runs this method.
    """
    if create(name).images is not None:
        raise InputError(
            f"--method={name} is not possible here: it is trained on the images themselves, anew for every held-out "
            f"image of a calibration, and runs in eval alone; allowed are {', '.join(feature_names())}"
        )


def registration(name: str) -> Registration:
    """The registry's entry for a name.

    Args:
        name: one of `names()`.

    Returns:
        The registration.

    Raises:
        InputError: no method has this name.
    """
    if name not in _REGISTRY:
        raise InputError(f"unknown method {name!r}: allowed are {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def create(name: str, settings: Any = None, *, map_size: Size = 224) -> Method:
    """Make a method.

    Args:
        name: one of `names()`.
        settings: an instance of the method's settings, or a mapping from their names to values; settings that are not
            given have their defaults.
        map_size: side of the anomaly map, or its height and width, in pixels, for a method that takes its image score
            from the map (PaDiM).

    Returns:
        The method with its settings bound.

    Raises:
        InputError: the name or a setting is unknown, a value is out of range, or the settings are those of another
            method.
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


def on_images(name: str, settings: Any, images: OnImages, *, strides: tuple[int, ...], note: str = "") -> Method:
    """A method that works on images.

    Args:
        name: registered name.
        settings: frozen dataclass that the method was made from.
        images: what it does.
        strides: strides of the encoder stages that it works on, in pixels, unless the user names stages.
        note: the settings in a few words, for tables and logs.

    Returns:
        The method, whose functions of features refuse them.
    """

    def refused(*_: Any) -> Any:
        raise InputError(f"{name} works on images, not on features: only eval runs it")

    return Method(name, settings, refused, refused, refused, note=note, strides=strides, images=images)


def with_copies(method: Method, kinds: Sequence[str]) -> Method:
    """The same method with further copies of the support images.

    Args:
        method: any method; what it asks for itself it gets once.
        kinds: kinds of copies that show good parts, of `SUPPORT_COPIES`.

    Returns:
        The method, whose `fit` takes the features of the copies as its third argument: those that it asks for itself,
        and behind them the further ones. A method that asks for none gets them as more support images, and so does one
        that works on images.

    Raises:
        InputError: there is no such kind, or the method asks for copies itself and takes no further ones.
    """
    if unknown := [kind for kind in kinds if kind not in SUPPORT_COPIES]:
        raise InputError(f"unknown copies {', '.join(unknown)}: allowed are {', '.join(SUPPORT_COPIES)}")
    further = tuple(kind for kind in kinds if kind not in method.copies)
    if not further:
        return method
    count = number_of_copies(further)
    told = note(method.note, f"copies {'+'.join(further)}")
    if method.images is not None:
        return method._replace(copies=further, note=told)
    if method.copies:
        if not method.more_copies:
            raise InputError(
                f"{method.name} asks for copies of the support images itself ({', '.join(method.copies)}) and takes no "
                f"further ones: --support_copies={','.join(further)} is not possible with it"
            )
        return method._replace(
            fit=functools.partial(method.fit, more=count),
            thin=functools.partial(method.thin, more=count) if method.thin else None,
            rows=functools.partial(method.rows, more=count),
            copies=(*method.copies, *further),
            note=told,
        )

    def fit(
        features: PyTree[Float[Array, "k _ _ _"]], key: PRNGKeyArray, copies: PyTree[Float[Array, "k n _ _ _"]]
    ) -> Any:
        return method.fit(pooled(features, copies), key)

    return method._replace(fit=fit, rows=lambda pool: method.rows((1 + count) * pool), copies=further, note=told)


def meta_trained(method: Method, how: str) -> Method:
    """The same method, whose note says how its encoder was meta-trained.

    Args:
        method: any.
        how: a few words; empty where the encoder was not meta-trained.

    Returns:
        The method; unchanged if its note does not say that nothing was meta-trained.
    """
    return method._replace(note=method.note.replace(NOT_META_TRAINED, how or NOT_META_TRAINED))


def pooled(
    features: PyTree[Float[Array, "k _ _ _"]], copies: PyTree[Float[Array, "k n _ _ _"]]
) -> PyTree[Float[Array, "m _ _ _"]]:
    """Support images and copies of them as if all were support images.

    Args:
        features: features of the k support images, (k, h, w, c), or a tuple of such arrays.
        copies: features of the n copies of each, (k, n, h, w, c), or a tuple of such arrays.

    Returns:
        The images as they are, then the copies image by image, (k + k n, h, w, c): coresets begin with an image.
    """
    return jax.tree.map(lambda x, more: jnp.concatenate([x, more.reshape(-1, *x.shape[1:])]), features, copies)


def note(*parts: str) -> str:
    """The parts that are not empty, joined by commas: for `Method.note`."""
    return ", ".join(part for part in parts if part)
