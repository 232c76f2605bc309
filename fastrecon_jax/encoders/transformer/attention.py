"""Attention of all tokens to all, a few queries at a time, so that the matrix of all heads is never in memory."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from fastrecon_jax.encoders.layers import Layer
from fastrecon_jax.encoders.transformer.layers import Linear
from fastrecon_jax.encoders.transformer.rotary import Rotation, rotate
from fastrecon_jax.encoders.weights import Source

# Bytes of the logits of one image that are in memory together. A CPU keeps them in its caches; on accelerators, and in
# other runtimes, larger products are faster.
AT_ONCE = {"fast": 2**22, "portable": 2**24, "single": 2**28}


def attend(
    queries: Float[Array, "b g n d"],
    keys: Float[Array, "b g m d"],
    values: Float[Array, "b g m d"],
    *,
    at_once: int,
    precision: jax.lax.Precision = jax.lax.Precision.HIGHEST,
) -> Float[Array, "b g n d"]:
    """softmax(Q Kᵀ) V of each head; logits and softmax in float32.

    Args:
        queries: scaled already, (b, heads, n, d).
        keys: (b, heads, m, d).
        values: (b, heads, m, d).
        at_once: bytes of logits of one image, over all heads, that may be in memory together.
        precision: that products ask for.

    Returns:
        (b, heads, n, d), float32.

    References:
        Vaswani et al., Attention is all you need, NeurIPS 2017.
    """
    b, heads, n, d = queries.shape
    rows = max(at_once // (4 * heads * keys.shape[2]), 1)
    if rows >= n:
        return _attend(queries, keys, values, precision)
    # Parts of equal size, the last one filled up with zeros, whose results are dropped.
    parts = -(-n // rows)
    rows = -(-n // parts)
    filled = jnp.pad(queries, ((0, 0), (0, 0), (0, parts * rows - n), (0, 0)))
    split = jnp.moveaxis(filled.reshape(b, heads, parts, rows, d), 2, 0)
    found = jax.lax.map(lambda some: _attend(some, keys, values, precision), split)
    return jnp.moveaxis(found, 0, 2).reshape(b, heads, parts * rows, d)[:, :, :n]


def _attend(
    queries: Float[Array, "b g n d"],
    keys: Float[Array, "b g m d"],
    values: Float[Array, "b g m d"],
    precision: jax.lax.Precision,
) -> Float[Array, "b g n d"]:
    logits = jnp.matmul(queries, jnp.swapaxes(keys, -1, -2), precision=precision, preferred_element_type=jnp.float32)
    weights = jnp.exp(logits - jax.lax.stop_gradient(logits.max(axis=-1, keepdims=True)))
    # The sum divides d numbers of each query rather than its m weights.
    total = weights.sum(axis=-1, keepdims=True)
    mixed = jnp.matmul(weights.astype(values.dtype), values, precision=precision, preferred_element_type=jnp.float32)
    return mixed / total


class Attention(Layer):
    """Attention with several heads among the tokens of an image.

    Attributes:
        qkv: queries, scaled by 1 / sqrt(d), keys and values of all heads, in this order.
        proj: from all heads back to the width.
        heads: number of heads.
    """

    def __init__(self, source: Source, name: str, width: int, heads: int, *, bias: bool = True, key_bias: bool = True):
        """Read an attention's tensors.

        Args:
            source: where weights come from.
            name: prefix of its tensors.
            width: channels of a token.
            heads: number of heads, a divisor of the width.
            bias: whether the checkpoint holds biases of queries, keys and values.
            key_bias: whether that of the keys counts; otherwise it is 0, whatever the checkpoint holds.
        """
        kernel = source.tensor(f"{name}.qkv.weight", (3 * width, width), init="lecun").T.astype(np.float64)
        shift = np.zeros(3 * width)
        if bias:
            shift = source.tensor(f"{name}.qkv.bias", (3 * width,), init="zeros").astype(np.float64)
        scale = np.repeat([(width // heads) ** -0.5, 1.0, 1.0], width)
        counts = np.repeat([1.0, float(key_bias), 1.0], width)
        self.qkv = Linear(kernel * scale, shift * scale * counts)
        proj = source.tensor(f"{name}.proj.weight", (width, width), init="lecun")
        self.proj = Linear(proj.T, source.tensor(f"{name}.proj.bias", (width,), init="zeros"))
        self.heads = heads

    def __call__(self, x: Float[Array, "b n c"], rotation: Rotation | None = None) -> Float[Array, "b n c"]:
        """Mix the tokens of each image.

        Args:
            x: tokens, normalised, (b, n, c).
            rotation: of queries and keys by the tokens' positions; None for none.

        Returns:
            (b, n, c), float32.
        """
        queries, keys, values = self.parts(x, rotation)
        mixed = attend(queries, keys, values, at_once=AT_ONCE[self.form], precision=self.precision)
        return self.proj(jnp.swapaxes(mixed, 1, 2).reshape(x.shape))

    def parts(
        self, x: Float[Array, "b n c"], rotation: Rotation | None = None
    ) -> tuple[Float[Array, "b g n d"], Float[Array, "b g n d"], Float[Array, "b g n d"]]:
        """Queries, scaled, keys and values of each head, (b, heads, n, d) each; arguments as `__call__` has them."""
        b, n, c = x.shape
        split = self.qkv(x).reshape(b, n, 3, self.heads, c // self.heads)
        queries, keys, values = (jnp.swapaxes(split[:, :, i], 1, 2) for i in range(3))
        if rotation is not None:
            queries, keys = rotate(queries, rotation), rotate(keys, rotation)
        dtype = self.qkv.kernel.dtype
        return queries.astype(dtype), keys.astype(dtype), values.astype(dtype)

    def of_token(self, x: Float[Array, "b n c"], rotation: Rotation | None = None) -> Float[Array, "b g n"]:
        """Logits of the first token's attention to all, before the softmax, (b, heads, n), float32."""
        queries, keys, _ = self.parts(x, rotation)
        logits = jnp.matmul(
            queries[:, :, :1], jnp.swapaxes(keys, -1, -2), precision=self.precision, preferred_element_type=jnp.float32
        )
        return logits[:, :, 0]
