"""One category: encode each image once, fit every draw of the support, score the queries against all of them."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from fastrecon_jax import detector as detectors
from fastrecon_jax.config import EvalConfig
from fastrecon_jax.data import loader, samples
from fastrecon_jax.data.support import Draw, draws
from fastrecon_jax.detector import Detector, Scores


class Run(NamedTuple):
    """The scores of one category, number of shots and draw.

    Attributes:
        shots: number of support images.
        draw: which.
        images: image scores, (n,).
        patches: patch scores, (n, h, w).
        fit_seconds: to encode the support and fit, without compilation, decoding and resizing.
        score_seconds: to encode and score all queries, likewise.
    """

    shots: int
    draw: Draw
    images: Float[np.ndarray, " n"]
    patches: Float[np.ndarray, "n h w"]
    fit_seconds: float
    score_seconds: float


class Fitted(NamedTuple):
    """The states of all draws of one number of shots, stacked."""

    shots: int
    draws: tuple[Draw, ...]
    states: Any
    seconds: float


class Evaluated(NamedTuple):
    """All of a category.

    Attributes:
        queries: the test images, in order.
        masks: (n, H, W).
        runs: one for each number of shots and draw.
    """

    queries: tuple[samples.Sample, ...]
    masks: Bool[np.ndarray, "n H W"]
    runs: list[Run]


def choose(category: samples.Category, config: EvalConfig) -> dict[int, tuple[Draw, ...]]:
    """The support draws of a category for each number of shots.

    Args:
        category: whose training images are drawn from.
        config: shots, support, seeds.

    Returns:
        Draws by number of shots.

    Raises:
        InputError: the support list does not fit.
    """
    names = [sample.name for sample in category.train]
    return {
        shots: draws(category.name, names, shots=shots, support=config.support, seeds=config.seeds)
        for shots in config.shots
    }


def evaluate(detector: Detector, category: samples.Category, config: EvalConfig) -> Evaluated:
    """Score the test images of a category for every number of shots and every draw; each image is encoded once.

    Args:
        detector: encoder and method.
        category: checked, see `samples.check`.
        config: shots, support, seeds, sizes.

    Returns:
        The scores.

    Raises:
        InputError: an image or a mask cannot be used, or the support list does not fit.
    """
    chosen = choose(category, config)
    queries = samples.subset(category.test, config.max_queries)
    fitted = _fit(detector, category, chosen, config)
    return _score(detector, queries, fitted, category.name, config)


def _fit(
    detector: Detector, category: samples.Category, chosen: dict[int, tuple[Draw, ...]], config: EvalConfig
) -> list[Fitted]:
    """Encode the union of all supports, then fit the draws of each number of shots in one program."""
    union = sorted({index for of_shots in chosen.values() for draw in of_shots for index in draw.indices})
    place = {index: i for i, index in enumerate(union)}
    batches = loader.batches([category.train[i] for i in union], **_sizes(config))
    encoded = [(batch.count, *_encode(detector, batch)) for batch in batches]
    stages = [
        jnp.concatenate(parts) for parts in zip(*([x[:count] for x in one] for count, one, _ in encoded), strict=True)
    ]
    each = sum(seconds for *_, seconds in encoded) / len(union)
    fitted = []
    for shots, of_shots in chosen.items():
        rows = jnp.asarray([[place[i] for i in draw.indices] for draw in of_shots])
        supports = tuple(stage[rows] for stage in stages)
        states, elapsed = timed(detector.fit, supports, detectors.keys([draw.seed for draw in of_shots]))
        fitted.append(Fitted(shots, of_shots, states, shots * each + elapsed / len(of_shots)))
    return fitted


def _score(
    detector: Detector, queries: tuple[samples.Sample, ...], fitted: Sequence[Fitted], name: str, config: EvalConfig
) -> Evaluated:
    """Stream the queries through the encoder and score each batch against all states; only patch scores are kept."""
    masks, scores, encode_seconds = [], [[] for _ in fitted], 0.0
    score_seconds = [0.0] * len(fitted)
    with tqdm(total=len(queries), desc=name, unit="image", disable=None, leave=False) as progress:
        for batch in loader.batches(queries, **_sizes(config)):
            stages, seconds = _encode(detector, batch)
            encode_seconds += seconds
            for i, of_shots in enumerate(fitted):
                result, seconds = timed(detector.score, of_shots.states, stages)
                scores[i].append([np.asarray(x)[:, : batch.count] for x in result])
                score_seconds[i] += seconds / len(of_shots.draws)
            masks.append(batch.masks)
            progress.update(batch.count)
    runs = []
    for of_shots, batches, seconds in zip(fitted, scores, score_seconds, strict=True):
        together = Scores(*(np.concatenate(parts, axis=1) for parts in zip(*batches, strict=True)))
        for draw, patches, images in zip(of_shots.draws, *together, strict=True):
            runs.append(Run(of_shots.shots, draw, images, patches, of_shots.seconds, encode_seconds + seconds))
    return Evaluated(queries, np.concatenate(masks), runs)


def _encode(detector: Detector, batch: loader.Batch) -> tuple[detectors.Stages, float]:
    return timed(detector.encode, detector.params, jnp.asarray(batch.images))


def timed(program: Callable, *arguments: Any) -> tuple[Any, float]:
    """Run a jitted program, compiled beforehand, once for each shape.

    Args:
        program: jitted.
        arguments: its arguments.

    Returns:
        Its result, and the seconds it took without compilation.
    """
    compiled = program.lower(*arguments).compile()
    start = time.perf_counter()
    result = jax.block_until_ready(compiled(*arguments))
    return result, time.perf_counter() - start


def _sizes(config: EvalConfig) -> dict[str, int]:
    return {"batch_size": config.batch_size, "image_size": config.image_size, "crop_size": config.crop_size}


def maps(detector: Detector, patches: Float[np.ndarray, "n h w"], *, batch_size: int) -> Float[np.ndarray, "n H W"]:
    """Anomaly maps of many images, in batches of one shape.

    Args:
        detector: whose maps.
        patches: patch scores, (n, h, w).
        batch_size: images at a time.

    Returns:
        (n, H, W), float32.
    """
    parts = []
    for start in range(0, len(patches), batch_size):
        part = patches[start : start + batch_size]
        padded = np.pad(part, ((0, batch_size - len(part)), (0, 0), (0, 0)))
        parts.append(np.asarray(detector.maps(jnp.asarray(padded)))[: len(part)])
    return np.concatenate(parts)
