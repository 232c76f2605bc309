"""A transformer in one file, as a user would write it: patches, positions, blocks with attention, LayerNorm and MLP."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from fastrecon_jax import encoders
from fastrecon_jax.encoders.convolution import Convolution, biased
from fastrecon_jax.encoders.layers import Layer, Precise

PATCH, WIDTH, HEADS, DEPTH, GRID = 7, 24, 3, 4, 5
STAGES = {f"block{i}": PATCH for i in range(DEPTH)}


class Linear(Layer):
    """x W + b."""

    def __init__(self, source, name, inputs, outputs):
        weight = source.tensor(f"{name}.weight", (outputs, inputs), init="lecun")
        self.weight = nnx.Param(jnp.asarray(weight.T))
        self.bias = Precise(jnp.asarray(source.tensor(f"{name}.bias", (outputs,), init="zeros")))

    def __call__(self, x):
        y = jnp.matmul(x, self.weight[...], precision=self.precision).astype(jnp.float32)
        return (y + self.bias[...][None, None]).astype(x.dtype)


class LayerNorm(nnx.Module):
    """Over the channels, in float32."""

    def __init__(self, source, name):
        self.scale = Precise(jnp.asarray(source.tensor(f"{name}.weight", (WIDTH,), init="ones")))
        self.bias = Precise(jnp.asarray(source.tensor(f"{name}.bias", (WIDTH,), init="zeros")))

    def __call__(self, x):
        y = jax.nn.standardize(x.astype(jnp.float32), axis=-1, epsilon=1e-6)
        return (y * self.scale[...][None, None] + self.bias[...][None, None]).astype(x.dtype)


class Block(Layer):
    """x + scale attention(norm(x)), then x + mlp(norm(x)); attention's weights together or apart."""

    def __init__(self, source, name):
        self.norms = nnx.List(LayerNorm(source, f"{name}.norm{i}") for i in (1, 2))
        names = ["qkv"] if source.has(f"{name}.attn.qkv.weight") else ["query", "key", "value"]
        self.qkv = nnx.List(Linear(source, f"{name}.attn.{n}", WIDTH, 3 * WIDTH // len(names)) for n in names)
        self.proj = Linear(source, f"{name}.attn.proj", WIDTH, WIDTH)
        self.mlp = nnx.List(
            [Linear(source, f"{name}.mlp.fc1", WIDTH, 4 * WIDTH), Linear(source, f"{name}.mlp.fc2", 4 * WIDTH, WIDTH)]
        )
        self.scale = Precise(jnp.asarray(source.tensor(f"{name}.ls1.gamma", (WIDTH,), init="ones")))

    def __call__(self, x):
        y = self.norms[0](x)
        qkv = jnp.concatenate([linear(y) for linear in self.qkv], axis=-1)
        q, k, v = jnp.moveaxis(qkv.reshape(*x.shape[:2], 3, HEADS, -1), 2, 0)
        product = functools.partial(jnp.einsum, precision=self.precision)
        logits = product("bqhd,bkhd->bhqk", q, k).astype(jnp.float32) * (WIDTH // HEADS) ** -0.5
        y = product("bhqk,bkhd->bqhd", jax.nn.softmax(logits).astype(x.dtype), v).reshape(x.shape)
        x = x + (self.proj(y).astype(jnp.float32) * self.scale[...][None, None]).astype(x.dtype)
        return x + self.mlp[1](jax.nn.gelu(self.mlp[0](self.norms[1](x)), approximate=False))


class Transformer(nnx.Module):
    """Images to the tokens of the blocks asked for, as maps."""

    def __init__(self, source, stages):
        self.stages = tuple(stages)
        self.patches = Convolution(
            biased(source, "patch_embed.proj", (WIDTH, 3, PATCH, PATCH)), stride=PATCH, padding="none"
        )
        positions = source.tensor("pos_embed", (1, 1 + GRID * GRID, WIDTH), init="small")
        self.token = Precise(jnp.asarray(source.tensor("cls_token", (1, 1, WIDTH), init="small") + positions[:, :1]))
        self.positions = Precise(jnp.asarray(positions[:, 1:].reshape(GRID, GRID, WIDTH)))
        depth = 1 + list(STAGES).index(stages[-1])
        self.blocks = nnx.List(Block(source, f"blocks.{i}") for i in range(depth))

    def __call__(self, images):
        x = self.patches(images)
        b, h, w, c = x.shape
        positions = jax.image.resize(self.positions[...], (h, w, c), "cubic").astype(x.dtype)
        token = jnp.broadcast_to(self.token[...].astype(x.dtype), (b, 1, c))
        x = jnp.concatenate([token, (x + positions[None]).reshape(b, h * w, c)], axis=1)
        outputs = {}
        for name, block in zip(STAGES, self.blocks, strict=False):
            x = block(x)
            outputs[name] = x[:, 1:].reshape(b, h, w, c)
        return {name: outputs[name] for name in self.stages}


@encoders.register(
    "tiny_transformer",
    stages=STAGES,
    of_stride={4: "block1", 8: "block2", 16: "block3"},
    may_be_unread=lambda tensor, last: tensor == "mask_token" or tensor.startswith("blocks."),
    mean=(0.0, 0.0, 0.0),
    std=(1.0, 1.0, 1.0),
    source="Dosovitskiy et al., ICLR 2021",
)
def build(source, stages):
    """The transformer with its weights."""
    return Transformer(source, stages)


def names_of_a_checkpoint():
    """Names and shapes of a checkpoint of the whole network, with query, key and value apart."""
    shapes = {"pos_embed": (1, 1 + GRID**2, WIDTH), "cls_token": (1, 1, WIDTH), "mask_token": (1, WIDTH)}
    layers = {"patch_embed.proj": (WIDTH, 3, PATCH, PATCH)}
    for i in range(DEPTH):
        shapes |= {f"blocks.{i}.norm{n}.{part}": (WIDTH,) for n in (1, 2) for part in ("weight", "bias")}
        shapes |= {f"blocks.{i}.ls1.gamma": (WIDTH,)}
        layers |= {f"blocks.{i}.attn.{n}": (WIDTH, WIDTH) for n in ("query", "key", "value", "proj")}
        layers |= {f"blocks.{i}.mlp.fc1": (4 * WIDTH, WIDTH), f"blocks.{i}.mlp.fc2": (WIDTH, 4 * WIDTH)}
    for name, shape in layers.items():
        shapes |= {f"{name}.weight": shape, f"{name}.bias": shape[:1]}
    return {name: np.float32(0.1) * np.ones(shape, np.float32) for name, shape in shapes.items()}
