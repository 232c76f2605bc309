"""Methods that work on images: their support and queries are decoded for them, and they encode these themselves."""

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, UInt8

from fastrecon_jax import detector
from fastrecon_jax.data import copies, loader, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.support import Draw
from fastrecon_jax.detector import Scores
from fastrecon_jax.evaluation import encoding
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.programs import MethodPrograms, Programs
from fastrecon_jax.evaluation.shares import Key, Scored, Share
from fastrecon_jax.methods import Training
from fastrecon_jax.runtime import devices


class Fitted(NamedTuple):
    """The states of all draws of one number of shots, stacked along a first axis, and the seconds that one took."""

    states: Any
    draws: int
    seconds: float


def fit(
    programs: Programs,
    compiled: MethodPrograms,
    category: samples.Category,
    of_shots: Sequence[Draw],
    config: EvalConfig,
    progress: bool,
) -> Fitted:
    """Fit the draws of one number of shots, one after the other; InputError where an image or a loss cannot be used."""
    preprocessing, states, seconds = _preprocessing(compiled, config), [], 0.0
    encoder = devices.first(programs.mesh, programs.encoder)
    keys = detector.keys([draw.seed for draw in of_shots])
    for i, draw in enumerate(of_shots):
        images = _support(compiled, [category.train[j] for j in draw.indices], preprocessing)
        training = Training(_checkpoints(config, category, compiled, draw, i), progress)
        start = time.perf_counter()
        states.append(jax.block_until_ready(compiled.fit(encoder, images, keys[i], training)))
        seconds += time.perf_counter() - start
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *states)
    return Fitted(devices.put(programs.mesh, stacked, devices.COPIED), len(of_shots), seconds / len(of_shots))


def score(
    programs: Programs,
    compiled: MethodPrograms,
    fitted: Mapping[Key, Fitted],
    queries: Sequence[samples.Sample],
    config: EvalConfig,
    advance: Callable[[int], object],
) -> Share:
    """Score images by all states of one method; InputError where an image or a mask cannot be used."""
    preprocessing, mesh = _preprocessing(compiled, config), programs.mesh
    batch_size = devices.rounded(mesh, config.batch_size)
    masks: list[np.ndarray] = []
    scores: dict[Key, list[Scores]] = {key: [] for key in fitted}
    seconds = dict.fromkeys(fitted, 0.0)
    for batch in loader.batches(queries, preprocessing, batch_size=batch_size):
        images = devices.put(mesh, batch.images, devices.SPLIT)
        for key, of_key in fitted.items():
            result, elapsed = encoding.timed(compiled.score, programs.encoder, of_key.states, images)
            scores[key].append(Scores(*(np.asarray(x)[:, : batch.count] for x in result)))
            seconds[key] += elapsed / of_key.draws
        masks.append(_masks(batch, queries[sum(map(len, masks)) :], preprocessing, config))
        advance(batch.count)
    scored = {
        key: Scored(
            np.concatenate([part.patches for part in scores[key]], axis=1),
            np.concatenate([part.image for part in scores[key]], axis=1),
            of_key.seconds,
            seconds[key],
        )
        for key, of_key in fitted.items()
    }
    return Share(np.concatenate(masks), scored)


def _preprocessing(compiled: MethodPrograms, config: EvalConfig) -> Preprocessing:
    """That of the run, at the method's size: the same part of each photograph."""
    images = compiled.method.images
    side = images.sides[0] if images else config.crop_size
    usual = config.preprocessing
    return usual._replace(image_size=max(side, round(usual.image_size * side / usual.crop_size)), crop_size=side)


def _masks(
    batch: loader.Batch, rest: Sequence[samples.Sample], own: Preprocessing, config: EvalConfig
) -> Bool[np.ndarray, "n H W"]:
    """The masks of a batch at the run's size, whatever the method's; `rest` begins with the images of the batch."""
    if own.kept == config.preprocessing.kept:
        return batch.masks
    pairs = zip(rest, batch.sizes, strict=False)
    return np.stack([samples.load_mask(sample, size, config.preprocessing) for sample, size in pairs])


def _support(
    compiled: MethodPrograms, chosen: Sequence[samples.Sample], preprocessing: Preprocessing
) -> UInt8[np.ndarray, "k H W 3"]:
    """Support images, and behind them the copies that were asked for, which count as more of them."""
    images = [samples.load_image(sample, samples.read(sample), preprocessing).pixels for sample in chosen]
    if kinds := compiled.method.copies:
        images += [copy for image in images for copy in copies.make(image, kinds)]
    return np.stack(images)


def _checkpoints(
    config: EvalConfig, category: samples.Category, compiled: MethodPrograms, draw: Draw, number: int
) -> Path | None:
    """Where one draw's training keeps its checkpoints: each process of several has folders of its own."""
    if not config.checkpoint_dir:
        return None
    name = f"{compiled.method.name}_{len(draw.indices)}shots_draw{number}"
    if jax.process_count() > 1:
        name += f"_process{jax.process_index()}"
    return Path(config.checkpoint_dir) / category.name / name
