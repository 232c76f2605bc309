"""How long the runs will take on this machine, from about a minute of measuring for each encoder."""

import dataclasses
import time
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import numpy as np

from fastrecon_jax.data import samples
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import encoding, figures, setup
from fastrecon_jax.evaluation.config import EvalConfig

IMAGES = 16  # test images that are measured


class Speed(NamedTuple):
    """Seconds, measured with one draw of the support.

    Attributes:
        encode: to read and encode an image.
        feature_bytes: of the features of an image, which are kept while a run lasts.
        compile: to compile the programs of one method and number of shots; once a run.
        metrics: to compute all metrics of one method, number of shots and draw, for each test image.
        fit: to fit one draw, by method and number of shots.
        score: to score an image against one draw, likewise.
    """

    encode: float
    feature_bytes: int
    compile: float
    metrics: float
    fit: dict[str, dict[int, float]]
    score: dict[str, dict[int, float]]


def key(config: EvalConfig) -> str:
    """What a measured speed holds for."""
    return f"{config.encoder} {config.crop_size} {config.batch_size} {','.join(config.method_names())}"


def measure(config: EvalConfig) -> Speed:
    """Evaluate a few images of the first category with one draw, and the fewest and the most shots.

    The weights are random: they do not change the time, and nothing is downloaded for it.
    """
    config = dataclasses.replace(
        config,
        category=config.category[:1],
        shots=tuple(sorted({min(config.shots), max(config.shots)})),
        seeds=config.seeds[:1],
        max_queries=IMAGES,
        weights=RANDOM,
        feature_cache="",
        output_dir="",
    )
    opened = setup.open_setup(config)
    (category,) = opened.categories
    own, _ = setup.of_category(opened, category)
    queries = scoring.queries(category, own)
    list(encoding.stream(opened.programs, queries, own, None))  # compiles
    encode, through, size = _encode(opened, queries, own)
    start = time.perf_counter()
    share = scoring.score(opened.programs, category, opened.draws[category.name], own, progress=False)
    elapsed = time.perf_counter() - start
    figures.measure(opened, category, share)  # compiles
    start = time.perf_counter()
    figures.measure(opened, category, share)
    metrics = (time.perf_counter() - start) / (len(share.scored) * len(queries))
    own = {compiled.method.name for compiled in opened.programs.methods if compiled.method.images}
    fit: dict[str, dict[int, float]] = {}
    score: dict[str, dict[int, float]] = {}
    for (method, shots), scored in share.scored.items():
        # Both times contain the encoder's, which all methods share but those that work on images.
        common = 0.0 if method in own else through
        alone = (scored.score_seconds or 0) / len(queries) - common
        fit.setdefault(method, {})[shots] = max((scored.fit_seconds or 0) - shots * common, 0.0)
        score.setdefault(method, {})[shots] = max(alone, 0.0)
    known = sum(map(sum, (of.values() for of in fit.values())))
    known += len(queries) * (encode + sum(map(sum, (of.values() for of in score.values()))))
    return Speed(encode, size, max(elapsed - known, 0.0) / len(share.scored), metrics, fit, score)


def _encode(opened: setup.Setup, queries: Iterable[samples.Sample], config: EvalConfig) -> tuple[float, float, int]:
    """Seconds an image, with reading and decoding and in the encoder alone, and the bytes of its features."""
    start = time.perf_counter()
    batches = list(encoding.stream(opened.programs, queries, config, None))
    count = sum(batch.count for batch in batches)
    elapsed = time.perf_counter() - start
    size = sum(stage.nbytes // len(stage) for stage in batches[0].stages)
    return elapsed / count, sum(batch.seconds for batch in batches) / count, size


def seconds(speed: Speed, config: EvalConfig, images: Mapping[str, tuple[int, int]]) -> float:
    """How long a run takes: images are encoded once, the rest is done for each method, number of shots and draw.

    Takes the numbers of training and test images of its categories. Between measured numbers of shots times are
    interpolated.
    """
    draws, methods = len(config.seeds), config.method_names()
    encoded = _encoded(config, images)
    pairs = [(method, shots) for method in methods for shots in config.shots]
    fit = sum(_at(speed.fit[method], shots) for method, shots in pairs)
    score = sum(_at(speed.score[method], shots) + speed.metrics for method, shots in pairs)
    total = speed.compile * len(pairs) + encoded * speed.encode
    return total + sum(draws * (fit + test * score) for _, test in images.values())


def disk(speed: Speed, config: EvalConfig, images: Mapping[str, tuple[int, int]]) -> int:
    """Bytes of the features that a run keeps on disk; arguments as `seconds` has them."""
    return _encoded(config, images) * speed.feature_bytes


def _encoded(config: EvalConfig, images: Mapping[str, tuple[int, int]]) -> int:
    """How many images go through the encoder, at most."""
    most = len(config.seeds) * max(config.shots)
    return sum(min(most, train) + test for train, test in images.values())


def _at(by_shots: Mapping[int, float], shots: int) -> float:
    known = sorted(by_shots)
    return float(np.interp(shots, known, [by_shots[k] for k in known]))


def as_json(speed: Speed) -> dict[str, Any]:
    """For a file of measured speeds."""
    return speed._asdict()


def from_json(values: Mapping[str, Any]) -> Speed:
    """What `as_json` gave; numbers of shots were made strings by JSON."""
    tables = {
        name: {method: {int(k): s for k, s in of.items()} for method, of in values[name].items()}
        for name in ("fit", "score")
    }
    return Speed(**{**values, **tables})


def shown(total: float) -> str:
    """Such as `40 s`, `12 min` and `3.5 h`."""
    if total < 90:
        return f"{total:.0f} s"
    return f"{total / 60:.0f} min" if total < 5400 else f"{total / 3600:.1f} h"
