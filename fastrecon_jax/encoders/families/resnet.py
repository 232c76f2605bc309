"""ResNets with torchvision's tensor names and semantics, to the last stage asked for."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.convolution import Convolution, folded
from fastrecon_jax.encoders.registry import register
from fastrecon_jax.encoders.weights import Source

STRIDES = {"layer1": 4, "layer2": 8, "layer3": 16, "layer4": 32}
STAGES = tuple(STRIDES)
_fold = functools.partial(folded, epsilon=1e-5)


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        blocks: number of blocks in each stage.
        bottleneck: blocks of 1x1, 3x3, 1x1 convolutions, the output four times as wide, instead of 3x3, 3x3.
        width: channels inside the blocks of the first stage; they double from stage to stage.
        stride_first: the stride sits on the first 1x1 of a stage (v1) instead of the 3x3 (v1.5, torchvision).
        weights: where pretrained ones come from; empty if they must be given.
        licence: under which they are published.
        note: what a user must know of them.
        at_once: images that a CPU computes together.
    """

    blocks: tuple[int, int, int, int]
    bottleneck: bool
    width: int = 64
    stride_first: bool = False
    weights: str = ""
    licence: str = "BSD-3-Clause"  # torchvision's
    note: str = ""
    at_once: int = 8


_V1_NOTE = "those of resnet50 would load too, and give poor figures"
VARIANTS = {
    "resnet18": Variant((2, 2, 2, 2), bottleneck=False, weights="hf://timm/resnet18.tv_in1k"),
    "resnet50": Variant((3, 4, 6, 3), bottleneck=True, weights="hf://timm/resnet50.tv_in1k"),
    "resnet50_v1": Variant((3, 4, 6, 3), bottleneck=True, stride_first=True, licence="MIT", note=_V1_NOTE),
    "wide_resnet50_2": Variant(
        (3, 4, 6, 3), bottleneck=True, width=128, weights="hf://timm/wide_resnet50_2.tv_in1k", at_once=4
    ),
}


class Block(nnx.Module):
    """relu(convolutions(x) + shortcut(x))."""

    def __init__(
        self, source: Source, name: str, layers: Sequence[tuple[int, int, int, int]], *, stride: int, tile: int
    ):
        """Build a block.

        Args:
            source: where weights come from.
            name: prefix of the block's tensors.
            layers: (inputs, outputs, size, stride) of each convolution in order.
            stride: that of the whole block, which the shortcut has too.
            tile: side of Winograd's tiles, of which the outputs' sides are multiples at 224 pixels.
        """
        self.convolutions = nnx.List(
            Convolution(
                _fold(source, f"{name}.conv{i}", f"{name}.bn{i}", (outputs, inputs, size, size)),
                stride=step,
                tile=tile,
            )
            for i, (inputs, outputs, size, step) in enumerate(layers, start=1)
        )
        # The shortcut is the input itself, or a 1x1 convolution where the shape changes.
        inputs, outputs = layers[0][0], layers[-1][1]
        projected = stride != 1 or inputs != outputs
        self.shortcut = nnx.data(
            Convolution(
                _fold(source, f"{name}.downsample.0", f"{name}.downsample.1", (outputs, inputs, 1, 1)),
                stride=stride,
            )
            if projected
            else None
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Apply the block to (b, h, w, c)."""
        y = x
        for convolution in self.convolutions[:-1]:
            y = jax.nn.relu(convolution(y))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return jax.nn.relu(self.convolutions[-1](y) + shortcut)


class ResNet(nnx.Module):
    """Images to the outputs of the stages asked for, by name.

    References:
        He et al., Deep residual learning for image recognition, CVPR 2016; Zagoruyko and Komodakis, Wide residual
        networks, BMVC 2016.
    """

    def __init__(self, source: Source, variant: Variant, stages: Sequence[str]):
        self.stages = tuple(stages)
        self.conv1 = Convolution(_fold(source, "conv1", "bn1", (64, 3, 7, 7)), stride=2)
        last = max(map(STAGES.index, stages))
        inputs, layers = 64, []
        for i in range(last + 1):
            blocks = []
            for j in range(variant.blocks[i]):
                stride = 2 if i > 0 and j == 0 else 1
                shapes = _layers(variant, inputs, variant.width * 2**i, 64 * 2**i, stride)
                blocks.append(Block(source, f"{STAGES[i]}.{j}", shapes, stride=stride, tile=4 if i < 2 else 2))
                inputs = shapes[-1][1]
            layers.append(nnx.List(blocks))
        self.layers = nnx.List(layers)

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last stage asked for.

        Args:
            images: normalised, (b, H, W, 3).

        Returns:
            The stages asked for by name, (b, h_i, w_i, c_i) each.
        """
        x = max_pool(jax.nn.relu(self.conv1(images)))
        outputs = {}
        for name, blocks in zip(STAGES, self.layers, strict=False):
            for block in blocks:
                x = block(x)
            outputs[name] = x
        return {name: outputs[name] for name in self.stages}


def _layers(variant: Variant, inputs: int, width: int, channels: int, stride: int) -> list[tuple[int, int, int, int]]:
    """(inputs, outputs, size, stride) of the convolutions of one block."""
    if not variant.bottleneck:
        return [(inputs, channels, 3, stride), (channels, channels, 3, 1)]
    first, second = (stride, 1) if variant.stride_first else (1, stride)
    return [(inputs, width, 1, first), (width, width, 3, second), (width, 4 * channels, 1, 1)]


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """3x3 maximum, stride 2, padding 1, on values of at least 0, as a chain of shifted maxima.

    Args:
        x: (b, h, w, c), at least 0, so that padding by zeros changes no maximum.

    Returns:
        (b, ceil(h / 2), ceil(w / 2), c).
    """
    _, h, w, _ = x.shape
    x = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    # The maximum of 3x3 is that of three rows, then of three columns.
    rows = jnp.maximum(jnp.maximum(x[:, 0:h:2], x[:, 1 : h + 1 : 2]), x[:, 2 : h + 2 : 2])
    return jnp.maximum(jnp.maximum(rows[:, :, 0:w:2], rows[:, :, 1 : w + 1 : 2]), rows[:, :, 2 : w + 2 : 2])


def beyond(name: str, last_stage: str) -> bool:
    """Whether a tensor belongs to the network beyond a stage: later stages and the ImageNet head."""
    layer = name.split(".")[0]
    return layer == "fc" or layer in STAGES[STAGES.index(last_stage) + 1 :]


def build(source: Source, stages: Sequence[str], *, variant: Variant) -> ResNet:
    """A ResNet of a variant, see `registry.register`."""
    return ResNet(source, variant, stages)


for _name, _variant in VARIANTS.items():
    register(
        _name,
        stages=STRIDES,
        weights=_variant.weights,
        may_be_unread=beyond,
        at_once=_variant.at_once,
        source="He et al., CVPR 2016" if _variant.width == 64 else "Zagoruyko and Komodakis, BMVC 2016",
        licence=_variant.licence,
        note=_variant.note,
    )(functools.partial(build, variant=_variant))
