"""An encoder with its weights: loaded, cast, its forms chosen, and from then on a pytree and a function of images."""

import dataclasses
import functools
import pathlib
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Real

from fastrecon_jax.encoders import checkpoints, tiles
from fastrecon_jax.encoders.registry import IMAGENET_MEAN, IMAGENET_STD, Build, Registration, registration, stages_of
from fastrecon_jax.encoders.tiles import Tiling
from fastrecon_jax.encoders.weights import RANDOM, Random, Tensors
from fastrecon_jax.errors import InputError

if TYPE_CHECKING:
    import flax.nnx

NONE = "none"  # name and weights of what stands for an encoder
DTYPES = ("float32", "tfloat32", "bfloat16")
Outputs = tuple[Float[Array, "b _ _ _"], ...]


class Structure:
    """A module without its weights, made when it is asked for.

    Hashed once, since `jit` asks for the hash at every call.
    """

    def __init__(self, make: Callable[[], Any]):
        self._make = make

    @functools.cached_property
    def treedef(self) -> Any:
        """What `jax.tree.flatten` gives of the module beside its weights."""
        return self._make()

    @functools.cached_property
    def _hash(self) -> int:
        return hash(self.treedef)

    def __hash__(self) -> int:
        return self._hash

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, Structure) and self.treedef == other.treedef)


def _static() -> Any:
    return dataclasses.field(metadata={"static": True})


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Encoder:
    """A frozen encoder: a pytree of its weights, to be passed to `jit` as an argument, and a function of images.

    Attributes:
        params: weights, the only leaves; a flat tuple, because `jit` flattens it at every call.
        name: under which it is registered.
        stages: names of the outputs, the finest first.
        weights: where they came from, for people; `random` if they mean nothing.
        sha256: hash of the file that they came from, in hexadecimal; empty for random ones.
        dtype: float32, tfloat32 or bfloat16: what activations and all weights but `layers.Precise` ones are.
        form: how its layers compute, see `layers.Layer`.
        registration: what was registered under the name.
        options: what its options are, `NAME=VALUE` each, where the checkpoint decides too.
        structure: the module without its weights.
        tiling: tiles that images are cut into; None if each is encoded as a whole. See `tiled`.
        metadata: what a safetensors file of weights says of itself, pairs of name and text.
    """

    params: tuple[Any, ...]  # arrays; while jax transforms them, what stands for them
    name: str = _static()
    stages: tuple[str, ...] = _static()
    weights: str = _static()
    sha256: str = _static()
    dtype: str = _static()
    form: str = _static()
    registration: Registration = _static()  # noqa: RUF009
    options: tuple[str, ...] = _static()
    structure: Structure = _static()  # noqa: RUF009
    tiling: Tiling | None = dataclasses.field(default=None, metadata={"static": True})
    metadata: tuple[tuple[str, str], ...] = dataclasses.field(default=(), metadata={"static": True})

    def __call__(self, images: Real[Array | np.ndarray, "b H W 3"]) -> Outputs:
        """The stages of images.

        Args:
            images: RGB, (b, H, W, 3), 0 to 255; of a floating type to differentiate in them.

        Returns:
            (b, h_i, w_i, c_i) each, float32, in the order of `stages`.

        Raises:
            InputError: the images have a side that the encoder does not take.
        """
        height, width = images.shape[1:3]
        self.registration.check_size(height, width, f"an image of {width}x{height} pixels")
        module = self.module()

        def run(part: Float[Array, "p H W 3"]) -> Outputs:
            outputs = module(part)
            return tuple(outputs[name] for name in self.stages)

        pixels = normalise(images, self.registration.mean, self.registration.std).astype(_storage(self.dtype))
        at_once = self.registration.at_once if self.form == "fast" else 0
        encode = functools.partial(in_parts, run, at_once=at_once)
        outputs = encode(pixels) if self.tiling is None else tiles.encode(encode, pixels, self.tiling)
        return tuple(stage.astype(jnp.float32) for stage in outputs)

    @property
    def products(self) -> bool:
        """Whether products of large matrices are most of its work, see `compiler.Program`."""
        return self.registration.products

    def module(self) -> "flax.nnx.Module":
        """The module with its weights, for who wants to look inside; changes to it do not reach the encoder."""
        return jax.tree.unflatten(self.structure.treedef, self.params)


def build(
    name: str,
    *,
    stages: Sequence[str] = (),
    weights: str = "",
    dtype: str = "float32",
    form: str = "fast",
    options: Sequence[str] = (),
) -> tuple[Encoder, pathlib.Path | None]:
    """An encoder from its checkpoint, see `create`, which remembers it.

    Args:
        name: one of `names()`.
        stages: names of the outputs; those nearest to strides of 8 and 16 by default.
        weights: where they come from; the registered pretrained ones by default.
        dtype: what activations and weights are.
        form: how its layers compute, see `layers.Layer`.
        options: `NAME=VALUE` for each option of the encoder that the checkpoint is not to decide.

    Returns:
        The encoder, and the file that its weights were read from; None for random ones.

    Raises:
        InputError: unknown name, stage, dtype or option; weights that cannot be read or belong to another network.
    """
    from fastrecon_jax.encoders import layers

    entry = registration(name)
    _check(entry, stages, dtype)
    ordered = entry.ordered(stages) if stages else stages_of(name)
    make = functools.partial(entry.build, **_options(entry, options))
    module, loaded = _load(entry, make, ordered, weights or entry.weights)
    chosen = getattr(module, "options", ()) if entry.options else ()
    layers.choose(module, form, _precision(dtype))
    if form == "fast" and dtype != "bfloat16":
        for layer in layers.layers(module):
            layer.prepare()
    params, treedef = jax.tree.flatten(_cast(module, dtype))
    encoder = Encoder(
        tuple(params),
        name,
        ordered,
        loaded.source,
        loaded.sha256,
        dtype,
        form,
        entry,
        chosen,
        Structure(lambda: treedef),
        metadata=tuple(sorted(loaded.metadata.items())),
    )
    return encoder, loaded.path


def none() -> Encoder:
    """What stands for an encoder where no method uses one.

    Returns:
        One without weights and stages, named `none`.
    """
    entry = Registration(
        NONE,
        build=_not_built,
        stages={},
        of_stride={},
        weights=NONE,
        may_be_unread=lambda *_: False,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        at_once=0,
        source="",
        licence="",
        note="",
        read_stage=lambda _: None,
        multiple=1,
        options={},
        also=(),
        image_size=0,
        parameters=0,
        products=False,
    )
    return Encoder((), NONE, (), NONE, "", "float32", "single", entry, (), Structure(lambda: jax.tree.structure(())))


def _not_built(*_: Any, **__: Any) -> "flax.nnx.Module":
    raise ValueError("no encoder is there to be built")


def _check(entry: Registration, stages: Sequence[str], dtype: str) -> None:
    if len(entry.ordered(stages)) < len(stages):
        raise InputError(f"stages {', '.join(stages)} of {entry.name}: nothing may be named twice")
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: allowed are {', '.join(DTYPES)}")


def _options(entry: Registration, given: Sequence[str]) -> dict[str, str]:
    """The values of an encoder's options by name, as its builder takes them."""
    values: dict[str, str] = {}
    for option in given:
        name, _, value = option.partition("=")
        if name not in entry.options or name in values:
            allowed = ", ".join(entry.options) or "none"
            problem = "it is given twice" if name in values else f"{entry.name} has {allowed}"
            raise InputError(f"--encoder_options={option} is not allowed: {problem}")
        if value not in entry.options[name]:
            raise InputError(
                f"--encoder_options={option} is not allowed: {name} may be {', '.join(entry.options[name])}"
            )
        values[name] = value
    return values


def _load(
    entry: Registration, build: Build, stages: tuple[str, ...], origin: str
) -> tuple["flax.nnx.Module", checkpoints.Checkpoint]:
    """The module, and the checkpoint that its weights came from."""
    if not origin:
        note = f"; {entry.note}" if entry.note else ""
        raise InputError(
            f"{entry.name} has no pretrained weights to fetch: pass the path of a .safetensors or .pth file as "
            f"weights{note}"
        )
    if origin == RANDOM:
        return build(Random(), stages), checkpoints.Checkpoint({}, RANDOM, "")
    try:
        loaded = checkpoints.load(origin)
    except InputError as error:
        if origin != entry.weights or not entry.also or not origin.startswith(checkpoints.HUB):
            raise
        raise InputError(f"{error}; the same weights are published as {', '.join(entry.also)}") from error
    return _fitting(entry, build, stages, loaded), loaded


def _fitting(
    entry: Registration, build: Build, stages: tuple[str, ...], loaded: checkpoints.Checkpoint
) -> "flax.nnx.Module":
    """The module with the weights of a checkpoint, without the prefix that training may have put before names."""
    refusals = []
    for prefix, named in checkpoints.readings(loaded.tensors):
        tensors = Tensors(named)
        module = build(tensors, stages)
        try:
            tensors.finish(
                source=loaded.source,
                encoder=entry.name,
                may_be_unread=lambda tensor: entry.may_be_unread(tensor, stages[-1]),
            )
        except InputError as error:
            refusals.append((tensors.found, prefix, error))
        else:
            return module
    # What is said is that of the reading in which most names are those of the encoder, the first of equal ones.
    _, prefix, refusal = max(refusals, key=lambda refused: refused[0])
    prefix = prefix or checkpoints.common(list(loaded.tensors))
    note = f"; its names begin with {prefix}" if prefix else ""
    raise InputError(f"{refusal}{note}")


def _precision(dtype: str) -> jax.lax.Precision:
    return jax.lax.Precision.DEFAULT if dtype == "tfloat32" else jax.lax.Precision.HIGHEST


def _storage(dtype: str) -> str:
    return "float32" if dtype == "tfloat32" else dtype


def _cast(module: "flax.nnx.Module", dtype: str) -> "flax.nnx.Module":
    from flax import nnx  # not above: a kept encoder does without, see `kept`

    from fastrecon_jax.encoders import layers

    def cast(leaf: Any) -> Any:
        if isinstance(leaf, nnx.Param) and not isinstance(leaf, layers.Precise):
            return leaf.replace(leaf[...].astype(_storage(dtype)))
        return leaf

    return jax.tree.map(cast, module, is_leaf=lambda x: isinstance(x, nnx.Variable))


def tiled(encoder: Encoder, tile: Sequence[int], *, height: int, width: int) -> Encoder:
    """The same encoder on overlapping tiles of images, whose features are joined.

    Args:
        encoder: any that `create` gave.
        tile: side of a tile and overlap, in pixels, both multiples of the coarsest stage's stride; empty to encode
            each image as a whole.
        height: rows of the images, in pixels.
        width: columns of the images, in pixels.

    Returns:
        One with the same weights; the encoder itself where nothing changes.

    Raises:
        InputError: the tiles do not fit the encoder or the images, or a single one holds an image.
    """
    if not tile and encoder.tiling is None:
        return encoder
    tiling = tiles.read(tile, encoder.registration, encoder.stages)
    if tiling == encoder.tiling:
        return encoder
    if tiling is not None:
        encoder.registration.check_size(tiling.size, tiling.size, f"--tile={tiling.size},{tiling.overlap}")
        tiles.check_images(tiling, encoder.registration, encoder.stages, height, width)
    return dataclasses.replace(encoder, tiling=tiling)


def portable(encoder: Encoder) -> Encoder:
    """The same encoder in the form that is tolerable on every platform, for programs that are made for several.

    Args:
        encoder: any that `create` gave.

    Returns:
        One with the same weights, whose outputs differ by rounding.
    """
    return _in_form(encoder, "portable")


def single_operations(encoder: Encoder) -> Encoder:
    """The same encoder with every convolution as one operation: slower in XLA on a CPU, made for other runtimes.

    Args:
        encoder: any that `create` gave.

    Returns:
        One with the same weights, whose outputs differ by rounding.
    """
    return _in_form(encoder, "single")


def _in_form(encoder: Encoder, form: str) -> Encoder:
    from fastrecon_jax.encoders import layers

    module = encoder.module()
    layers.choose(module, form, _precision(encoder.dtype))
    params, treedef = jax.tree.flatten(module)
    return dataclasses.replace(encoder, params=tuple(params), form=form, structure=Structure(lambda: treedef))


def in_parts(run: Callable[[Array], Outputs], images: Float[Array, "b H W 3"], at_once: int) -> Outputs:
    """Outputs of images, a few of them computed at a time.

    Args:
        run: images to outputs, each with a leading axis of images, none of which depends on the others.
        images: (b, H, W, 3).
        at_once: how many images, one loop's turn each and a smaller last one; 0 for all at once.

    Returns:
        Outputs of the b images.
    """
    if not at_once or images.shape[0] <= at_once:
        return run(images)
    # A loop over equal parts, which XLA compiles once, and what is left over beside it.
    whole = images.shape[0] // at_once * at_once
    looped = jax.lax.map(run, images[:whole].reshape(-1, at_once, *images.shape[1:]))
    parts = [tuple(stage.reshape(whole, *stage.shape[2:]) for stage in looped)]
    if whole < images.shape[0]:
        parts.append(run(images[whole:]))
    return tuple(jnp.concatenate(stage) for stage in zip(*parts, strict=True))


def normalise(
    images: Real[Array | np.ndarray, "b H W 3"],
    mean: tuple[float, float, float] = IMAGENET_MEAN,
    std: tuple[float, float, float] = IMAGENET_STD,
) -> Float[Array, "b H W 3"]:
    """(images / 255 - mean) / std.

    Args:
        images: RGB, (b, H, W, 3), 0 to 255; of a floating type to differentiate in them.
        mean: for each channel, 0 to 1; by default that of ImageNet.
        std: likewise.

    Returns:
        float32, (b, H, W, 3).
    """
    centre, scale = (jnp.asarray(x, jnp.float32)[None, None, None] for x in (mean, std))
    return (jnp.asarray(images).astype(jnp.float32) / 255 - centre) / scale
