"""One iteration of TDG at a scale: steps of the discriminator, then of the generator that it is trained against."""

import dataclasses
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from fastrecon_jax.methods import tdg_networks as networks
from fastrecon_jax.methods.tdg_networks import Moments, Network, Plain
from fastrecon_jax.methods.tdg_transformations import LISTS, transformed

if TYPE_CHECKING:
    import optax

RATE = 5e-4
RECONSTRUCTION = 100.0  # weight of the reconstruction beside the adversarial loss


class Sizes(NamedTuple):
    """Sizes that belong together.

    Attributes:
        side: side of the images that all scales are reduced from, in pixels.
        coarsest: side at the coarsest scale, in pixels.
        finest: likewise, at the finest.
        scales: how many there are.
        width: channels of the hidden layers; twice as many from the fifth scale on.
        transformations: M, how many, of `LISTS`.
        steps: iterations at each scale.
        updates: steps of either network in an iteration.
        step_images: at most so many support images in an iteration; 0 for all.
    """

    side: int
    coarsest: int
    finest: int
    scales: int
    width: int
    transformations: int
    steps: int
    updates: int
    step_images: int

    def sides(self) -> tuple[int, ...]:
        """Sides of the scales, the coarsest first, in equal ratios."""
        ratio = (self.finest / self.coarsest) ** (1 / max(self.scales - 1, 1))
        return (*(round(self.coarsest * ratio**i) for i in range(self.scales - 1)), self.finest)


class Below(NamedTuple):
    """A scale that is trained: its generator, its noise for the reconstruction, and its amplitude for each image."""

    generator: Plain
    noise: Float[Array, "s s 1"]
    amplitude: Float[Array, " k"]


class Data(NamedTuple):
    """What every iteration of a scale is given.

    Attributes:
        images: support images at this scale, -1 to 1, (k, s, s, 3).
        below: their reconstructions of the scale below at this size, (k, s, s, 3); zeros at the coarsest.
        noise: of the reconstruction, (s, s, 1).
        amplitude: of the noise, (k,).
        pyramid: the scales below, the coarsest first.
    """

    images: Float[Array, "k s s 3"]
    below: Float[Array, "k s s 3"]
    noise: Float[Array, "s s 1"]
    amplitude: Float[Array, " k"]
    pyramid: tuple[Below, ...]


class Player(NamedTuple):
    """One of the two networks while it is trained: weights, running statistics, and the optimiser's state."""

    network: Network
    running: tuple[Moments, ...]
    optimiser: Any


class State(NamedTuple):
    """What an iteration changes; `generator` is None in the ablation without one."""

    discriminator: Player
    generator: Player | None


class Drawn(NamedTuple):
    """A sample for the generator: images of the scale below, and noise times its amplitude, (b, s, s, 3) each."""

    below: Float[Array, "b s s 3"]
    noise: Float[Array, "b s s 3"]


@dataclasses.dataclass(frozen=True)
class Iteration:
    """One iteration for `training.loop.train`; equal ones share their compiled program."""

    sizes: Sizes

    def __call__(self, state: State, key: PRNGKeyArray, number: Any, data: Data) -> tuple[State, Float[Array, ""]]:
        """Steps of the discriminator, each against a sample of its own, then of the generator, against the last one.

        Args:
            state: both networks.
            key: random key of the iteration.
            number: unused; rates count in the optimisers' states.
            data: of the scale.

        Returns:
            The next state, and the cross-entropy over the transformations of the support images.
        """
        del number
        of_images, of_samples = jax.random.split(key)
        k, updates = len(data.images), self.sizes.updates
        chosen = jnp.arange(k)
        if 0 < self.sizes.step_images < k:
            chosen = jax.random.permutation(of_images, k)[: self.sizes.step_images]
        keys = jax.random.split(of_samples, updates)

        def of_discriminator(player: Player, key: PRNGKeyArray) -> tuple[Player, Float[Array, ""]]:
            fakes = None
            if state.generator is not None:
                fakes = _outputs(state.generator.network, sample(key, data, chosen), data, chosen)[0][0]
            return self._discriminator_step(player, data.images[chosen], fakes)

        discriminator, losses = jax.lax.scan(of_discriminator, state.discriminator, keys)
        if state.generator is None:
            return State(discriminator, None), losses[-1]
        last = sample(keys[-1], data, chosen)

        def of_generator(player: Player, _: None) -> tuple[Player, Float[Array, ""]]:
            return self._generator_step(player, discriminator.network, last, data, chosen)

        generator, adversarial = jax.lax.scan(of_generator, state.generator, None, updates)
        # A generator that diverges stops the training at its iteration, too.
        loss = jnp.where(jnp.isfinite(adversarial).all(), losses[-1], jnp.nan)
        return State(discriminator, generator), loss

    def _discriminator_step(
        self, player: Player, images: Float[Array, "b s s 3"], fakes: Float[Array, "b s s 3"] | None
    ) -> tuple[Player, Float[Array, ""]]:
        def loss(network: Network) -> tuple[Array, tuple[Array, tuple[Moments, ...]]]:
            groups = [self._transformed(images)] + ([] if fakes is None else [self._transformed(fakes)])
            logits, seen = networks.forward(network, jnp.stack(groups))
            real = total = self._transformation_loss(logits[0])
            if fakes is not None:
                # The last class is that of generated patches, whatever was done to them.
                total = real - jax.nn.log_softmax(logits[1])[..., -1].mean()
            # Scores are those of photographs: their statistics alone are kept.
            return total, (real, jax.tree.map(lambda x: x[0], seen))

        (_, (real, seen)), gradients = jax.value_and_grad(loss, has_aux=True)(player.network)
        return _updated(player, gradients, seen, self.discriminator_rate()), real

    def _generator_step(
        self, player: Player, discriminator: Network, drawn: Drawn, data: Data, chosen: Int[Array, " b"]
    ) -> tuple[Player, Float[Array, ""]]:
        def loss(network: Network) -> tuple[Array, tuple[Moments, ...]]:
            (fakes, rebuilt), seen = _outputs(network, drawn, data, chosen)
            logits, _ = networks.forward(discriminator, self._transformed(fakes)[None])
            error = jnp.square(rebuilt - data.images[chosen]).mean()
            # Both groups count alike: the folded generator makes samples and reconstructions.
            both = jax.tree.map(lambda x: x.mean(axis=0), seen)
            return self._transformation_loss(logits[0]) + RECONSTRUCTION * error, both

        (value, seen), gradients = jax.value_and_grad(loss, has_aux=True)(player.network)
        return _updated(player, gradients, seen, RATE), value

    def discriminator_rate(self) -> "optax.Schedule":
        """A tenth in the second half of the iterations."""
        import optax  # not above: it takes a while to import

        half = self.sizes.steps * self.sizes.updates // 2
        return optax.piecewise_constant_schedule(RATE, {half: 0.1})

    def _transformed(self, images: Float[Array, "b s s 3"]) -> Float[Array, "n s s 3"]:
        x = transformed(images, LISTS[self.sizes.transformations])
        return x.reshape(-1, *x.shape[2:])

    def _transformation_loss(self, logits: Float[Array, "n h w out"]) -> Float[Array, ""]:
        """Cross-entropy of the patches of all transformations, each of which is its own class."""
        count = self.sizes.transformations
        logarithms = jax.nn.log_softmax(logits).reshape(count, -1, logits.shape[-1])
        own = jnp.eye(count, logits.shape[-1])
        return -(logarithms * own[:, None]).sum(axis=-1).mean()


def sample(key: PRNGKeyArray, data: Data, chosen: Int[Array, " b"]) -> Drawn:
    """Noise through all the scales below, and of this one.

    Args:
        key: random key.
        data: of the scale.
        chosen: numbers of the support images that are imitated, (b,).

    Returns:
        The sample.
    """
    count, keys = len(chosen), jax.random.split(key, len(data.pyramid) + 1)
    side = data.pyramid[0].noise.shape[0] if data.pyramid else data.images.shape[1]
    images = jnp.zeros((count, side, side, 3))
    for i, scale in enumerate(data.pyramid):
        images = resized(images, scale.noise.shape[0])
        noise = _noise(keys[i], images.shape, scale.amplitude[chosen], coarsest=i == 0)
        images = networks.generated(scale.generator, noise, images, chosen)
    images = resized(images, data.images.shape[1])
    return Drawn(images, _noise(keys[-1], images.shape, data.amplitude[chosen], coarsest=not data.pyramid))


def _noise(
    key: PRNGKeyArray, shape: tuple[int, ...], amplitude: Float[Array, " b"], *, coarsest: bool
) -> Float[Array, "b s s 3"]:
    drawn = jax.random.normal(key, (*shape[:3], 1 if coarsest else 3))
    return jnp.broadcast_to(drawn * amplitude[:, None, None, None], shape)


def _outputs(
    network: Network, drawn: Drawn, data: Data, chosen: Int[Array, " b"]
) -> tuple[Float[Array, "2 b s s 3"], tuple[Moments, ...]]:
    """A sample and the reconstruction of the generator in training, and the statistics of both."""
    fixed = data.noise[None] * data.amplitude[chosen][:, None, None, None]
    below = jnp.stack([drawn.below, data.below[chosen]])
    noise = jnp.stack([drawn.noise, jnp.broadcast_to(fixed, drawn.noise.shape)])
    inputs = jax.vmap(networks.inputs_of_generator, (0, None))(noise + below, chosen)
    outputs, seen = networks.forward(network, inputs)
    return jnp.tanh(outputs) + below, seen


def resized(images: Float[Array, "b _ _ 3"], side: int) -> Float[Array, "b _ _ 3"]:
    """Images at another size, by Keys' cubic kernel, widened where it reduces, as MATLAB's imresize has it.

    Args:
        images: square images, (b, s, s, 3).
        side: new side, in pixels.

    Returns:
        The images, (b, side, side, 3).
    """
    return jax.image.resize(images, (len(images), side, side, 3), "cubic")


def _updated(player: Player, gradients: Network, seen: tuple[Moments, ...], rate: Any) -> Player:
    import optax  # not above: it takes a while to import

    with jax.numpy_dtype_promotion("standard"):  # optax raises floats to the number of the step
        updates, state = optimiser(rate).update(gradients, player.optimiser)
    network = optax.apply_updates(player.network, updates)
    return Player(network, networks.followed(player.running, seen), state)


def optimiser(rate: Any) -> "optax.GradientTransformation":
    """Adam as the authors set it.

    Args:
        rate: learning rate, or its schedule.

    Returns:
        The optimiser.
    """
    import optax  # not above: it takes a while to import

    return optax.adam(rate, b1=0.5, b2=0.999)
