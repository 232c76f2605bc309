"""Meta-learning of FastRecon's settings: lam, weights of the encoder's stages, and a low-rank projection.

    python examples/meta_learn.py

Settings are learned on some categories with labelled test images, and measured on others that were held out. Gradients
flow through the scores, the regression and its orthonormal basis to the support and query features.
"""

import dataclasses
import functools
import sys
from typing import NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray
from matplotlib.figure import Figure
from tqdm import tqdm

from fastrecon_jax import metrics
from fastrecon_jax.command_line import flags
from fastrecon_jax.command_line.fields import require, setting
from fastrecon_jax.core import features, linalg, scoring
from fastrecon_jax.data import datasets, support
from fastrecon_jax.encoders import Encoder
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon
from fastrecon_jax.runtime import compilation_cache, compiler


@dataclasses.dataclass(frozen=True)
class MetaConfig(common.ExampleConfig):
    """Settings of the example."""

    category: tuple[str, ...] = setting(("all",), "categories to learn from, or all: those that are not held out")
    held_out: tuple[str, ...] = setting((), "categories to measure on; by default the last two")
    rank: int = setting(32, "rank of the projection; 0 for none, lam and the stage weights alone")
    steps: int = setting(60, "steps of Adam")
    learning_rate: float = setting(0.01, "at the first step; it falls to 0 along a cosine")
    temperature: float = setting(0.3, "temperature of the loss, in units of log scores")
    queries: int = setting(8, "good and as many defective queries of each category at each step")
    draws: int = setting(5, "random draws of the support to measure with")

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        super().__post_init__()
        for name, least in (("rank", 0), ("steps", 1), ("queries", 1), ("draws", 1)):
            require(self, name, getattr(self, name) >= least, f"it must be at least {least}")
        for name in ("learning_rate", "temperature"):
            require(self, name, getattr(self, name) > 0, "it must be above 0")


class Settings(NamedTuple):
    """What is learned.

    Attributes:
        lam: weight of the distribution term, before the softplus that makes it positive, ().
        stages: logarithm of each stage's weight, (s,).
        projection: projection of the features, P, (c, r); None for none.
    """

    lam: Float[Array, ""]
    stages: Float[Array, " s"]
    projection: Float[Array, "c r"] | None


class Features(NamedTuple):
    """Features of all images of a category; training images are good.

    Attributes:
        train: features of the training images, (n, h, w, c).
        test: features of the test images, (t, h, w, c).
        defective: true for the defective test images, (t,).
    """

    train: Float[np.ndarray, "n h w c"]
    test: Float[np.ndarray, "t h w c"]
    defective: Bool[np.ndarray, " t"]


class Episode(NamedTuple):
    """Features of a support and of queries, all of the same category.

    Attributes:
        support: features of good images, (k, h, w, c).
        good: features of other good images, (q, h, w, c).
        defective: features of defective images, (q, h, w, c).
    """

    support: Float[Array, "k h w c"]
    good: Float[Array, "q h w c"]
    defective: Float[Array, "q h w c"]


def initial(widths: tuple[int, ...], rank: int, key: PRNGKeyArray) -> Settings:
    """Settings that learning starts from; for rank 0 those of the paper: lam 2, equal stages, no projection.

    Args:
        widths: number of channels of each stage.
        rank: rank of the projection, whose columns are random and orthonormal; 0 for none.
        key: random key for the projection.

    Returns:
        The settings.
    """
    projection = jnp.linalg.qr(jax.random.normal(key, (sum(widths), rank)))[0] if rank else None
    # log(exp(2) - 1) is the inverse of the softplus at 2.
    return Settings(jnp.log(jnp.expm1(jnp.float32(2.0))), jnp.zeros(len(widths)), projection)


def embed(settings: Settings, widths: tuple[int, ...], stages: Float[Array, "h w c"]) -> Float[Array, "h w d"]:
    """Weight each stage, then project all of them: x diag(exp w) P.

    Args:
        settings: settings with the weights w and the projection P.
        widths: number of channels of each stage.
        stages: aligned and concatenated stages of one image, (h, w, c).

    Returns:
        Features, (h, w, r), or (h, w, c) without a projection.
    """
    weights = jnp.exp(jnp.repeat(settings.stages, np.array(widths), total_repeat_length=sum(widths)))
    weighted = stages * weights[None, None]
    return weighted if settings.projection is None else linalg.matmul(weighted, settings.projection)


def image_scores(
    settings: Settings, good: Float[Array, "k h w c"], queries: Float[Array, "q h w c"], *, widths: tuple[int, ...]
) -> Float[Array, " q"]:
    """Image scores by FastRecon with these settings.

    Args:
        settings: learned or published settings.
        good: features of the support images, (k, h, w, c).
        queries: features of the query images, (q, h, w, c).
        widths: number of channels of each stage.

    Returns:
        The largest patch score of each query, (q,).
    """
    embedded = jax.vmap(functools.partial(embed, settings, widths))
    state = fastrecon.fit(embedded(good), jax.random.key(0), lam=jax.nn.softplus(settings.lam))
    patches = jax.vmap(fastrecon.score, (None, 0))(state, embedded(queries))
    return jax.vmap(scoring.image_score)(patches)


def ranking_loss(
    settings: Settings, episode: Episode, *, widths: tuple[int, ...], temperature: float
) -> Float[Array, ""]:
    """Mean over pairs of softplus((log s_good - log s_defective) / T): a smooth 1 - AUROC that is free of scale.

    Args:
        settings: settings to evaluate.
        episode: support and queries of one category.
        widths: number of channels of each stage.
        temperature: width of the transition from right to wrong order, T, in units of log scores, above 0.

    Returns:
        The loss, at least 0.
    """
    queries = jnp.concatenate([episode.good, episode.defective])
    scores = jnp.log(image_scores(settings, episode.support, queries, widths=widths))
    good, defective = jnp.split(scores, [len(episode.good)])
    return jax.nn.softplus((good[:, None] - defective[None]) / temperature).mean()


def sample(rng: np.random.Generator, category: Features, *, shots: int, queries: int) -> Episode:
    """Draw an episode in which no support image is a query; where images are few, some queries repeat."""
    order = rng.permutation(len(category.train))
    good = np.concatenate([category.train[order[shots:]], category.test[~category.defective]])
    bad = category.test[category.defective]
    chosen = [x[rng.choice(len(x), queries, replace=len(x) < queries)] for x in (good, bad)]
    return Episode(category.train[order[:shots]], *chosen)


def learn(categories: list[Features], widths: tuple[int, ...], config: MetaConfig) -> tuple[Settings, list[float]]:
    """Minimise the mean loss over an episode of each category with Adam.

    Args:
        categories: features of the categories to learn from.
        widths: number of channels of each stage.
        config: settings of the example.

    Returns:
        The learned settings, and the loss at each step.
    """
    loss = functools.partial(ranking_loss, widths=widths, temperature=config.temperature)
    optimiser = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))

    @jax.jit
    def step(settings, state, episodes):
        value, gradient = jax.value_and_grad(lambda x: jax.vmap(loss, (None, 0))(x, episodes).mean())(settings)
        updates, state = optimiser.update(gradient, state)
        return optax.apply_updates(settings, updates), state, value

    rng = np.random.default_rng(config.seed)
    settings = initial(widths, config.rank, jax.random.key(config.seed))
    state, losses = optimiser.init(settings), []
    for _ in tqdm(range(config.steps), desc="learning", disable=None, leave=False):
        drawn = [sample(rng, category, shots=config.shots, queries=config.queries) for category in categories]
        settings, state, value = step(settings, state, jax.tree.map(lambda *x: jnp.stack(x), *drawn))
        losses.append(float(value))
    return settings, losses


def read_features(
    config: MetaConfig, encoder: Encoder, dataset: datasets.Dataset, names: tuple[str, ...]
) -> dict[str, Features]:
    """Features of each category by name: every image is encoded only once, since the encoder is frozen."""
    program = compiler.jit(lambda encoder, images: jax.vmap(features.combine)(encoder(images)))
    by_name = {}
    for name in tqdm(names, desc="encoding", disable=None, leave=False):
        images = common.read_images(config, dataset.open_category(name))
        encode = functools.partial(program, encoder)
        train, test = (common.in_batches(encode, pixels) for pixels in (images.train, images.test))
        by_name[name] = Features(train, test, images.defective)
    return by_name


def evaluate(name: str, category: Features, settings: Settings, widths: tuple[int, ...], config: MetaConfig) -> float:
    """Mean image AUROC over random draws of the support, in percent."""
    program = jax.jit(functools.partial(image_scores, widths=widths))
    names = [str(i) for i in range(len(category.train))]
    seeds = range(config.draws)
    aurocs = []
    for draw in support.draws("", name, names, shots=config.shots, support=support.RANDOM, seeds=seeds):
        scores = np.asarray(program(settings, category.train[list(draw.indices)], category.test))
        aurocs.append(metrics.auroc(metrics.rank(category.defective, scores)))
    return 100 * float(np.mean(aurocs))


def draw(losses: list[float], before: dict[str, float], after: dict[str, float], held_out: tuple[str, ...]) -> Figure:
    """Plot the loss at each step, and each category's AUROC before and after learning, in percent."""
    figure = Figure(figsize=(10, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=(2, 3))
    left.plot(losses)
    left.set_xlabel("step")
    left.set_ylabel("ranking loss")
    places = np.arange(len(before))
    right.bar(places - 0.2, before.values(), 0.38, label="published settings", color="tab:gray")
    right.bar(places + 0.2, after.values(), 0.38, label="learned settings", color="tab:blue")
    labels = [f"{name}\n{'held out' if name in held_out else 'learned from'}" for name in before]
    right.set_xticks(places, labels, fontsize="small")
    right.set_ylabel("image AUROC, %")
    right.axhline(50, color="black", linestyle=":", linewidth=1)  # chance
    right.set_ylim(0, 100)
    figure.legend(fontsize="small", loc="outside upper right", ncols=2)
    return figure


def split(config: MetaConfig, dataset: datasets.Dataset) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The categories to learn from and those held out.

    Raises:
        InputError: a name is unknown or in both groups, or no category is left to learn from.
    """
    held_out = datasets.select(dataset, config.held_out or dataset.categories[-2:])
    wanted = datasets.select(dataset, config.category)
    learned = tuple(name for name in wanted if name not in held_out)
    if config.category != ("all",) and learned != wanted:
        raise InputError(f"categories cannot be learned from and held out: {', '.join(set(wanted) & set(held_out))}")
    if not learned:
        raise InputError(f"nothing is left to learn from: {', '.join(held_out)} are held out")
    return learned, held_out


def tell(kind: str, names: tuple[str, ...], before: dict[str, float], after: dict[str, float]) -> None:
    """Print a line for each category, and one for their mean."""
    for name in names:
        sys.stdout.write(f"{kind} {name}: image AUROC {before[name]:.1f} % published, {after[name]:.1f} % learned\n")
    means = (float(np.mean([x[name] for name in names])) for x in (before, after))
    sys.stdout.write("{}, mean: image AUROC {:.1f} % published, {:.1f} % learned\n".format(kind, *means))


def main() -> None:
    """Learn on some categories, measure on all of them, and report both groups separately."""
    config = flags.read(MetaConfig)
    compilation_cache.enable()
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    learned_from, held_out = split(config, dataset)
    encoder = common.create_encoder(config)
    widths = common.channels(encoder, config.crop_size)
    if config.rank > sum(widths):
        raise InputError(f"--rank={config.rank} is not allowed: the features have {sum(widths)} channels")
    categories = read_features(config, encoder, dataset, (*learned_from, *held_out))
    learned, losses = learn([categories[name] for name in learned_from], widths, config)
    before, after = (
        {name: evaluate(name, category, settings, widths, config) for name, category in categories.items()}
        for settings in (initial(widths, 0, jax.random.key(0)), learned)
    )
    weights = ", ".join(f"{x:.2f}" for x in np.exp(learned.stages))
    sys.stdout.write(f"lam {jax.nn.softplus(learned.lam):.2f}, stage weights {weights}\n")
    tell("learned from", learned_from, before, after)
    tell("held out", held_out, before, after)
    path = common.save(draw(losses, before, after, held_out), config, "meta_learn.png")
    sys.stdout.write(f"plot in {path}\n")


if __name__ == "__main__":
    flags.define(MetaConfig)
    flags.run(main)
