"""One category: encode each image once, fit every draw of the support, score the test images against all of them."""

import functools
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from tqdm import tqdm

from fastrecon_jax import detector
from fastrecon_jax.data import samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.data.support import Draw, draws
from fastrecon_jax.detector import Scores, Stages
from fastrecon_jax.evaluation import encoding, on_images
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.programs import MethodPrograms, Programs
from fastrecon_jax.evaluation.shares import Key, Scored, Share
from fastrecon_jax.runtime import devices

Draws = dict[int, tuple[Draw, ...]]  # of the support, by the number of shots


class Fitted(NamedTuple):
    """The states of all draws of one method and number of shots, stacked along a first axis."""

    programs: MethodPrograms
    draws: int
    states: Any
    seconds: float | None


def choose(dataset: str, category: samples.Category, config: EvalConfig) -> Draws:
    """The support draws of a category for each number of shots; InputError where a support list does not fit."""
    names = [sample.name for sample in category.train]
    return {
        shots: draws(dataset, category.name, names, shots=shots, support=config.support, seeds=config.seeds)
        for shots in config.shots
    }


def keys(programs: Programs, chosen: Draws) -> list[Key]:
    """What there is a result for, in the order of the tables."""
    return [Key(compiled.method.name, shots) for compiled, shots in itertools.product(programs.methods, chosen)]


class Parts(NamedTuple):
    """The images of a category that are scored, in this order.

    Attributes:
        tested: the test images, which are measured.
        validation: good images, on which a threshold is found.
        private: test images whose labels are not published, and whose maps are written.
    """

    tested: tuple[samples.Sample, ...]
    validation: tuple[samples.Sample, ...] = ()
    private: tuple[samples.Sample, ...] = ()


def parts(category: samples.Category, config: EvalConfig) -> Parts:
    """What the settings ask for: validation images where a threshold is needed, private ones for a submission."""
    return Parts(
        samples.subset(category.test, config.max_queries),
        category.validation if "seg_f1" in category.figures or config.submission else (),
        category.private if config.submission else (),
    )


def queries(category: samples.Category, config: EvalConfig) -> tuple[samples.Sample, ...]:
    """The images that are scored."""
    return tuple(itertools.chain(*parts(category, config)))


def score(
    programs: Programs,
    category: samples.Category,
    chosen: Draws,
    config: EvalConfig,
    cache: FeatureCache | None = None,
    *,
    part: slice = slice(None),
    progress: bool = True,
) -> Share:
    """Score test images of a category by every method, number of shots and draw.

    Each image is encoded once for all methods that work on features, and again for each that works on images.

    Args:
        programs: the compiled encoder and methods.
        category: checked, see `samples.check`.
        chosen: the support draws, from `choose`.
        config: sizes of images and batches, number of test images.
        cache: features that are kept on disk, or None.
        part: which of the test images, at least one; by default all.
        progress: show it on a terminal.

    Returns:
        The scores of this part.

    Raises:
        InputError: an image or a mask cannot be used.
    """
    images = queries(category, config)[part]
    features = [compiled for compiled in programs.methods if compiled.method.images is None]
    others = [compiled for compiled in programs.methods if compiled.method.images is not None]
    fitted = _fit(programs, features, category, chosen, config, cache) if features else {}
    trained = {
        Key(compiled.method.name, shots): on_images.fit(programs, compiled, category, of_shots, config, progress)
        for compiled, (shots, of_shots) in itertools.product(others, chosen.items())
    }
    passes = bool(features) + len(others)
    with tqdm(
        total=passes * len(images), desc=category.name, unit="image", disable=None if progress else True, leave=False
    ) as bar:
        shares = [_score(fitted, encoding.stream(programs, images, config, cache), bar.update)] if features else []
        for compiled in others:
            own = {key: of_key for key, of_key in trained.items() if key.method == compiled.method.name}
            shares.append(on_images.score(programs, compiled, own, images, config, bar.update))
    return Share(shares[0].masks, {key: scored for share in shares for key, scored in share.scored.items()})


def _fit(
    programs: Programs,
    chosen_methods: Sequence[MethodPrograms],
    category: samples.Category,
    chosen: Draws,
    config: EvalConfig,
    cache: FeatureCache | None,
) -> dict[Key, Fitted]:
    """Encode the union of all supports once, then fit the draws of each method and number of shots in one program."""
    union = sorted({index for of_shots in chosen.values() for draw in of_shots for index in draw.indices})
    place = {index: i for i, index in enumerate(union)}
    images = [category.train[i] for i in union]
    stages, clock = _encoded(programs, images, config, cache)
    kinds = {kind for compiled in chosen_methods for kind in compiled.method.copies}
    changed = {kind: encoding.encode_copies(programs, images, config, kind) for kind in sorted(kinds)}
    fitted = {}
    for compiled, (shots, of_shots) in itertools.product(chosen_methods, chosen.items()):
        rows = np.asarray([[place[i] for i in draw.indices] for draw in of_shots])  # (d, k)
        supports = tuple(stage[jnp.asarray(rows)] for stage in stages)
        arguments = (supports, detector.keys([draw.seed for draw in of_shots]))
        encoded = shots
        if own := compiled.method.copies:
            # Kind by kind behind each other, (d, k, n, h_i, w_i, c_i).
            copies = tuple(
                np.concatenate([stage[rows] for stage in of_kinds], axis=2)
                for of_kinds in zip(*(changed[kind] for kind in own), strict=True)
            )
            arguments += (tuple(map(jnp.asarray, copies)),)
            encoded += shots * copies[0].shape[2]
        states, seconds = encoding.timed(compiled.fit, *arguments)
        states = devices.put(programs.mesh, states, devices.COPIED)
        seconds = clock.seconds(encoded, seconds / len(of_shots))
        fitted[Key(compiled.method.name, shots)] = Fitted(compiled, len(of_shots), states, seconds)
    return fitted


def _encoded(
    programs: Programs, images: Sequence[samples.Sample], config: EvalConfig, cache: FeatureCache | None
) -> tuple[Stages, "_Clock"]:
    """The stages of images on the first device, and what the encoder took."""
    batches = list(encoding.stream(programs, images, config, cache))
    # The last batch is padded.
    parts = [[stage[: batch.count] for stage in devices.first(programs.mesh, batch.stages)] for batch in batches]
    return tuple(jnp.concatenate(stage) for stage in zip(*parts, strict=True)), _Clock.of(batches)


def _score(fitted: dict[Key, Fitted], stream: Iterable[encoding.Encoded], advance: Callable[[int], object]) -> Share:
    """Score each batch of images against all states as it comes; of their features nothing is kept."""
    masks, clock = [], _Clock()
    scores: dict[Key, list[Scores]] = {key: [] for key in fitted}
    seconds = dict.fromkeys(fitted, 0.0)
    for encoded in stream:
        clock = clock.add(encoded)
        for key, of_key in fitted.items():
            result, elapsed = encoding.timed(of_key.programs.score, of_key.states, encoded.stages)
            scores[key].append(Scores(*(np.asarray(x)[:, : encoded.count] for x in result)))
            seconds[key] += elapsed / of_key.draws
        masks.append(encoded.masks)
        advance(encoded.count)
    count = sum(map(len, masks))
    scored = {
        key: Scored(
            np.concatenate([batch.patches for batch in scores[key]], axis=1),
            np.concatenate([batch.image for batch in scores[key]], axis=1),
            of_key.seconds,
            clock.seconds(count, seconds[key]),
        )
        for key, of_key in fitted.items()
    }
    return Share(np.concatenate(masks), scored)


class _Clock(NamedTuple):
    """How long the encoder took for the images that went through it."""

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
