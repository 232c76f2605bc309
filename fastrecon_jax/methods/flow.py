"""DifferNet's normalising flow: fixed permutations and two-sided affine couplings, and how it is trained on vectors."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.training import loop

if TYPE_CHECKING:
    import optax

ALPHA = 3.0  # bound of the logarithms of the scales
LIMIT = 1e6  # bound of the values after a coupling
LAYERS = 4  # linear layers of a subnetwork
TRANSFORMS = 4  # rotations of each support image in a batch

Subnetwork = tuple[tuple[Array, Array], ...]  # weights (inputs, outputs) and biases (outputs,) of each layer


class Block(NamedTuple):
    """The two subnetworks of a coupling: `second` reads v and changes u, `first` reads the new u and changes v."""

    first: Subnetwork
    second: Subnetwork


@dataclasses.dataclass(frozen=True)
class Shape:
    """Sizes of a flow: dimensions of its vectors, an even number, units of the hidden layers, and blocks."""

    dimensions: int
    hidden: int = 2048
    blocks: int = 8


def permutations(shape: Shape) -> Int[np.ndarray, "blocks d"]:
    """The fixed permutation before each coupling, by the legacy generator with the number of the block as its seed."""
    drawn = [np.random.RandomState(k).permutation(shape.dimensions) for k in range(shape.blocks)]
    return np.stack(drawn).astype(np.int32)


def initialise(shape: Shape, key: PRNGKeyArray) -> tuple[Block, ...]:
    """Weights and biases uniform in ±1/sqrt(inputs).

    Args:
        shape: sizes of the flow.
        key: random key.

    Returns:
        The blocks, the first one first.
    """
    half = shape.dimensions // 2
    sizes = (half, *[shape.hidden] * (LAYERS - 1), shape.dimensions)

    def subnetwork(key: PRNGKeyArray) -> Subnetwork:
        layers = []
        for own, inputs, outputs in zip(jax.random.split(key, LAYERS), sizes[:-1], sizes[1:], strict=True):
            values = jax.random.uniform(own, (inputs + 1, outputs), minval=-(inputs**-0.5), maxval=inputs**-0.5)
            layers.append((values[:-1], values[-1]))
        return tuple(layers)

    pairs = jax.random.split(key, (shape.blocks, 2))
    return tuple(Block(subnetwork(pair[0]), subnetwork(pair[1])) for pair in pairs)


def soft_clamp(s: Float[Array, "*n"]) -> Float[Array, "*n"]:
    """0.636 α arctan(s / α), which lies within ±α.

    Args:
        s: any numbers.

    Returns:
        Logarithms of scales, of the same shape.
    """
    return 0.636 * ALPHA * jnp.arctan(s / ALPHA)


def _scale_and_shift(subnetwork: Subnetwork, x: Float[Array, " half"]) -> tuple[Array, Array]:
    """Clamped logarithms of the scales, and shifts."""
    for i, (weight, bias) in enumerate(subnetwork):
        x = jnp.matmul(x, weight, precision=jax.lax.Precision.HIGHEST) + bias
        x = jax.nn.relu(x) if i < len(subnetwork) - 1 else x
    s, t = jnp.split(x, 2)
    return soft_clamp(s), t


def forward(
    blocks: tuple[Block, ...], orders: Int[Array, "blocks d"], y: Float[Array, " d"]
) -> tuple[Float[Array, " d"], Float[Array, ""]]:
    """From a feature vector to its latent vector.

    Args:
        blocks: what `initialise` returned, or trained from it.
        orders: what `permutations` returned.
        y: feature vector, (d,).

    Returns:
        The latent vector, (d,), and the logarithm of the absolute determinant of the Jacobian, a scalar.

    References:
        Rudolph et al., Same same but DifferNet, WACV 2021 (arXiv 2008.12577), section 3.2.
    """
    determinant = jnp.zeros((), y.dtype)
    for block, order in zip(blocks, orders, strict=True):
        u, v = jnp.split(y[order], 2)
        s, t = _scale_and_shift(block.second, v)
        determinant += s.sum()
        u = u * jnp.exp(s) + t
        s, t = _scale_and_shift(block.first, u)
        determinant += s.sum()
        y = jnp.clip(jnp.concatenate([u, v * jnp.exp(s) + t]), -LIMIT, LIMIT)
    return y, determinant


def inverse(blocks: tuple[Block, ...], orders: Int[Array, "blocks d"], z: Float[Array, " d"]) -> Float[Array, " d"]:
    """From a latent vector to its feature vector, as long as nothing was clipped.

    Args:
        blocks: as `forward` takes them.
        orders: what `permutations` returned.
        z: latent vector, (d,).

    Returns:
        The feature vector, (d,).
    """
    for block, order in zip(reversed(blocks), orders[::-1], strict=True):
        u, v = jnp.split(z, 2)
        s, t = _scale_and_shift(block.first, u)
        v = (v - t) * jnp.exp(-s)
        s, t = _scale_and_shift(block.second, v)
        z = jnp.concatenate([(u - t) * jnp.exp(-s), v])[jnp.argsort(order)]
    return z


def loss(blocks: tuple[Block, ...], orders: Int[Array, "blocks d"], batch: Float[Array, "b d"]) -> Float[Array, ""]:
    """Negative log-likelihood a dimension, without its constant: mean of (‖z‖²/2 - log|det J|) / d.

    Args:
        blocks: as `forward` takes them.
        orders: what `permutations` returned.
        batch: feature vectors, (b, d).

    Returns:
        The loss, a scalar.
    """
    z, determinants = jax.vmap(forward, (None, None, 0))(blocks, orders, batch)
    return (0.5 * jnp.square(z).sum(axis=-1) - determinants).mean() / batch.shape[-1]


def optimiser() -> "optax.GradientTransformation":
    """Adam at a constant rate, with weight decay added to the gradient, as the authors set them."""
    import optax  # not above: it takes a while to import

    return optax.chain(optax.add_decayed_weights(1e-5), optax.scale_by_adam(0.8, 0.8, 1e-4), optax.scale(-2e-4))


def step(state: loop.Fit, key: PRNGKeyArray, number: Any, bank: Float[Array, "k R d"]) -> tuple[loop.Fit, Array]:
    """One step for `training.loop.train`, on vectors that are drawn from a bank of encoded rotations.

    Args:
        state: what `training.loop.start` made of the blocks and `optimiser`.
        key: random key of the step.
        number: number of the step; unused.
        bank: feature vectors of R rotations of each of the k support images, (k, R, d).

    Returns:
        The next state, and the loss before the step.
    """
    k, turns, d = bank.shape
    shape = Shape(d, blocks=len(state.parameters))
    orders = jnp.asarray(permutations(shape))

    def of_batch(blocks, extra, key, bank):
        # Every image TRANSFORMS times, each time at an angle of its own.
        chosen = jax.random.randint(key, (k, TRANSFORMS), 0, turns)
        batch = jnp.take_along_axis(bank, chosen[..., None], axis=1).reshape(-1, d)
        return loss(blocks, orders, batch), extra

    return loop.gradient_step(of_batch, optimiser())(state, key, number, bank)
