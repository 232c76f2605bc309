"""AlexNet with torchvision's tensor names and semantics: five convolutions, to the last stage asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.convolution import Convolution, biased
from fastrecon_jax.encoders.registry import register
from fastrecon_jax.encoders.weights import Source

CHANNELS = (64, 192, 384, 256, 256)
STRIDES = {"pool1": 8, "pool2": 16, "conv5": 16, "pool5": 32}
STAGES = tuple(STRIDES)


class Spec(NamedTuple):
    """One convolution: its number among torchvision's `features`, side of the kernel, stride and padding."""

    number: int
    size: int
    stride: int
    padding: int


SPECS = (Spec(0, 11, 4, 2), Spec(3, 5, 1, 2), Spec(6, 3, 1, 1), Spec(8, 3, 1, 1), Spec(10, 3, 1, 1))
_NEEDED = {"pool1": 1, "pool2": 2, "conv5": 5, "pool5": 5}  # convolutions up to a stage


class AlexNet(nnx.Module):
    """Images to the outputs of the stages asked for, by name.

    References:
        Krizhevsky, One weird trick for parallelizing convolutional neural networks, 2014 (arXiv 1404.5997), which is
        the variant of torchvision: one column, no local response normalisation.
    """

    def __init__(self, source: Source, stages: Sequence[str], channels: Sequence[int] = CHANNELS):
        self.stages = tuple(stages)
        needed = max(_NEEDED[stage] for stage in stages)
        inputs = (3, *channels)
        self.convolutions = nnx.List(
            Convolution(
                biased(source, f"features.{spec.number}", (inputs[i + 1], inputs[i], spec.size, spec.size)),
                stride=spec.stride,
                # Half the kernel on each side, but for the first: its image is padded by hand.
                padding="symmetric" if spec.padding == spec.size // 2 else "none",
                tile=2,
            )
            for i, spec in enumerate(SPECS[:needed])
        )

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last stage asked for.

        Args:
            images: normalised, (b, H, W, 3).

        Returns:
            The stages asked for by name, (b, h_i, w_i, c_i) each.
        """
        margin = (SPECS[0].padding, SPECS[0].padding)
        x = jnp.pad(images, ((0, 0), margin, margin, (0, 0)))
        outputs = {}
        for i, convolution in enumerate(self.convolutions, start=1):
            x = jax.nn.relu(convolution(x))
            if i == 5:
                outputs["conv5"] = x
            if (name := f"pool{i}") in STAGES:
                x = outputs[name] = max_pool(x)
        return {name: outputs[name] for name in self.stages}


def max_pool(x: Float[Array, "b h w c"]) -> Float[Array, "b H W c"]:
    """3x3 maximum, stride 2, windows inside the input, as a chain of shifted maxima.

    Args:
        x: (b, h, w, c), sides of at least 3.

    Returns:
        (b, (h - 1) // 2, (w - 1) // 2, c).
    """
    _, h, w, _ = x.shape
    rows = jnp.maximum(jnp.maximum(x[:, 0 : h - 2 : 2], x[:, 1 : h - 1 : 2]), x[:, 2:h:2])
    return jnp.maximum(jnp.maximum(rows[:, :, 0 : w - 2 : 2], rows[:, :, 1 : w - 1 : 2]), rows[:, :, 2:w:2])


def beyond(name: str, last_stage: str) -> bool:
    """Whether a tensor belongs to the network beyond a stage: later convolutions and the ImageNet classifier."""
    group, _, rest = name.partition(".")
    later = {str(spec.number) for spec in SPECS[_NEEDED[last_stage] :]}
    return group == "classifier" or (group == "features" and rest.split(".")[0] in later)


@register(
    "alexnet",
    stages=STRIDES,
    weights="hf://timm/alexnet.tv_in1k",
    may_be_unread=beyond,
    at_once=8,
    source="Krizhevsky, arXiv 1404.5997",
    licence="BSD-3-Clause",  # torchvision's
    inside=True,  # pools have no padding
)
def build(source: Source, stages: Sequence[str]) -> AlexNet:
    """AlexNet to the last stage asked for, see `registry.register`."""
    return AlexNet(source, stages)
