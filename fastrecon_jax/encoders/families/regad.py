"""RegAD's ResNet-18: a spatial transformer behind each stage, the outputs brought back to where the image has them."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.core import features, warp
from fastrecon_jax.encoders.convolution import Convolution, biased
from fastrecon_jax.encoders.families import resnet
from fastrecon_jax.encoders.layers import Layer
from fastrecon_jax.encoders.registry import register
from fastrecon_jax.encoders.weights import Source

STRIDES = {name: resnet.STRIDES[name] for name in ("layer1", "layer2", "layer3")}
CHANNELS = (64, 128, 256)
GRID = (14, 7, 4)  # sides of what the linear layers see, those of images of 224 pixels
HIDDEN = 1024
IDENTITY = (0.0, 1.0, 1.0)  # angle and scales


class Linear(Layer):
    """x W + b."""

    def __init__(self, source: Source, name: str, inputs: int, outputs: int, *, init: str = "he"):
        self.kernel = nnx.Param(jnp.asarray(source.tensor(f"{name}.weight", (outputs, inputs), init=init).T))
        self.bias = nnx.Param(jnp.asarray(source.tensor(f"{name}.bias", (outputs,), init="zeros")))

    def __call__(self, x: Float[Array, "b c"]) -> Float[Array, "b d"]:
        """Apply the layer to (b, c)."""
        return jnp.matmul(x, self.kernel[...], precision=self.precision) + self.bias[...][None]


class Transformer(nnx.Module):
    """A feature map to the matrix of the affine change that it is to be read by."""

    def __init__(self, source: Source, name: str, channels: int, grid: int):
        self.grid = grid
        self.conv1 = Convolution(biased(source, f"{name}.conv1", (64, channels, 3, 3)))
        self.conv2 = Convolution(biased(source, f"{name}.conv2", (16, 64, 3, 3)))
        self.fc1 = Linear(source, f"{name}.fc1", 16 * grid * grid, HIDDEN)
        self.fc2 = Linear(source, f"{name}.fc2", HIDDEN, 3, init="zeros")

    def __call__(self, x: Float[Array, "b h w c"]) -> Float[Array, "b 2 3"]:
        """Predict the matrices of (b, h, w, c); untrained they are the identity."""
        for convolution in (self.conv1, self.conv2):
            x = resnet.max_pool(jax.nn.relu(convolution(x)))
        # Images of other sizes than 224 pixels are seen by the same weights.
        if x.shape[1:3] != (self.grid, self.grid):
            resized = jax.vmap(lambda one: features.resize_bilinear(one, self.grid, self.grid))(x.astype(jnp.float32))
            x = resized.astype(x.dtype)
        vectors = x.reshape(x.shape[0], self.grid * self.grid * x.shape[3])
        x = self.fc2(jax.nn.relu(self.fc1(vectors))).astype(jnp.float32)
        return jax.vmap(warp.rotation_scale)(x + jnp.array([IDENTITY]))


class RegAD(nnx.Module):
    """Images to the registered features of the stages asked for, by name.

    References:
        Huang et al., Registration based few-shot anomaly detection, ECCV 2022, section 3.2; Jaderberg et al., Spatial
        transformer networks, NeurIPS 2015.
    """

    def __init__(self, source: Source, stages: Sequence[str]):
        self.stages = tuple(stages)
        last = max(map(list(STRIDES).index, stages))
        self.trunk = resnet.ResNet(source, resnet.VARIANTS["resnet18"], list(STRIDES)[: last + 1])
        self.transformers = nnx.List(Transformer(source, f"stn{i + 1}", CHANNELS[i], GRID[i]) for i in range(last + 1))

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last stage asked for.

        Args:
            images: RGB, (b, H, W, 3), 0 to 1.

        Returns:
            The stages asked for by name, (b, h_i, w_i, c_i) each, every transformer undone.
        """
        outputs, back = {}, []
        for name, x, matrices in self.warped(images):
            back.append(jax.vmap(warp.inverse)(matrices))
            # F_j = T_1⁻¹(... T_j⁻¹(x_j)).
            x = x.astype(jnp.float32)
            for matrix in reversed(back):
                x = jax.vmap(warp.affine)(x, matrix)
            outputs[name] = x
        return {name: outputs[name] for name in self.stages}

    def warped(
        self, images: Float[Array, "b H W 3"]
    ) -> list[tuple[str, Float[Array, "b h w c"], Float[Array, "b 2 3"]]]:
        """Name, transformed output and matrices of each stage; the transformed output feeds the next stage."""
        x = resnet.max_pool(jax.nn.relu(self.trunk.conv1(images)))
        found = []
        for name, blocks, transformer in zip(STRIDES, self.trunk.layers, self.transformers, strict=False):
            for block in blocks:
                x = block(x)
            matrices = transformer(x)
            # Positions in float32: bfloat16 has none between most pixels.
            x = jax.vmap(warp.affine)(x.astype(jnp.float32), matrices).astype(x.dtype)
            found.append((name, x, matrices))
        return found


def named(module: RegAD) -> dict[str, Float[np.ndarray, "..."]]:
    """The weights of a module by the names and in the shapes that `build` reads, for a file."""
    layers: dict[str, Convolution | Linear] = {"conv1": module.trunk.conv1}
    for i, blocks in enumerate(module.trunk.layers, start=1):
        for j, block in enumerate(blocks):
            layers |= {f"layer{i}.{j}.conv{n}": part for n, part in enumerate(block.convolutions, start=1)}
            layers |= {f"layer{i}.{j}.downsample.0": block.shortcut} if block.shortcut is not None else {}
    for i, transformer in enumerate(module.transformers, start=1):
        layers |= {f"stn{i}.{part}": getattr(transformer, part) for part in ("conv1", "conv2", "fc1", "fc2")}
    tensors = {}
    for name, layer in layers.items():
        kernel = np.asarray(layer.kernel[...])
        tensors[f"{name}.weight"] = np.ascontiguousarray(kernel.T if kernel.ndim == 2 else kernel.transpose(3, 2, 0, 1))
        tensors[f"{name}.bias"] = np.asarray(layer.bias[...])
    return tensors


def beyond(name: str, last_stage: str) -> bool:
    """Whether a tensor belongs to a later stage, its transformer, or the head of ImageNet."""
    if name.startswith("stn"):
        return int(name[3]) > list(STRIDES).index(last_stage) + 1
    return resnet.beyond(name, last_stage)


@register(
    "regad_resnet18",
    stages=STRIDES,
    may_be_unread=beyond,
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    at_once=8,
    source="Huang et al., ECCV 2022",
    licence="that of the images and of the weights that training began with",
    note="weights are meta-trained on other categories",
)
def build(source: Source, stages: Sequence[str]) -> RegAD:
    """RegAD's ResNet-18 with its transformers, see `registry.register`."""
    return RegAD(source, stages)
