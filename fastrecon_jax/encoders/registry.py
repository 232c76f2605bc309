"""The encoders by name: each file of `families`, or of a user's, registers its own."""

import dataclasses
import functools
import importlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

from fastrecon_jax.errors import InputError

if TYPE_CHECKING:
    import flax.nnx

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
OPTIONS_HELP = (
    "NAME=VALUE for what the encoder's weights are not to decide: of the transformers positions (dinov2, tipsv2) or "
    "periods (dinov3), see docs/reference/encoders.md"
)
STRIDES = (8, 16)  # of the stages that are taken unless others are asked for

_OWN = "fastrecon_jax.encoders.families"

Build = Callable[..., "flax.nnx.Module"]
Builder = TypeVar("Builder", bound=Build)


def _no_other_stage(stage: str) -> tuple[str, str] | None:
    del stage
    return None


def _no_tensor(tensor: str, last_stage: str) -> bool:
    del tensor, last_stage
    return False


@dataclasses.dataclass(frozen=True, eq=False)
class Registration:
    """What is known of an encoder before it is built.

    Attributes:
        name: as users write it.
        build: (source of weights, names of stages, the finest first) to a module that maps normalised images
            (b, H, W, 3) to a dictionary of these stages, (b, h_i, w_i, c_i) each; options by name.
        stages: pixels per position of each stage by its name, the finest first.
        of_stride: stage for a method that asks for so many pixels per position.
        weights: where pretrained weights come from, see `create`; empty if they must be given.
        may_be_unread: (name of a tensor, last stage that is built) to whether a checkpoint may hold the tensor although
            nothing reads it.
        mean: average of the training images in each channel, 0 to 1.
        std: their standard deviation in each channel, above 0.
        at_once: images that a CPU computes together, because the features of more leave its caches; 0 for all.
        source: publication.
        licence: under which the pretrained weights are published.
        note: what a user must know of the weights.
        read_stage: name of a stage as a user wrote it, not one of `stages`, to its one form and the one of `stages`
            whose stride and place in the order it has; or to None.
        multiple: of which the sides of images must be multiples, in pixels.
        options: allowed values of each option by its name, the first of which leaves the choice to the checkpoint.
        also: where the same weights are published beside `weights`.
        image_size: side of the images that the weights were trained on, in pixels.
        parameters: how many it has up to the last stage; 0 where they are counted by building it.
        products: most of its work is products of large matrices, as in a transformer; on a CPU XLA then hands them to
            its library, which is faster.
        inside: whether windows lie inside the image, so that stages may have a position less along a side than their
            stride says.
    """

    name: str
    build: Build
    stages: Mapping[str, int]
    of_stride: Mapping[int, str]
    weights: str
    may_be_unread: Callable[[str, str], bool]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    at_once: int
    source: str
    licence: str
    note: str
    read_stage: Callable[[str], tuple[str, str] | None]
    multiple: int
    options: Mapping[str, tuple[str, ...]]
    also: tuple[str, ...]
    image_size: int
    parameters: int
    products: bool
    inside: bool = False

    def read(self, stage: str) -> tuple[str, str]:
        """The one form of a stage's name, and the entry of `stages` that it goes by; InputError if there is none."""
        found = (stage, stage) if stage in self.stages else self.read_stage(stage)
        if found is None:
            others = (
                "" if self.read_stage is _no_other_stage else ", and others made of them: docs/reference/encoders.md"
            )
            raise InputError(f"unknown stage {stage!r} of {self.name}: allowed are {', '.join(self.stages)}{others}")
        return found

    def stride(self, stage: str) -> int:
        """Pixels per position of a stage; InputError if there is no such stage."""
        return self.stages[self.read(stage)[1]]

    def ordered(self, stages: Sequence[str]) -> tuple[str, ...]:
        """Stages in one form each, none twice, the finest first; InputError if there is no such stage."""
        order = list(self.stages)
        found = dict.fromkeys(map(self.read, stages))
        return tuple(name for name, _ in sorted(found, key=lambda pair: order.index(pair[1])))

    def check_size(self, height: int, width: int, what: str) -> None:
        """Refuse images whose sides are no multiples of a patch.

        Args:
            height: rows, in pixels.
            width: columns, in pixels.
            what: how a message begins, such as `--crop_size=230`.

        Raises:
            InputError: a side is no multiple of `multiple`; the message names the nearest two.
        """
        for side in (height, width):
            if side % self.multiple or side < self.multiple:
                below = max(side // self.multiple, 1) * self.multiple
                raise InputError(
                    f"{what} is not allowed with {self.name}, which takes sides in multiples of {self.multiple} "
                    f"pixels, unlike {side}: the nearest are {below} and {below + self.multiple}"
                )


_REGISTRY: dict[str, Registration] = {}
_own_names: set[str] = set()


def register(
    name: str,
    *,
    stages: Mapping[str, int],
    of_stride: Mapping[int, str] | None = None,
    weights: str = "",
    may_be_unread: Callable[[str, str], bool] = _no_tensor,
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
    at_once: int = 0,
    source: str = "",
    licence: str = "",
    note: str = "",
    read_stage: Callable[[str], tuple[str, str] | None] = _no_other_stage,
    multiple: int = 1,
    options: Mapping[str, tuple[str, ...]] | None = None,
    also: tuple[str, ...] = (),
    image_size: int = 224,
    parameters: int = 0,
    products: bool = False,
    inside: bool = False,
) -> Callable[[Builder], Builder]:
    """Register an encoder; decorates the function that builds it, or is called with it for each variant in a loop.

    Args:
        name: as users will write it in `--encoder=NAME`.
        stages: pixels per position of each stage by its name, the finest first; where several have the same, in the
            order in which they are computed.
        of_stride: stage for a method that asks for so many pixels per position; by default the last stage of each
            stride. A transformer, whose stages all have one stride, names a lower layer for a smaller stride.
        weights: where pretrained weights come from: `package://NAME`, `hf://OWNER/REPOSITORY` or a path; empty if a
            user must give them.
        may_be_unread: (name of a tensor, last stage that is built) to whether a checkpoint may hold the tensor although
            nothing reads it, such as a later stage or a classifier; by default none may stay unread.
        mean: average of the training images in each channel, 0 to 1; by default that of ImageNet.
        std: their standard deviation in each channel, above 0.
        at_once: images that a CPU computes together, because the features of more leave its caches; 0 for all.
        source: publication that describes the encoder.
        licence: under which the pretrained weights are published.
        note: what a user must know of the weights.
        read_stage: for stages that are too many to list: the name of one as a user wrote it to its one form, which
            `build` gets, and to the one of `stages` whose stride and place in the order it has; None where the name
            means nothing.
        multiple: of which the sides of images must be multiples, in pixels, such as the patch of a transformer.
        options: what a user may choose beside stages, by name: the allowed values, of which the first leaves the choice
            to the checkpoint. `build` gets a value by the option's name, and the module says in its attribute `options`
            what it chose, as `NAME=VALUE` each.
        also: where the same weights are published beside `weights`.
        image_size: side of the images that the weights were trained on, in pixels.
        parameters: how many the encoder has up to the last stage, for one that is too large to be counted by building
            it.
        products: most of its work is products of large matrices, as in a transformer; on a CPU XLA then hands them to
            its library, which is faster.
        inside: whether its windows lie inside the image, so that stages may have a position less along a side than
            their stride says; it takes no tiles, whose positions would not lie on those of the image.

    Returns:
        The decorator; it returns the builder unchanged, `build(source, stages)`: a source of weights and the names of
        stages, the finest first, to a module that maps normalised images (b, H, W, 3) to a dictionary of these stages,
        (b, h_i, w_i, c_i) each. See `weights.Source` and `layers.Layer`.

    Raises:
        ValueError: the name is taken by another module or is no name, or the stages make no sense.
    """
    strides = list(stages.values())
    table = dict(of_stride) if of_stride else {stride: stage for stage, stride in stages.items()}
    if not name or any(sign in name for sign in ",= /"):
        raise ValueError(f"{name!r} cannot be the name of an encoder: use letters, digits, -, _ and +")
    if not strides or strides != sorted(strides) or strides[0] < 1:
        raise ValueError(
            f"stages of {name} must be one or more, the finest first, with strides of at least 1: {stages}"
        )
    if unknown := [stage for stage in table.values() if stage not in stages and not read_stage(stage)]:
        raise ValueError(f"of_stride of {name} names {', '.join(unknown)}, which are not among its stages")

    def decorate(build: Builder) -> Builder:
        if not _module(build).startswith(_OWN):
            _import_own()  # they come first, and their names are taken
        other = _REGISTRY.get(name)
        if other is not None and _module(other.build) != _module(build):
            raise ValueError(f"encoder {name!r} is registered by {_module(other.build)} already")
        _REGISTRY[name] = Registration(
            name,
            build,
            dict(stages),
            table,
            weights,
            may_be_unread,
            mean,
            std,
            at_once,
            source,
            licence,
            note,
            read_stage,
            multiple,
            dict(options or {}),
            also,
            image_size,
            parameters,
            products,
            inside,
        )
        return build

    return decorate


def is_own(name: str) -> bool:
    """Whether an encoder is the project's own, and not a user's.

    Args:
        name: one of `names()`.

    Returns:
        True if the project's own folder registered it.
    """
    _import_own()
    return name in _own_names


def _import_own() -> None:
    """Import the project's own encoders at the first look at a name: they need Flax, whose import takes a while."""
    if not _own_names:
        importlib.import_module(_OWN)
        _own_names.update(_REGISTRY)


def _module(build: Build) -> str:
    while isinstance(build, functools.partial):
        build = build.func
    return build.__module__


def module_of(name: str) -> str:
    """The module that registered an encoder.

    Args:
        name: one of `names()`.

    Returns:
        Its dotted name.
    """
    return _module(registration(name).build)


def names() -> tuple[str, ...]:
    """The registered encoders, the project's own first."""
    _import_own()
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
    _import_own()
    if name not in _REGISTRY:
        raise InputError(f"unknown encoder {name!r}: allowed are {', '.join(_REGISTRY)}")
    return _REGISTRY[name]


def stages_of(name: str, strides: Sequence[int] = STRIDES) -> tuple[str, ...]:
    """The stages of an encoder for a method that asks for certain strides.

    Args:
        name: one of `names()`.
        strides: pixels per position, at least 1; where the encoder has no stage of a stride, the nearest is taken, of
            two that are as near the finer.

    Returns:
        Names of stages, the finest first, none twice.

    Raises:
        InputError: unknown name.
    """
    entry = registration(name)
    nearest = {
        entry.of_stride[min(sorted(entry.of_stride), key=lambda stride: abs(math.log2(stride / asked)))]
        for asked in strides
    }
    return entry.ordered(sorted(nearest))
