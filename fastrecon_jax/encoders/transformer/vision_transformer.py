"""The network itself: patches and tokens without a place through pre-norm blocks, and maps of the layers asked for."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from fastrecon_jax.encoders.layers import LayerNorm, Precise
from fastrecon_jax.encoders.transformer import positions, rotary, stage_names
from fastrecon_jax.encoders.transformer.attention import Attention
from fastrecon_jax.encoders.transformer.layers import GatedMlp, Linear, Mlp
from fastrecon_jax.encoders.transformer.rotary import Rotation
from fastrecon_jax.encoders.transformer.stage_names import CLASS, CONCAT, NORMED, Layers
from fastrecon_jax.encoders.weights import Source


class Shape(NamedTuple):
    """The sizes of a transformer.

    Attributes:
        patch: side of a patch, in pixels.
        width: channels of a token.
        depth: number of blocks.
        heads: number of heads, a divisor of the width.
        hidden: channels inside the MLP.
        gated: SwiGLU instead of GELU.
        registers: tokens without a place beside the class token.
        epsilon: what a LayerNorm adds to the variance.
        table: side of the table of positions; 0 for rotary positions.
        bias: whether the checkpoint holds biases of queries, keys and values.
        key_bias: whether that of the keys counts.
    """

    patch: int
    width: int
    depth: int
    heads: int
    hidden: int
    gated: bool = False
    registers: int = 0
    epsilon: float = 1e-6
    table: int = 0
    bias: bool = True
    key_bias: bool = True


def parameters(shape: Shape) -> int:
    """Parameters of a transformer up to its last block, without the norm behind it.

    Args:
        shape: its sizes.

    Returns:
        Their number, as a checkpoint of the original holds them.
    """
    width, hidden = shape.width, shape.hidden
    positions = shape.table**2 + 1 if shape.table else 0
    outside = (3 * shape.patch**2 + 1) * width + (1 + shape.registers + positions) * width
    norms_and_scales, attention = 6 * width, 4 * width**2 + width + 3 * width * shape.bias
    mlp = 3 * width * hidden + 2 * hidden + width if shape.gated else 2 * width * hidden + hidden + width
    return outside + shape.depth * (norms_and_scales + attention + mlp)


class Block(nnx.Module):
    """x + γ₁ attention(norm₁ x), then x + γ₂ mlp(norm₂ x); the sum stays float32 in other dtypes."""

    def __init__(self, source: Source, name: str, shape: Shape):
        width = shape.width
        self.norm1, self.norm2 = (LayerNorm(source, f"{name}.norm{i}", width, epsilon=shape.epsilon) for i in (1, 2))
        self.attn = Attention(source, f"{name}.attn", width, shape.heads, bias=shape.bias, key_bias=shape.key_bias)
        mlp = GatedMlp if shape.gated else Mlp
        self.mlp = mlp(source, f"{name}.mlp", width, shape.hidden)
        self.gamma1, self.gamma2 = (
            Precise(jax.device_put(source.tensor(f"{name}.ls{i}.gamma", (width,), init="ones").astype(np.float32)))
            for i in (1, 2)
        )

    def __call__(self, x: Float[Array, "b n c"], rotation: Rotation | None) -> Float[Array, "b n c"]:
        """Apply the block to the tokens of b images."""
        x = x + self.gamma1[...][None, None] * self.attn(self.norm1(x), rotation)
        return x + self.gamma2[...][None, None] * self.mlp(self.norm2(x))


class VisionTransformer(nnx.Module):
    """Images to the stages asked for, by name: maps without class token and registers.

    Attributes:
        options: what was chosen for the registered options of its family, `NAME=VALUE` each.

    References:
        Dosovitskiy et al., An image is worth 16x16 words, ICLR 2021; LayerScale: Touvron et al., Going deeper with
        image transformers, ICCV 2021; registers: Darcet et al., Vision transformers need registers, ICLR 2024.
    """

    def __init__(
        self,
        source: Source,
        shape: Shape,
        stages: Sequence[str],
        *,
        place: Float[np.ndarray, "_ m c"] | None = None,
        way: str = "",
        periods: Float[np.ndarray, " p"] | None = None,
        options: Sequence[str] = (),
    ):
        """Build the network up to the last block that a stage is made of.

        Args:
            source: weights by the names of the original.
            shape: sizes.
            stages: names of stages, as `stage_names` has them.
            place: table of positions; those of patches come last, that of the class token may stand before them. None
                for rotary positions.
            way: how the table is resampled, one of `positions.WAYS`.
            periods: of rotary positions.
            options: kept as an attribute.
        """
        self.shape = shape
        self.wanted = tuple((name, _read(name, shape.depth)) for name in stages)
        self.options, self.way = tuple(options), way
        size = shape.patch
        kernel = source.tensor("patch_embed.proj.weight", (shape.width, 3, size, size), init="lecun")
        bias = source.tensor("patch_embed.proj.bias", (shape.width,), init="zeros")
        # A convolution of patches that do not overlap is a product with each patch as one vector.
        self.patches = Linear(kernel.transpose(2, 3, 1, 0).reshape(-1, shape.width), bias)
        tokens = source.tensor("cls_token", (1, 1, shape.width), init="small")
        if place is not None:
            many = shape.table**2
            if place.shape[1] > many:
                tokens = tokens + place[:, :1]
            table = place[0, -many:].reshape(shape.table, shape.table, shape.width)
            self.positions = Precise(jax.device_put(np.asarray(table, np.float32)))
        if shape.registers:
            registers = source.tensor("register_tokens", (1, shape.registers, shape.width), init="small")
            tokens = np.concatenate([tokens, registers], axis=1)
        self.tokens = Precise(jax.device_put(np.asarray(tokens, np.float32)))
        if periods is not None:
            self.periods = Precise(jax.device_put(np.asarray(periods, np.float32)))
        last = max(layers.blocks[-1] for _, layers in self.wanted)
        self.blocks = nnx.List(Block(source, f"blocks.{i}", shape) for i in range(last))
        if any(layers.kind == NORMED for _, layers in self.wanted):
            self.norm = LayerNorm(source, "norm", shape.width, epsilon=shape.epsilon)

    def __call__(self, images: Float[Array, "b H W 3"]) -> dict[str, Float[Array, "b _ _ _"]]:
        """Run to the last block asked for.

        Args:
            images: normalised, (b, H, W, 3), H and W multiples of the patch.

        Returns:
            The stages asked for by name, (b, h, w, c_i) each, float32.
        """
        b, height, width, _ = images.shape
        size, before = self.shape.patch, 1 + self.shape.registers
        h, w = height // size, width // size
        rotation = None if self.shape.table else rotary.rotation(self.periods[...], h, w, before=before)
        x = self._tokens(images, h, w)
        made: dict[str, list[Float[Array, "b h w _"]]] = {name: [] for name, _ in self.wanted}
        for number, block in enumerate(self.blocks, start=1):
            asked = [(name, layers.kind) for name, layers in self.wanted if number in layers.blocks]
            for name, kind in asked:
                if kind == CLASS:
                    logits = block.attn.of_token(block.norm1(x), rotation)[:, :, before:]
                    made[name].append(jnp.moveaxis(logits, 1, -1).reshape(b, h, w, -1))
            x = block(x, rotation)
            for name, kind in asked:
                if kind != CLASS:
                    patches = x[:, before:].reshape(b, h, w, -1)
                    made[name].append(self.norm(patches) if kind == NORMED else patches)
        return {name: _join(made[name], layers) for name, layers in self.wanted}

    def _tokens(self, images: Float[Array, "b H W 3"], h: int, w: int) -> Float[Array, "b n c"]:
        """Class token, registers and patches with their places, float32."""
        b, size = images.shape[0], self.shape.patch
        squares = images.reshape(b, h, size, w, size, 3).transpose(0, 1, 3, 2, 4, 5)
        x = self.patches(squares.reshape(b, h * w, size * size * 3))
        if self.shape.table:
            place = positions.resample(self.positions[...], h, w, way=self.way)
            x = x + place.reshape(1, h * w, -1)
        tokens = self.tokens[...]
        return jnp.concatenate([jnp.broadcast_to(tokens, (b, *tokens.shape[1:])), x], axis=1)


def _join(maps: list[Float[Array, "b h w _"]], layers: Layers) -> Float[Array, "b h w _"]:
    """The maps of a stage's layers as one."""
    if len(maps) == 1:
        return maps[0]
    return jnp.concatenate(maps, axis=-1) if layers.join == CONCAT else sum(maps[1:], maps[0]) / len(maps)


def _read(name: str, depth: int) -> Layers:
    layers = stage_names.read(name, depth)
    if layers is None:
        raise ValueError(f"{name!r} is no stage of {depth} blocks: allowed are {stage_names.FORM}")
    return layers
