"""Adversarial attack: invisible changes of a part's pixels that turn the verdict, by projected gradient steps.

    python examples/adversarial.py --category=circuit

Good parts are made to look defective, and defective parts good, by at most --budgets grey levels in each pixel. The
result is again an 8-bit image.
"""

import dataclasses
import functools
import sys
from collections.abc import Callable
from typing import NamedTuple

import common
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray, UInt8
from matplotlib.figure import Figure, FigureBase
from tqdm import tqdm

from fastrecon_jax import metrics, overlay
from fastrecon_jax.command_line import flags
from fastrecon_jax.command_line.fields import check_list, require, setting
from fastrecon_jax.core import scoring
from fastrecon_jax.runtime import compilation_cache, compiler

POWER = 16.0  # power of the smooth maximum that is attacked; the reported scores are the exact maximum


@dataclasses.dataclass(frozen=True)
class AdversarialConfig(common.ExampleConfig):
    """Settings of the example."""

    category: str = setting("circuit", "category")
    max_images: int = setting(16, "test images, evenly good and defective where the category has both; 0 for all")
    budgets: tuple[int, ...] = setting((1, 2, 4, 8), "largest changes of a pixel, in grey levels, 1 to 255")
    steps: int = setting(10, "steps of the ascent")

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        super().__post_init__()
        check_list(self, "budgets")
        require(self, "budgets", all(1 <= x <= 255 for x in self.budgets), "each must be from 1 to 255")
        require(self, "steps", self.steps >= 1, "it must be at least 1")


class Scores(NamedTuple):
    """Image scores of the test images with one budget.

    Attributes:
        budget: largest change of a pixel, in grey levels; 0 for the original images.
        attacked: image scores after the attack, (t,).
        noise: image scores after random changes of the same size, (t,).
    """

    budget: int
    attacked: Float[np.ndarray, " t"]
    noise: Float[np.ndarray, " t"]


def attack(
    objective: Callable[[Float[Array, "b H W 3"]], Float[Array, ""]],
    images: UInt8[Array, "b H W 3"],
    key: PRNGKeyArray,
    *,
    budget: Float[Array, ""],
    steps: int,
) -> UInt8[Array, "b H W 3"]:
    """Projected gradient ascent, x ← Π(x + a sign ∇f(x)), a = 2.5 ε / steps, from a random point within the budget.

    Args:
        objective: function f of the images to maximise, a sum over the images.
        images: RGB images, (b, H, W, 3), 0 to 255.
        key: random key for the starting point.
        budget: largest change of a pixel, ε, a whole number of grey levels.
        steps: number of steps, at least 1.

    Returns:
        The changed images, rounded to 8 bits, (b, H, W, 3).

    References:
        Madry et al., Towards deep learning models resistant to adversarial attacks, ICLR 2018.
    """
    original = images.astype(jnp.float32)
    # Π clips to the budget around the original, and to 0..255.
    low, high = jnp.maximum(original - budget, 0.0), jnp.minimum(original + budget, 255.0)

    def step(_, x):
        return jnp.clip(x + 2.5 * budget / steps * jnp.sign(jax.grad(objective)(x)), low, high)

    start = jnp.clip(original + budget * jax.random.uniform(key, original.shape, minval=-1.0), low, high)
    # The bounds are whole numbers, so rounding does not leave the budget.
    return jnp.round(jax.lax.fori_loop(0, steps, step, start)).astype(jnp.uint8)


def attacker(part: common.Part, steps: int) -> Callable[..., UInt8[Array, "b H W 3"]]:
    """The program that attacks a batch: (encoder, state, images, signs, budget, key) -> changed images.

    A sign of 1 raises the score of its image, a sign of -1 lowers it.
    """

    def run(encoder, state, images, signs, budget, key):
        def objective(x):
            patches = part.patch_scores(encoder, state, x)
            return (signs * jax.vmap(lambda image: common.smooth_maximum(image, POWER))(patches)).sum()

        return attack(objective, images, key, budget=budget, steps=steps)

    return compiler.jit(run)


def random_signs(images: UInt8[np.ndarray, "t H W 3"], budget: int, seed: int) -> UInt8[np.ndarray, "t H W 3"]:
    """Images with every value changed by the budget, up or down at random, to show the effect of the size alone."""
    signs = np.random.default_rng(seed).choice([-budget, budget], images.shape)
    return np.clip(images.astype(np.int64) + signs, 0, 255).astype(np.uint8)


def measure(
    part: common.Part, config: AdversarialConfig
) -> tuple[list[Scores], dict[int, UInt8[np.ndarray, "t H W 3"]]]:
    """Attack all test images with each budget: scores, those of the original images first, and images by budget."""
    images, program = part.images.test, attacker(part, config.steps)
    # Raise the scores of good parts, lower those of defective ones.
    signs = np.where(part.images.defective, -1, 1).astype(np.float32)
    clean = image_scores(part, images)
    scores, changed = [Scores(0, clean, clean)], {}
    for budget in tqdm(config.budgets, desc="budgets", disable=None, leave=False):

        def run(x, y, budget=budget):
            return program(part.encoder, part.state, x, y, jnp.float32(budget), jax.random.key(config.seed))

        changed[budget] = common.in_batches(run, images, signs)
        noise = image_scores(part, random_signs(images, budget, config.seed))
        scores.append(Scores(budget, image_scores(part, changed[budget]), noise))
    return scores, changed


def image_scores(part: common.Part, images: UInt8[np.ndarray, "t H W 3"]) -> Float[np.ndarray, " t"]:
    """The published image score, the largest patch score."""
    return patch_scores(part, images).max(axis=(1, 2))


def patch_scores(part: common.Part, images: UInt8[np.ndarray, "t H W 3"]) -> Float[np.ndarray, "t h w"]:
    """Patch scores of any number of images."""
    return common.in_batches(functools.partial(part.patch_scores, part.encoder, part.state), images)


def auroc(part: common.Part, scores: Float[np.ndarray, " t"]) -> float:
    """Image AUROC of scores of the test images, in percent."""
    return 100 * metrics.auroc(metrics.rank(part.images.defective, scores))


def draw(part: common.Part, scores: list[Scores], changed: UInt8[np.ndarray, "t H W 3"], budget: int) -> Figure:
    """The clearest good and defective part before and after the attack with `budget`, and scores against budgets."""
    figure = Figure(figsize=(14, 4.6), layout="constrained")
    pictures, curves = figure.subfigures(1, 2, width_ratios=(10, 4))
    clean, bad = scores[0].attacked, part.images.defective
    rows = np.stack([np.where(bad, np.inf, clean).argmin(), np.where(bad, clean, -np.inf).argmax()])
    pairs = np.concatenate([part.images.test[rows], changed[rows]])
    to_map = functools.partial(scoring.anomaly_map, height=pairs.shape[1], width=pairs.shape[2])
    maps = np.asarray(jax.vmap(to_map)(patch_scores(part, pairs)))
    colours = overlay.colour(maps, low=float(np.median(maps)), high=float(maps.max()))
    difference = pairs[2:].astype(np.int64) - pairs[:2]
    magnified = np.clip(128 + difference * (127 // budget), 0, 255).astype(np.uint8)
    titles = ("image", f"changed by up to {budget}", f"change x {127 // budget}", "map before", "map after")
    for i, axes in enumerate(pictures.subplots(2, 5)):
        columns = (pairs[i], pairs[2 + i], magnified[i], colours[i], colours[2 + i])
        for panel, picture, title in zip(axes, columns, titles, strict=True):
            panel.imshow(picture)
            panel.set_axis_off()
            panel.set_title(title if i == 0 else "", fontsize="medium")
    _draw_curves(curves, part, scores)
    return figure


def _draw_curves(figure: FigureBase, part: common.Part, scores: list[Scores]) -> None:
    axes = figure.subplots()
    budgets = np.arange(len(scores))
    for label, colour, rows in (
        ("good", "tab:green", ~part.images.defective),
        ("defective", "tab:red", part.images.defective),
    ):
        for kind, style in (("attacked", "-"), ("noise", ":")):
            values = np.stack([getattr(result, kind)[rows] for result in scores])
            axes.plot(budgets, values.mean(axis=1), style, marker="o", color=colour, label=f"{label}, {kind}")
            if kind == "attacked":
                axes.fill_between(budgets, values.min(axis=1), values.max(axis=1), color=colour, alpha=0.15)
    axes.set_xticks(budgets, [str(result.budget) for result in scores])
    axes.set_xlabel("budget, grey levels")
    axes.set_ylabel("image score (mean; least to largest)")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def main() -> None:
    """Attack the test images of a category, report the scores and draw two parts."""
    config = flags.read(AdversarialConfig)
    compilation_cache.enable()
    part = common.open_part(config, config.category)
    scores, changed = measure(part, config)
    bad = part.images.defective
    for budget, attacked, noise in scores:
        sys.stdout.write(
            f"budget {budget}: good {attacked[~bad].mean():.2f} (noise {noise[~bad].mean():.2f}), "
            f"defective {attacked[bad].mean():.2f} (noise {noise[bad].mean():.2f}), "
            f"AUROC {auroc(part, attacked):.1f} % (noise {auroc(part, noise):.1f} %)\n"
        )
    budget = min(config.budgets)
    path = common.save(draw(part, scores, changed[budget], budget), config, f"adversarial_{config.category}.png")
    sys.stdout.write(f"plot in {path}\n")


if __name__ == "__main__":
    flags.define(AdversarialConfig)
    flags.run(main)
