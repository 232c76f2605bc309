"""Good photographs to a calibrated part, and more of them to an existing one."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, PyTree, UInt8

from fastrecon_jax import methods
from fastrecon_jax.data import copies
from fastrecon_jax.detector import Inspection, Stages
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import appearance, augment, calibration, empty_frames, held_out, limits, warnings
from fastrecon_jax.parts.appearance import Appearance
from fastrecon_jax.parts.calibration import Calibration
from fastrecon_jax.parts.engine import Engine, make_engine
from fastrecon_jax.parts.limits import EmptyFrame
from fastrecon_jax.parts.part import GoodPhoto, Part
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.parts.progress import SILENT, Bars
from fastrecon_jax.runtime import devices

BATCH = 8


class Fitted(NamedTuple):
    """A part, and what its photographs leave in doubt.

    Attributes:
        part: the part.
        warnings: sentences for people.
    """

    part: Part
    warnings: tuple[str, ...]


class _Good(NamedTuple):
    """What a part is fitted on: k photographs, their pixels, and their stages and those of their copies.

    The pixels may be those of new photographs alone, where a method asks for no copies and an older file held none.
    """

    photos: tuple[Photo | GoodPhoto, ...]
    pixels: UInt8[np.ndarray, "n H W 3"]
    stages: tuple[Float[np.ndarray, "k _ _ _"], ...]
    copies: tuple[Float[np.ndarray, "k n _ _ _"], ...]
    appearance: tuple[Appearance, ...] | None


class _Wait(NamedTuple):
    """How long a calibration may take, about, and what shows how far it is."""

    seconds: float
    bars: Bars


class _HeldOut(NamedTuple):
    """How good photographs score by models that have not seen them: k scores, n maps, and what they say of others.

    `lacks` is None where the method cannot tell what a photograph lacks. `warnings` are sentences for people.
    """

    scores: Sequence[float]
    maps: Float[np.ndarray, "n H W"]
    of_scores: Calibration
    of_peaks: Calibration
    lacks: Calibration | None
    warnings: tuple[str, ...] = ()


def fit(
    engine: Engine,
    photos: Sequence[Photo],
    *,
    name: str,
    rate: float,
    seconds: float = float("inf"),
    bars: Bars = SILENT,
) -> Fitted:
    """Fit and calibrate a part on good photographs alone.

    Args:
        engine: encoder and method.
        photos: at least one; exact copies count once.
        name: name of the part.
        rate: share of good photographs that may be judged defective, in (0, 1).
        seconds: about the longest that the calibration may take, see `held_out.inspect`.
        bars: makes progress bars.

    Returns:
        The part and warnings.

    Raises:
        InputError: no photograph, or a rate that is not allowed.
    """
    chosen = distinct(photos)
    pixels = np.stack([photo.pixels for photo in chosen])
    looks = appearance.measure_all(pixels)
    good = _Good(chosen, pixels, encode(engine, pixels, bars=bars), encode_copies(engine, pixels, bars=bars), looks)
    wait = _Wait(seconds, bars)
    return _fit(engine, good, name, rate, wait, surplus=len(photos) - len(chosen), given=len(photos))


def extend(
    engine: Engine, part: Part, photos: Sequence[Photo], *, seconds: float = float("inf"), bars: Bars = SILENT
) -> Fitted:
    """Add good photographs, without those that the part was fitted on.

    Args:
        engine: encoder and method, made from the part's recipe.
        part: fitted before, with its stages.
        photos: those to add; the ones that the part was fitted on already count once.
        seconds: about the longest that the calibration may take, see `held_out.inspect`.
        bars: makes progress bars.

    Returns:
        The same as a fit on all of them, and warnings.

    Raises:
        InputError: the part was kept without what this needs, or no photograph is new.
    """
    if not part.stages:
        raise InputError(f"part {part.name} cannot be extended: it was fitted with --extendable=false")
    before = {good.sha256 for good in part.good}
    chosen = tuple({photo.sha256: photo for photo in photos if photo.sha256 not in before}.values())
    if not chosen:
        raise InputError(f"part {part.name} knows all of these images already: there is nothing to add")
    pixels = np.stack([photo.pixels for photo in chosen])
    looks = _looks(part, pixels)
    stages = tuple(np.concatenate(pair) for pair in zip(part.stages, encode(engine, pixels, bars=bars), strict=True))
    if part.pixels is not None:
        pixels = np.concatenate([part.pixels, pixels])
    good = _Good((*part.good, *chosen), pixels, stages, encode_copies(engine, pixels, bars=bars), looks)
    surplus = len(photos) - len(chosen)
    wait = _Wait(seconds, bars)
    return _fit(engine, good, part.name, part.limits.rate, wait, surplus=surplus, given=len(photos))


def distinct(photos: Sequence[Photo]) -> tuple[Photo, ...]:
    """Photographs without exact copies, in order; InputError if there is none."""
    if not photos:
        raise InputError("there is no image to fit: pass at least one good one")
    return tuple({photo.sha256: photo for photo in photos}.values())


def encode(
    engine: Engine, pixels: UInt8[np.ndarray, "n H W 3"], *, bars: Bars = SILENT
) -> tuple[Float[np.ndarray, "n _ _ _"], ...]:
    """Stages (n, h_i, w_i, c_i) of preprocessed photographs, a batch at a time."""
    with bars(desc="encoding", total=len(pixels), unit="image") as bar:

        def program(batch):
            stages = jax.block_until_ready(engine.encode(engine.encoder, batch))
            bar.update(min(len(batch), len(pixels) - bar.n))
            return stages

        return devices.in_batches(program, pixels, over=None, batch_size=min(BATCH, len(pixels)))


def encode_copies(
    engine: Engine,
    pixels: UInt8[np.ndarray, "k H W 3"],
    kinds: Sequence[str] | None = None,
    *,
    bars: Bars = SILENT,
) -> tuple[Float[np.ndarray, "k n _ _ _"], ...]:
    """Stages (k, n, h_i, w_i, c_i) of copies of these kinds, by default those that the fit takes; () for none."""
    kinds = engine.method.copies if kinds is None else kinds
    if not kinds:
        return ()
    changed = np.stack([copies.make(image, kinds) for image in pixels])
    stages = encode(engine, changed.reshape(-1, *changed.shape[2:]), bars=bars)
    return tuple(stage.reshape(*changed.shape[:2], *stage.shape[1:]) for stage in stages)


def _fit(engine: Engine, good: _Good, name: str, rate: float, wait: _Wait, *, surplus: int, given: int) -> Fitted:
    if not 0 < rate < 1:
        raise InputError(f"a false-positive rate of {rate} is not allowed: it must be above 0 and below 1")
    # The part itself is fitted on all photographs, its calibration on models that lack the one they score.
    state = _state(engine, good, wait.bars)
    if len(good.photos) > 1:
        left_out = _leave_out(engine, state, good, wait)
    else:
        support, changed = (tuple(map(jnp.asarray, stages)) for stages in (good.stages, good.copies))
        left_out = _single(engine, good.pixels[0], support, changed, state)
    scored = tuple(
        GoodPhoto(photo.name, photo.sha256, photo.width, photo.height, float(score))
        for photo, score in zip(good.photos, left_out.scores, strict=True)
    )
    empty = _empty(engine, state, good.pixels)
    _, maps, of_scores, of_peaks, lacks, hurry = left_out
    scored_maps = maps if engine.ignore is None else maps[:, ~engine.ignore]
    part_limits = limits.from_held_out(rate, of_scores, of_peaks, scored_maps, lacks, empty)
    said = (
        *warnings.about_notes([photo for photo in good.photos if isinstance(photo, Photo)]),
        *hurry,
        *_warnings(scored, good.stages, rate, of_scores, surplus=surplus, given=given),
        *warnings.about_empty_frames([frame.name for frame in limits.passing(part_limits)]),
    )
    pixels = good.pixels if len(good.pixels) == len(good.photos) else None
    part = Part(name, engine.recipe, state, good.stages, pixels, scored, part_limits, good.appearance, engine.ignore)
    return Fitted(part, said)


def _looks(part: Part, more: UInt8[np.ndarray, "n H W 3"]) -> tuple[Appearance, ...] | None:
    """Of a part's photographs and of more; None where an older part has neither their appearance nor their pixels."""
    known = part.appearance or (None if part.pixels is None else appearance.measure_all(part.pixels))
    return None if known is None else (*known, *appearance.measure_all(more))


def _state(engine: Engine, good: _Good, bars: Bars) -> PyTree[np.ndarray]:
    with bars(desc="fitting", total=len(good.photos), unit="image") as bar:
        support, changed = (tuple(map(jnp.asarray, stages)) for stages in (good.stages, good.copies))
        state = jax.tree.map(np.asarray, engine.fit(support, jax.random.key(0), changed))
        bar.update(len(good.photos))
    return state


def _leave_out(engine: Engine, state: PyTree[np.ndarray], good: _Good, wait: _Wait) -> _HeldOut:
    found = held_out.inspect(engine, state, good.stages, good.copies, seconds=wait.seconds, bars=wait.bars)
    scores, maps, missing = found.inspection
    of_scores, of_peaks = (calibration.fit(x.tolist()) for x in (scores, maps.max((1, 2))))
    # It is to tell frames without the part, which lack far more than good ones differ: a typical spread steadies it.
    lacks = None if missing is None else calibration.fit(np.exp(missing).tolist(), typical=True)
    hurry = warnings.about_hurry(found.at_once, len(scores), wait.seconds) if found.hurried else ()
    return _HeldOut(scores.tolist(), maps, of_scores, of_peaks, lacks, hurry)


def _empty(engine: Engine, state: PyTree[np.ndarray], pixels: UInt8[np.ndarray, "k H W 3"]) -> tuple[EmptyFrame, ...]:
    """Frames without the part, as the part sees them."""
    frames = empty_frames.make(pixels)
    # By the encoder's program, which is compiled already.
    stages = encode(engine, np.stack(list(frames.values())))
    program = functools.partial(engine.inspect_stages, jax.tree.map(jnp.asarray, state))
    found = devices.in_batches(program, stages, over=None, batch_size=BATCH)
    missing = [None] * len(frames) if found.missing is None else np.exp(found.missing).tolist()
    return tuple(map(EmptyFrame, frames, found.score.tolist(), missing))


def _single(
    engine: Engine, pixels: UInt8[np.ndarray, "H W 3"], support: Stages, changed: Stages, state: PyTree[np.ndarray]
) -> _HeldOut:
    """A photograph by itself, which no other can score.

    Changed copies of it score too low, since the part knows the original. A half of it by a model of the other half
    scores too high, since the model has seen another half of the part. The calibration lies between the two.
    """
    other = encode(engine, augment.changed_copies(pixels))
    scores, maps, missing = jax.device_get(engine.inspect_stages(state, tuple(map(jnp.asarray, other))))
    plain = _without_support_copies(engine)
    own = methods.number_of_copies(plain.method.copies)
    changed = tuple(stage[:, :own] for stage in changed) if own else ()
    halves = [
        _half(half, support, changed, axis=axis, first=first)
        for axis in (1, 2)
        for first in (True, False)
        if (half := _engine_of_half(plain, axis=axis, first=first)) is not None
    ]
    of_scores = calibration.fit_single(scores.tolist(), [float(half.score) for half in halves])
    of_peaks = calibration.fit_single(maps.max((1, 2)).tolist(), [float(half.map.max()) for half in halves])
    lacks = None
    if missing is not None:
        lacks = calibration.guess_single(np.exp(missing).tolist(), [float(np.exp(half.missing)) for half in halves])
    score = float(engine.inspect_stages(state, support).score[0])
    return _HeldOut([score], maps, of_scores, of_peaks, lacks)


def _without_support_copies(engine: Engine) -> Engine:
    """The engine of a fit on half a photograph: in the half of a rotated copy lies what the other half shows."""
    if not engine.recipe.support_copies:
        return engine
    return make_engine(dataclasses.replace(engine.recipe, support_copies=()), engine.encoder, engine.ignore)


def _engine_of_half(engine: Engine, *, axis: int, first: bool) -> Engine | None:
    """The engine that scores the half which `_half` does not fit; None if nothing of it is scored."""
    if engine.ignore is None:
        return engine
    length = engine.ignore.shape[axis - 1]
    half = length // 2
    scored = np.take(engine.ignore, range(length - half, length) if first else range(half), axis=axis - 1)
    if scored.all():
        return None
    # Half a map, drawn out to the size of a whole one, as the map of the half's patch scores is.
    stretched = np.repeat(scored, 2, axis=axis - 1)
    if stretched.shape != engine.ignore.shape:  # an odd side
        stretched = np.concatenate([stretched, np.take(stretched, [-1], axis=axis - 1)], axis=axis - 1)
    return make_engine(engine.recipe, engine.encoder, stretched)


def _half(engine: Engine, support: Stages, changed: Stages, *, axis: int, first: bool) -> Inspection:
    """One half inspected by a model fitted on the other (the first or the last one)."""

    def halves(stages: Stages, axis: int) -> tuple[Stages, Stages]:
        # An odd side: the position in the middle belongs to neither half.
        half = [max(stage.shape[axis] // 2, 1) for stage in stages]
        starts = tuple(jax.lax.slice_in_dim(x, 0, size, axis=axis) for x, size in zip(stages, half, strict=True))
        ends = tuple(
            jax.lax.slice_in_dim(x, x.shape[axis] - size, x.shape[axis], axis=axis)
            for x, size in zip(stages, half, strict=True)
        )
        return (starts, ends) if first else (ends, starts)

    fitted, scored = halves(support, axis)
    copies_of_fitted, _ = halves(changed, axis + 1)  # they have one axis more, that of the copies
    found = engine.inspect_stages(engine.fit(fitted, jax.random.key(0), copies_of_fitted), scored)
    return jax.tree.map(lambda x: np.asarray(x[0]), found)


def _warnings(
    good: Sequence[GoodPhoto],
    stages: tuple[Float[np.ndarray, "k _ _ _"], ...],
    rate: float,
    of_scores: Calibration,
    *,
    surplus: int,
    given: int,
) -> tuple[str, ...]:
    names = [photo.name for photo in good]
    return (
        *warnings.about_copies(surplus, given),
        *warnings.about_sizes([(photo.name, photo.width, photo.height) for photo in good]),
        *warnings.about_pairs(names, stages),
        *warnings.about_outliers(names, [photo.score for photo in good]),
        *(warnings.about_rate(rate, of_scores) if len(good) > 1 else warnings.about_a_single_image()),
    )
