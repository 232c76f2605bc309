"""ConvNeXt: DINOv3's and timm's of ImageNet, with the tensor names of three publishers, to the last stage asked for."""

import functools
import re
from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.convolution import Convolution, biased
from fastrecon_jax.encoders.layers import LayerNorm, Precise, gelu, standardise
from fastrecon_jax.encoders.licences import DINOV3 as DINOV3_LICENCE
from fastrecon_jax.encoders.registry import register
from fastrecon_jax.encoders.weights import Source

STRIDES = {"stage1": 4, "stage2": 8, "stage3": 16, "stage4": 32}
STAGES = tuple(STRIDES)
EPSILON = 1e-6  # of every LayerNorm
_DINOV3_PAPER = "Siméoni et al., DINOv3, arXiv 2508.10104"
_MODERN = "Liu et al., A ConvNet for the 2020s, CVPR 2022"


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        blocks: number of blocks in each stage.
        channels: of each stage.
        weights: where pretrained ones come from; empty if they must be given.
        also: where the same weights are published beside that.
        normed: the network was trained to be read behind its final LayerNorm at every position (DINOv3), which the last
            stage then passes; classifiers apply theirs to the mean of all positions alone.
        kernels: the two layers of a block's MLP are stored as 1x1 convolutions, (d, c, 1, 1), not as matrices, (d, c).
    """

    blocks: tuple[int, int, int, int]
    channels: tuple[int, int, int, int]
    weights: str = ""
    also: tuple[str, ...] = ()
    normed: bool = False
    kernels: bool = False


class Naming(NamedTuple):
    """What a publisher calls the tensors; i is the stage, j the block, k the layer of a downsampling, from 0.

    Attributes:
        stem: the two layers before the first stage: convolution and norm.
        downsample: the two layers before a later stage: norm and convolution.
        block: prefix of a block.
        depthwise: the 7x7 convolution in it.
        norm: its LayerNorm.
        expand: the first layer of its MLP.
        project: the second.
        scale: its LayerScale.
        final: the LayerNorm behind the last stage.
    """

    stem: str
    downsample: str
    block: str
    depthwise: str
    norm: str
    expand: str
    project: str
    scale: str
    final: str


ORIGINAL = Naming(
    stem="downsample_layers.0.{k}",
    downsample="downsample_layers.{i}.{k}",
    block="stages.{i}.{j}",
    depthwise="dwconv",
    norm="norm",
    expand="pwconv1",
    project="pwconv2",
    scale="gamma",
    final="norm",
)
TIMM = Naming(
    stem="stem.{k}",
    downsample="stages.{i}.downsample.{k}",
    block="stages.{i}.blocks.{j}",
    depthwise="conv_dw",
    norm="norm",
    expand="mlp.fc1",
    project="mlp.fc2",
    scale="gamma",
    final="head.norm",
)
HUGGING_FACE = Naming(
    stem="stages.0.downsample_layers.{k}",
    downsample="stages.{i}.downsample_layers.{k}",
    block="stages.{i}.layers.{j}",
    depthwise="depthwise_conv",
    norm="layer_norm",
    expand="pointwise_conv1",
    project="pointwise_conv2",
    scale="gamma",
    final="layer_norm",
)
# Files that newer releases of transformers write put the stages, and not the final norm, below `model`.
HUGGING_FACE_MODEL = HUGGING_FACE._replace(
    **{field: f"model.{getattr(HUGGING_FACE, field)}" for field in ("stem", "downsample", "block")}
)
NAMINGS = (ORIGINAL, TIMM, HUGGING_FACE, HUGGING_FACE_MODEL)

_DINOV3 = "facebook/dinov3-convnext-{}-pretrain-lvd1689m"
_SIZES = {
    "tiny": ((3, 3, 9, 3), (96, 192, 384, 768)),
    "small": ((3, 3, 27, 3), (96, 192, 384, 768)),
    "base": ((3, 3, 27, 3), (128, 256, 512, 1024)),
    "large": ((3, 3, 27, 3), (192, 384, 768, 1536)),
}
DINOV3 = {
    f"dinov3_convnext_{size[0]}": Variant(
        *shape, f"hf://{_DINOV3.format(size)}", (f"hf://timm/convnext_{size}.dinov3_lvd1689m",), normed=True
    )
    for size, shape in _SIZES.items()
}
IMAGENET = {
    "convnext_atto": Variant((2, 2, 6, 2), (40, 80, 160, 320), "hf://timm/convnext_atto.d2_in1k", kernels=True),
    "convnext_femto": Variant((2, 2, 6, 2), (48, 96, 192, 384), "hf://timm/convnext_femto.d1_in1k", kernels=True),
    "convnext_pico": Variant((2, 2, 6, 2), (64, 128, 256, 512), "hf://timm/convnext_pico.d1_in1k", kernels=True),
    "convnext_nano": Variant((2, 2, 8, 2), (80, 160, 320, 640), "hf://timm/convnext_nano.d1h_in1k", kernels=True),
    **{
        f"convnext_{size}": Variant(*shape, f"hf://timm/convnext_{size}.fb_in22k_ft_in1k")
        for size, shape in _SIZES.items()
    },
}


class Block(nnx.Module):
    """x + scale * project(gelu(expand(norm(depthwise(x)))))."""

    def __init__(self, source: Source, name: str, naming: Naming, channels: int, *, kernels: bool):
        self.depthwise = Convolution(biased(source, f"{name}.{naming.depthwise}", (channels, 1, 7, 7)), depthwise=True)
        self.norm = LayerNorm(source, f"{name}.{naming.norm}", channels, epsilon=EPSILON)
        self.expand = _linear(source, f"{name}.{naming.expand}", channels, 4 * channels, kernels=kernels)
        self.project = _linear(source, f"{name}.{naming.project}", 4 * channels, channels, kernels=kernels)
        self.scale = Precise(jnp.asarray(source.tensor(f"{name}.{naming.scale}", (channels,), init="ones")))

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        """Apply to (b, h, w, c), float32; the MLP alone has the type of its weights."""
        y = self.norm(self.depthwise(x)).astype(self.expand.kernel.dtype)
        y = self.expand(y)
        y = gelu(y.astype(jnp.float32)).astype(y.dtype)
        return x + self.project(y).astype(jnp.float32) * self.scale[...][None, None, None]


class Stage(nnx.Module):
    """A downsampling, whose first is the stem, and the blocks behind it."""

    def __init__(self, source: Source, naming: Naming, variant: Variant, i: int):
        inputs, channels = (3, *variant.channels)[i : i + 2]
        names = [(naming.downsample if i else naming.stem).format(i=i, k=k) for k in (0, 1)]
        convolution, norm = (names[1], names[0]) if i else names
        side = 2 if i else 4
        self.first = i == 0
        self.reduce = Convolution(
            biased(source, convolution, (channels, inputs, side, side)), stride=side, padding="none"
        )
        self.norm = LayerNorm(source, norm, inputs if i else channels, epsilon=EPSILON)
        self.blocks = nnx.List(
            Block(source, naming.block.format(i=i, j=j), naming, channels, kernels=variant.kernels)
            for j in range(variant.blocks[i])
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Apply to (b, h, w, c): images, or the stage before."""
        x = self.norm(self.reduce(x)) if self.first else self.reduce(self.norm(x))
        for block in self.blocks:
            x = block(x)
        return x


class ConvNeXt(nnx.Module):
    """Images to the outputs of the stages asked for, by name, each position standardised over its channels.

    The blocks add to a stream that nothing norms: its length grows from block to block and differs between positions,
    and a few channels are many times as large as the rest. Whatever reads the stream, the next stage or the classifier,
    standardises each position first, so that a position's mean and length carry nothing that the network goes on to
    use, while Euclidean distances in the raw stream would measure little else. The stages are therefore standardised in
    the same way, without the scale and shift that belong to the layer that follows: a feature of c channels has the
    length √c, two of them the squared distance 2 c (1 - r), r their correlation over the channels, and concatenated
    stages count by their channels. The last stage of DINOv3, trained behind a LayerNorm of its own, passes that one
    instead.

    References:
        Liu et al., A ConvNet for the 2020s, CVPR 2022; Siméoni et al., DINOv3, arXiv 2508.10104.
    """

    def __init__(self, source: Source, variant: Variant, stages: Sequence[str]):
        self.names = tuple(stages)
        naming = naming_of(source)
        last = max(map(STAGES.index, stages))
        self.stages = nnx.List(Stage(source, naming, variant, i) for i in range(last + 1))
        final = variant.normed and last == len(STAGES) - 1
        self.norm = nnx.data(LayerNorm(source, naming.final, variant.channels[-1], epsilon=EPSILON) if final else None)

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last stage asked for.

        Args:
            images: normalised, (b, H, W, 3); sides of at least 32 pixels for all four stages. Rows and columns beyond a
                multiple of a stage's stride do not reach it.

        Returns:
            The stages asked for by name, (b, h_i, w_i, c_i) each, float32.
        """
        outputs, x = {}, images
        for name, stage in zip(STAGES, self.stages, strict=False):
            x = stage(x).astype(jnp.float32)
            outputs[name] = x
        return {name: self._read(name, outputs[name]) for name in self.names}

    def _read(self, name: str, x: Float[Array, "b h w c"]) -> Float[Array, "b h w c"]:
        return self.norm(x) if self.norm is not None and name == STAGES[-1] else standardise(x, EPSILON)


def _linear(source: Source, name: str, inputs: int, outputs: int, *, kernels: bool) -> Convolution:
    """A layer at each position alone, from either way to store it."""
    if kernels:
        return Convolution(biased(source, name, (outputs, inputs, 1, 1)))
    weight = source.tensor(f"{name}.weight", (outputs, inputs))
    bias = source.tensor(f"{name}.bias", (outputs,), init="zeros")
    return Convolution((weight.T[None, None], bias))


def naming_of(source: Source) -> Naming:
    """How a source names its tensors: as the first naming of which it has the first block, or else the original."""
    first = (naming for naming in NAMINGS if source.has(f"{naming.block.format(i=0, j=0)}.{naming.expand}.weight"))
    return next(first, ORIGINAL)


_OF_STAGE = re.compile(r"(model\.)?(stages|downsample_layers)\.(?P<stage>[0-3])\..+")
_HEAD = re.compile(r"(norm|norms\.3|head|head\.norm|head\.fc|layer_norm)\.(weight|bias)")


def beyond(name: str, last_stage: str) -> bool:
    """Whether a tensor lies beyond a stage: later stages, the final norm and its copy `norms.3`, the classifier."""
    if found := _OF_STAGE.fullmatch(name):
        return int(found["stage"]) > STAGES.index(last_stage)
    return bool(_HEAD.fullmatch(name))


def build(source: Source, stages: Sequence[str], *, variant: Variant) -> ConvNeXt:
    """A ConvNeXt of a variant, see `registry.register`."""
    return ConvNeXt(source, variant, stages)


for _name, _variant in {**IMAGENET, **DINOV3}.items():
    register(
        _name,
        stages=STRIDES,
        weights=_variant.weights,
        may_be_unread=beyond,
        at_once=1,
        source=f"{_DINOV3_PAPER}; {_MODERN}" if _name in DINOV3 else _MODERN,
        licence=DINOV3_LICENCE if _name in DINOV3 else "Apache-2.0",
        also=_variant.also,
    )(functools.partial(build, variant=_variant))
