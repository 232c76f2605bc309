"""One category: encode each image once, fit every draw of the support, score the queries against all of them."""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from tqdm import tqdm

from fastrecon_jax import detector as detectors
from fastrecon_jax.data import samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.data.support import Draw, draws
from fastrecon_jax.detector import Scores
from fastrecon_jax.evaluation.programs import MethodPrograms, Programs
from fastrecon_jax.evaluation import encoding, shares
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.shares import Share
from fastrecon_jax.methods import Method
from fastrecon_jax.runtime import devices


class Run(NamedTuple):
    """The scores of one category, method, number of shots and draw.

    Attributes:
        method: which.
        shots: number of support images.
        draw: which.
        images: image scores, (n,).
        patches: patch scores, (n, h, w).
        fit_seconds: to encode the support and fit, without compilation, decoding and resizing; None if all features
            came from the cache.
        score_seconds: to encode and score all queries, likewise.
    """

    method: Method
    shots: int
    draw: Draw
    images: Float[np.ndarray, " n"]
    patches: Float[np.ndarray, "n h w"]
    fit_seconds: float | None
    score_seconds: float | None


class Fitted(NamedTuple):
    """The states of all draws of one method and number of shots, stacked."""

    programs: MethodPrograms
    draws: int
    states: Any
    seconds: float | None


class Evaluated(NamedTuple):
    """All of a category.

    Attributes:
        queries: the test images, in order.
        masks: (n, H, W).
        runs: one for each method, number of shots and draw.
    """

    queries: tuple[samples.Sample, ...]
    masks: Bool[np.ndarray, "n H W"]
    runs: list[Run]


def choose(dataset: str, category: samples.Category, config: EvalConfig) -> dict[int, tuple[Draw, ...]]:
    """The support draws of a category for each number of shots.

    Args:
        dataset: name of the data set, for support lists.
        category: whose training images are drawn from.
        config: shots, support, seeds.

    Returns:
        Draws by number of shots.

    Raises:
        InputError: the support list does not fit.
    """
    names = [sample.name for sample in category.train]
    return {
        shots: draws(dataset, category.name, names, shots=shots, support=config.support, seeds=config.seeds)
        for shots in config.shots
    }


def score(
    programs: Programs,
    category: samples.Category,
    chosen: dict[int, tuple[Draw, ...]],
    config: EvalConfig,
    cache: FeatureCache | None = None,
    *,
    member: int = 0,
    members: int = 1,
    progress: bool = True,
) -> Share | None:
    """Score test images of a category by every method, number of shots and draw; each image is encoded once.

    Args:
        detector: encoder and methods.
        category: checked, see `samples.check`.
        chosen: the support draws for each number of shots, from `choose`.
        config: sizes of images and batches, number of queries.
        cache: of features, or None.
        member: which part of the images this process has, from 0.
        members: how many processes divide them; each of them fits.
        progress: show it on a terminal.

    Returns:
        The scores of this part; None if there are fewer images than members and none is left for this one.

    Raises:
        InputError: an image or a mask cannot be used.
    """
    queries = samples.subset(category.test, config.max_queries)
    queries = queries[shares.part(len(queries), member, members)]
    if not queries:
        return None
    fitted = _fit(detector, category, chosen, config, cache)
    stream = encoding.stream(detector, queries, config, cache)
    bar = tqdm(total=len(queries), desc=category.name, unit="image", disable=None if progress else True, leave=False)
    with bar:
        return _score(fitted, stream, bar.update)


def together(
    programs: Programs,
    category: samples.Category,
    chosen: dict[int, tuple[Draw, ...]],
    config: EvalConfig,
    parts: Sequence[Share | None],
) -> Evaluated:
    """The evaluation of a category from the scores of all its test images.

    Args:
        detector: as for `score`.
        category: likewise.
        chosen: likewise.
        config: likewise.
        parts: what `score` returned for each member, in order.

    Returns:
        All of it.
    """
    whole = shares.joined([share for share in parts if share is not None])
    runs = [
        Run(method, shots, draw, images, patches, fit_seconds, score_seconds)
        for (method, shots, of_shots), scores, fit_seconds, score_seconds in zip(
            _tasks(detector, chosen), whole.scores, whole.fit_seconds, whole.score_seconds, strict=True
        )
        for draw, patches, images in zip(of_shots, *scores, strict=True)
    ]
    return Evaluated(samples.subset(category.test, config.max_queries), whole.masks, runs)


def _tasks(programs: Programs, chosen: dict[int, tuple[Draw, ...]]) -> list[tuple[Method, int, tuple[Draw, ...]]]:
    """Method, number of shots and draws that are fitted in one program, in order."""
    return [
        (programs.method, shots, of_shots)
        for programs, (shots, of_shots) in itertools.product(detector.methods, chosen.items())
    ]


def _fit(
    programs: Programs,
    category: samples.Category,
    chosen: dict[int, tuple[Draw, ...]],
    config: EvalConfig,
    cache: FeatureCache | None,
) -> list[Fitted]:
    """Encode the union of all supports, then fit the draws of each method and number of shots in one program."""
    union = sorted({index for of_shots in chosen.values() for draw in of_shots for index in draw.indices})
    place = {index: i for i, index in enumerate(union)}
    encoded = list(encoding.stream(detector, [category.train[i] for i in union], config, cache))
    batches = [[x[: e.count] for x in devices.first(programs.mesh, e.stages)] for e in encoded]
    stages = [jnp.concatenate(parts) for parts in zip(*batches, strict=True)]
    clock = _Clock.of(encoded)
    painted = any(of_method.method.copies for of_method in programs.methods)
    copies = encoding.defective_copies(detector, [category.train[i] for i in union], config) if painted else ()
    fitted = []
    for programs, (shots, of_shots) in itertools.product(detector.methods, chosen.items()):
        rows = jnp.asarray([[place[i] for i in draw.indices] for draw in of_shots])
        supports = tuple(stage[rows] for stage in stages)
        more = (tuple(jnp.asarray(stage[np.asarray(rows)]) for stage in copies),) if of_method.method.copies else ()
        keys = detector.keys([draw.seed for draw in of_shots])
        states, seconds = encoding.timed(programs.fit, supports, keys, *more)
        states = devices.put(programs.mesh, states, devices.COPIED)
        fitted.append(Fitted(programs, len(of_shots), states, clock.seconds(shots, seconds / len(of_shots))))
    return fitted


def _score(fitted: Sequence[Fitted], stream: Iterable[encoding.Encoded], advance: Callable[[int], object]) -> Share:
    """Score each batch of queries against all states as it comes; only patch scores are kept."""
    masks, scores, seconds, clock = [], [[] for _ in fitted], [0.0] * len(fitted), _Clock()
    for encoded in stream:
        clock = clock.add(encoded)
        for i, one in enumerate(fitted):
            result, elapsed = encoding.timed(one.programs.score, one.states, encoded.stages)
            scores[i].append([np.asarray(x)[:, : encoded.count] for x in result])
            seconds[i] += elapsed / one.draws
        masks.append(encoded.masks)
        advance(encoded.count)
    images = sum(map(len, masks))
    return Share(
        np.concatenate(masks),
        tuple(Scores(*(np.concatenate(x, axis=1) for x in zip(*batches, strict=True))) for batches in scores),
        tuple(one.seconds for one in fitted),
        tuple(clock.seconds(images, elapsed) for elapsed in seconds),
    )


class _Clock(NamedTuple):
    """Seconds and images of the encoder."""

    total: float = 0.0
    passed: int = 0

    def add(self, encoded: encoding.Encoded) -> "_Clock":
        return _Clock(self.total + encoded.seconds, self.passed + encoded.passed)

    @classmethod
    def of(cls, batches: Iterable[encoding.Encoded]) -> "_Clock":
        return functools.reduce(cls.add, batches, cls())

    def seconds(self, images: int, more: float) -> float | None:
        """Time to encode so many images and to do more; None if no image went through the encoder."""
        return images * self.total / self.passed + more if self.passed else None


def maps(programs: Programs, patches: Float[np.ndarray, "n h w"], *, batch_size: int) -> Float[np.ndarray, "n H W"]:
    """Anomaly maps of many images, in batches of one shape.

    Args:
        detector: whose maps.
        patches: patch scores, (n, h, w).
        batch_size: images at a time.

    Returns:
        (n, H, W), float32.
    """
    return devices.in_batches(detector.maps, patches, over=programs.mesh, batch_size=batch_size)
