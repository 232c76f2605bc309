"""What decides a part's scores beside its photographs, and the programs compiled from it."""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Int, Key, UInt8

from fastrecon_jax import encoders, methods
from fastrecon_jax.data import bit_depth
from fastrecon_jax.data.geometry import CROP, Cut, Preprocessing
from fastrecon_jax.detector import Detector, Inspection, Stages
from fastrecon_jax.encoders import checkpoints
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods.settings import check_copies_are_used
from fastrecon_jax.parts import remembered
from fastrecon_jax.runtime import compiler, cpu, devices
from fastrecon_jax.runtime.kept_programs import KeptProgram


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What decides scores beside the photographs.

    Attributes:
        encoder: name of a registered encoder.
        stages: names of its stages, the finest first; empty for those of the method's strides.
        weights: where the encoder's weights come from, as `encoders.create` takes it; empty for the pretrained ones.
        weights_sha256: hash of the weights file, empty for random ones; None if any will do.
        dtype: float32, tfloat32 or bfloat16.
        image_size: side of the resized image, or its longer side, in pixels.
        crop_size: side of the centre that is inspected, in pixels; 0 where all of it is.
        method: name of a registered method.
        settings: instance of the method's settings.
        image_score: how patch scores become one number; empty for the method's own.
        bit_depth: bits that are filled of pixels with more than 8.
        resize: `keep`: all of a photograph in its proportions; `stretch`: in a square; `crop`: the square's centre.
        shape: height and width of the resized image; empty with `crop`, or before good photographs have decided it.
        region: the only part of photographs that is inspected, the numbers of a `geometry.Cut`; empty for all of them.
        encoder_options: `NAME=VALUE` for each option of the encoder; before its weights are loaded, those that these
            do not decide.
        weights_revision: commit of the hub's repository that the weights came from; empty for weights from elsewhere.
        tile: size and overlap of the tiles that images are encoded in, in pixels; empty to encode each as a whole.
        support_copies: kinds of changed copies of the good photographs from which any method learns, too.
    """

    encoder: str
    stages: tuple[str, ...]
    weights: str
    weights_sha256: str | None
    dtype: str
    image_size: int
    crop_size: int
    method: str
    settings: Any
    image_score: str
    bit_depth: int = bit_depth.CONTAINER
    resize: str = CROP
    shape: tuple[int, ...] = ()
    region: tuple[int, ...] = ()
    encoder_options: tuple[str, ...] = ()
    weights_revision: str = ""
    support_copies: tuple[str, ...] = ()
    tile: tuple[int, ...] = ()

    @property
    def anywhere(self) -> "Recipe":
        """The recipe wherever its weights are: the hash says which they are."""
        return dataclasses.replace(self, weights="", weights_revision="")

    @property
    def encoder_key(self) -> tuple[Any, ...]:
        """What recipes of one and the same encoder have in common, see `key_of_encoder`."""
        return self.encoder, self.stages, self.dtype, self.weights_sha256, self.encoder_options

    @property
    def preprocessing(self) -> Preprocessing:
        """How a photograph becomes the encoder's image."""
        height, width = self.shape or (self.image_size, self.image_size)
        return Preprocessing(
            self.image_size,
            self.crop_size,
            bit_depth=self.bit_depth,
            shape=None if self.resize == CROP else (height, width),
            cut=Cut(*self.region) if self.region else None,
        )


class Engine(NamedTuple):
    """A recipe with its weights and its compiled programs; b images, k support images.

    Attributes:
        recipe: the recipe that it was made from, with the hash of the weights.
        encoder: the encoder with its weights.
        method: the method with its settings.
        encode: encoder and images (b, H, W, 3), 0 to 255, to the stages (b, h_i, w_i, c_i).
        fit: stages of the support (k, h_i, w_i, c_i), a key, and stages of the n copies of each image that the method
            asks for (k, n, h_i, w_i, c_i), or (), to the method's state.
        inspect: encoder, state and images (b, H, W, 3) to scores (b,) and maps (b, H, W).
        inspect_stages: state and stages (b, h_i, w_i, c_i) to the same.
        embed: stages (b, h_i, w_i, c_i) to the method's features, with a leading axis b.
        thin: state, features (k, ...) and those of copies (k, n, ...), or (), to what `fit_some` may choose from, see
            `methods.Method.thin`; None where it chooses from all.
        fit_some: features (k, ...), a key, those of copies, what `thin` returned or None, and the indices of the images
            to fit on to the method's state.
        choose: where settings are `auto`, stages of the support and of n defective copies of each image
            (k, n, h_i, w_i, c_i) to the choice; None otherwise. See `auto_settings`.
        ignore: true for pixels of the map that are never scored, (H, W); None if all are.
    """

    recipe: Recipe
    encoder: encoders.Encoder
    method: methods.Method
    encode: Callable[[encoders.Encoder, UInt8[Array, "b H W 3"]], Stages]
    fit: Callable[[Stages, Key[Array, ""], Stages], Any]
    inspect: Callable[[encoders.Encoder, Any, UInt8[Array, "b H W 3"]], Inspection]
    inspect_stages: Callable[[Any, Stages], Inspection]
    embed: Callable[[Stages], Any]
    thin: Callable[[Any, Any, Any], Any] | None
    fit_some: Callable[[Any, Key[Array, ""], Any, Any, Int[Array | np.ndarray, " n"]], Any]
    choose: Callable[[Stages, Stages], Any] | None = None
    ignore: Bool[np.ndarray, "H W"] | None = None


def open_engine(recipe: Recipe, *, weights: str = "", ignore: Bool[np.ndarray, "H W"] | None = None) -> Engine:
    """Load the weights, from another place if one is named, and make the programs; nothing is compiled yet.

    Raises:
        InputError: the recipe names what does not exist, the weights are not those that its hash names, or the method
            scores images as a whole, so that no pixel can be ignored.
    """
    return make_engine(recipe, load_encoder(recipe, weights=weights), ignore)


def load_encoder(recipe: Recipe, *, weights: str = "") -> encoders.Encoder:
    """The encoder with its weights; the errors are those of `open_engine`."""
    methods.check_makes_parts(recipe.method)
    strides = methods.create(recipe.method, recipe.settings).strides
    stages = recipe.stages or encoders.stages_of(recipe.encoder, strides)
    origin = recipe.weights
    if not origin and recipe.weights_revision:
        origin = encoders.registration(recipe.encoder).weights  # else `create` finds it, if it has to
    encoder = encoders.create(
        recipe.encoder,
        stages=stages,
        weights=weights or checkpoints.pinned(origin, recipe.weights_revision),
        dtype=recipe.dtype,
        options=recipe.encoder_options,
    )
    if recipe.weights_sha256 not in (None, encoder.sha256):
        raise InputError(
            f"the weights of {recipe.encoder} from {encoder.weights} are not those of the part: sha256 "
            f"{encoder.sha256[:16] or 'none'}..., expected {recipe.weights_sha256[:16] or 'none'}...; "
            "pass the right file as --weights"
        )
    return encoder


def key_of_encoder(encoder: encoders.Encoder) -> tuple[Any, ...]:
    """`Recipe.encoder_key` of the recipes that a loaded encoder serves."""
    return encoder.name, encoder.stages, encoder.dtype, encoder.sha256, encoder.options


def make_engine(recipe: Recipe, encoder: encoders.Encoder, ignore: Bool[np.ndarray, "H W"] | None = None) -> Engine:
    """The programs of a recipe on an encoder that is loaded already; nothing is compiled yet."""
    methods.check_makes_parts(recipe.method)
    kept = recipe.preprocessing.kept
    encoder = encoders.tiled(encoder, recipe.tile, height=kept[0], width=kept[1])
    method = methods.create(recipe.method, recipe.settings, map_size=kept)
    check_copies_are_used([method], recipe.support_copies)
    method = methods.with_copies(method, recipe.support_copies)
    if ignore is not None and method.whole_image and not recipe.image_score:
        raise InputError(
            f"--ignore is not possible with --method={method.name}, whose image score sees the whole image: take "
            "another method, or --image_score=max"
        )
    detector = dataclasses.replace(_detector(recipe, method, ignore), at_once=at_once(method))
    recipe = dataclasses.replace(
        recipe,
        stages=encoder.stages,
        weights_sha256=encoder.sha256,
        encoder_options=encoder.options,
        weights_revision=checkpoints.revision(encoder.weights) or recipe.weights_revision,
    )
    return Engine(
        recipe=recipe,
        encoder=encoder,
        method=method,
        encode=compiler.jit(lambda encoder, images: encoder(images)),
        fit=compiler.jit(lambda support, key, copies: detector.fit(support, key, copies)),
        inspect=remembered.program(compiler.jit(detector.inspect_images), recipe, encoder, ignore),
        inspect_stages=compiler.jit(detector.inspect),
        embed=compiler.jit(jax.vmap(method.embed)),
        thin=compiler.jit(method.thin) if method.thin else None,
        fit_some=compiler.jit(functools.partial(_fit_some, method)),
        choose=compiler.jit(lambda support, defective: _choose(method, support, defective)) if method.choose else None,
        ignore=ignore,
    )


@functools.lru_cache
def split(program: Callable[..., Any], mesh: Mesh | None, copied: int) -> Callable[..., Any]:
    """A program of an engine over several devices: so many arguments are on each, the images behind them are split."""
    if mesh is None:
        return program
    made = compiler.jit(devices.split(mesh, program, (*[devices.COPIED] * copied, devices.SPLIT), devices.SPLIT))
    return KeptProgram(made, (program.facts, mesh.size)) if isinstance(program, KeptProgram) else made


def detector_of(engine: Engine) -> Detector:
    """The detector whose programs an engine holds."""
    return _detector(engine.recipe, engine.method, engine.ignore)


def _detector(recipe: Recipe, method: methods.Method, ignore: Bool[np.ndarray, "H W"] | None) -> Detector:
    return Detector(method, recipe.preprocessing.kept, recipe.image_score, ignore=ignore)


def at_once(method: methods.Method) -> int:
    """How many images are scored at the same time: on a CPU one for two cores, so that they work on the same caches."""
    if method.prepare is None or jax.default_backend() != "cpu":
        return 0
    return max(1, cpu.cores() // (2 * jax.local_device_count()))


def _choose(method: methods.Method, support: Stages, defective: Stages) -> Any:
    return method.choose(jax.vmap(method.embed)(support), jax.vmap(jax.vmap(method.embed))(defective))


def _fit_some(
    method: methods.Method, features: Any, key: Key[Array, ""], copies: Any, kept: Any, chosen: Int[Array, " n"]
) -> Any:
    """Fit on some of the support images."""
    features, copies, kept = jax.tree.map(lambda x: x[chosen], (features, copies, kept))
    options = {} if kept is None else {"kept": kept}
    return method.fit(features, key, *((copies,) if method.copies else ()), **options)
