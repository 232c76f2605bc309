"""FastRecon+: distance to the nearest good feature in a soft metric, stage by stage, both ways; the stages multiply."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from fastrecon_jax.command_line.fields import MOST_ROWS, require, require_number, setting
from fastrecon_jax.core import coreset, held_out, linalg, missing, neighbours, scoring, whitening
from fastrecon_jax.core.features import local_pool, resize_nearest, shrink
from fastrecon_jax.core.sizes import Size
from fastrecon_jax.methods.registry import COPIES, Method, note, number_of_copies, register

STRIDES = (4, 8, 16)  # strides of the encoder stages used by default, in pixels
ROWS = 784  # rows kept of each stage: as many as one image of 224 pixels has positions at stride 8
SHORT = 128  # directions in which the nearest row of a wider bank is chosen
BACKWARD_COORDINATES = 64  # directions in which distances backward are taken where a stage has over twice as many
VIEWS = 8  # most support images whose features are looked for in the query
NOISE = 0.03  # share of a stage's spread added to distances: thirty times what rounding makes of 0
HELP_OF_TURNS = 0.05  # turned copies stay where held-out images come this much nearer by them, as a logarithm
TURNS = ("never", "auto")
CANDIDATES = 4  # times the rows of a bank from which that of a held-out calibration is chosen, see `thin`
THINNED = 6  # images from which on they are thinned; fits on fewer take little time
FEWEST = 1 / 8  # of the rows of a bank, the fewest candidates of one image

_NOWHERE = 1e4  # as a logarithm: no distance is so small, and its exponential is 0
_MOST = 1000.0  # largest value of a soft setting, far beyond the range in which it has an effect

Levels = tuple[Float[Array, "_ _ _"], ...]
Kept = tuple[Int[Array, "k _"] | None, ...]  # features of each image among which a stage's bank is chosen


@dataclasses.dataclass(frozen=True)
class Settings:
    """Settings of FastRecon+.

    Raises:
        InputError: a value is out of its range.
    """

    soft_length: float = setting(
        0.7,
        "length, in root mean squares of the support, below which the length of a feature counts, from 0 (directions "
        "alone, cosine distance) to 1000 (features as they are)",
    )
    soft_spectrum: float = setting(
        1.0,
        "variance, in means over all directions, above which a direction counts less, above 0; 1000 counts all alike",
    )
    coreset_rows: int = setting(ROWS, "support features to keep of each stage, at least 1; all if there are fewer")
    coreset_ratio: float | None = setting(
        None,
        "share of the support features to keep of each stage instead, above 0 and at most 1",
        instead_of="coreset_rows",
    )
    coordinates: int = setting(
        0, "leading directions of good features in which distances are taken, at least 1; 0 for all"
    )
    both_ways: bool = setting(True, "also look for the features of the good images in the query: for what is missing")
    backward_coordinates: int = setting(
        BACKWARD_COORDINATES,
        "leading directions in which what is missing is looked for in stages with over twice as many, at least 1; "
        "0 for all",
        needs="both_ways",
    )
    backward_margin: float = setting(
        0.08,
        "by how much, as a logarithm, a distance backward must exceed all forward to count, 0 to 1000",
        needs="both_ways",
    )
    noise: float = setting(
        NOISE,
        "distance that is added to every distance, in squares, so that rounding decides nothing: in root mean square "
        "distances of the support from its mean, 0 to 1000",
    )
    light: bool = setting(True, "fit on darker and lighter copies of the good images, too")
    turns: str = setting(
        "never",
        "never; or auto: fit on copies turned by quarters, too, where held-out good images come nearer by them (from 2 "
        "images)",
    )

    def __post_init__(self):
        """Refuse values out of their range."""
        require_number(self, "soft_length", at_least=0, at_most=_MOST)
        require_number(self, "soft_spectrum", above=0, at_most=_MOST)
        require_number(self, "coreset_rows", at_least=1, at_most=MOST_ROWS)
        require_number(self, "coreset_ratio", above=0, at_most=1, also=(None,))
        require_number(self, "coordinates", at_least=0, at_most=MOST_ROWS)
        require_number(self, "backward_coordinates", at_least=0, at_most=MOST_ROWS)
        require_number(self, "backward_margin", at_least=0, at_most=_MOST)
        require_number(self, "noise", at_least=0, at_most=_MOST)
        alone = self.coreset_ratio is None or self.coreset_rows == ROWS
        require(self, "coreset_rows", alone, "--coreset_ratio stands instead of it")
        require(self, "turns", self.turns in TURNS, f"it must be one of {', '.join(TURNS)}")

    @property
    def copies(self) -> tuple[str, ...]:
        """Kinds of copies that the fit asks for."""
        return ("light",) * self.light + ("turns",) * (self.turns != "never")


class Leading(NamedTuple):
    """The few directions in which what is missing is looked for.

    Attributes:
        directions: orthonormal directions in which good features vary most, as columns, (c, r).
        bank: the bank in these directions, (m, r).
    """

    directions: Float[Array, "c r"]
    bank: Float[Array, "m r"]


class Level(NamedTuple):
    """What is kept for one stage.

    Attributes:
        metric: soft metric of the stage's features.
        bank: support features in the coordinates of the metric, (m, c).
        short: the bank in `SHORT` directions, for a faster search where it has more; None otherwise.
        views: features of the support images at every other position of the coarsest stage, in the coordinates of the
            metric or, with `leading`, in its directions, (k, n, r), k at most `VIEWS`; None without `both_ways`.
        leading: the directions of the search backward; None if it is in all, or with `both_ways` off.
    """

    metric: whitening.Whitening
    bank: Float[Array, "m c"]
    short: neighbours.Short | None
    views: Float[Array, "k n r"] | None
    leading: Leading | None


class Ready(NamedTuple):
    """What scoring derives from a level alone: features around the mean of the bank that they are compared with.

    Attributes:
        bank: the bank.
        spread: mean squared distance of its rows from their mean, see `neighbours.rounding_noise`.
        few: the bank that distances backward are compared with: the same, or that in few directions.
        few_spread: its spread.
        views: features of the support images, (k n, r), around the mean of `few`; None without `both_ways`.
    """

    bank: neighbours.Centred
    spread: Float[Array, ""]
    few: neighbours.Centred
    few_spread: Float[Array, ""]
    views: neighbours.Centred | None


class State(NamedTuple):
    """What a fitted category keeps.

    Attributes:
        levels: one entry for each stage, the finest first.
        ready: what `prepare` adds to a state that scores many images; None in states as `fit` returns them.
    """

    levels: tuple[Level, ...]
    ready: tuple[Ready, ...] | None = None


def embed(stages: Sequence[Float[Array, "_ _ _"]]) -> Levels:
    """Each stage pooled locally and left at its own resolution, but no finer than the second of three or more.

    Args:
        stages: stages of one image, the finest first, (h_i, w_i, c_i) each, of any floating type; strides 4, 8 and 16
            by default.

    Returns:
        Pooled stages, (h_i, w_i, c_i) each, float32; patch scores have the positions of the first.
    """
    # The finest of three stages is reduced to the second's resolution: four times fewer features to search.
    height, width, _ = stages[1 if len(stages) > 2 else 0].shape
    pooled = (local_pool(stage.astype(jnp.float32)) for stage in stages)
    return tuple(
        shrink(stage, height, width) if stage.shape[0] > height or stage.shape[1] > width else stage for stage in pooled
    )


def fit(
    features: tuple[Float[Array, "k _ _ _"], ...],
    key: PRNGKeyArray | None = None,
    copies: tuple[Float[Array, "k n _ _ _"], ...] = (),
    *,
    settings: Settings = Settings(light=False),
    more: int = 0,
    kept: Kept | None = None,
) -> State:
    """Measure how good features vary, stage by stage, and keep those at the rim of what good parts do.

    Args:
        features: features of the k support images as `embed` returns them, stacked, (k, h_i, w_i, c_i) each.
        key: unused; nothing is random.
        copies: features of the copies of each support image that `settings.copies` names, kind by kind, and of `more`
            further ones, (k, n, h_i, w_i, c_i) each; empty if there are none.
        settings: settings of the method; by default those for a support without copies.
        more: number of further copies of each support image that show good parts, at least 0.
        kept: features of each image and its copies among which the bank is chosen, as `thin` returns them, (k, q) for
            each stage; None for all.

    Returns:
        The state that `score` takes.

    Raises:
        ValueError: the number of copies is not the one that the settings ask for.

    References:
        Ours. It generalises Fang et al., FastRecon, ICCV 2023, and the nearest-neighbour methods, see
        docs/explanation/fastrecon-plus.md.
    """
    del key
    stages = _with_copies(features, copies, settings, more)
    levels: list[Level] = []
    for stage, rows_kept in zip(stages, kept or [None] * len(stages), strict=True):
        # Each stage factors a covariance. Two factorisations side by side may deadlock on a CPU, see `linalg.after`.
        stage = linalg.after(stage, levels[-1].bank) if levels else stage
        levels.append(_level(stage, settings, more, rows_kept, positions=_coarser(stages[-1].shape[2:4])))
    return State(tuple(levels))


def thin(
    state: State,
    features: tuple[Float[Array, "k _ _ _"], ...],
    copies: tuple[Float[Array, "k n _ _ _"], ...] = (),
    *,
    settings: Settings = Settings(light=False),
    more: int = 0,
) -> Kept:
    """Features of each image among which the bank of a fit on some of the images may be chosen, in less time.

    Held-out calibrations fit on all images but a few, again and again. Nearly all of a fit's time goes into choosing
    the bank, in proportion to the features to choose from. Greedy k-center takes those at the rim, which are at the rim
    of their own image, too: with a coreset of each image in place of all its features the bank is about as good. Each
    image is thinned by itself, so that an image which is held out has no part in what the others keep.

    Args:
        state: what `fit` returned for all images, whose metric says how far features are apart.
        features: features of the k support images, as for `fit`.
        copies: features of their copies, as for `fit`.
        settings: settings of the method.
        more: number of further copies, as for `fit`.

    Returns:
        For each stage the indices of the q features kept of each image and its copies, (k, q): `CANDIDATES` times the
        bank of all images together, and of an image at least the share `FEWEST` of that bank. None where that would be
        most of them, and for fewer than `THINNED` images.
    """
    kept: list[Int[Array, "k _"] | None] = []
    for level, stage in zip(state.levels, _with_copies(features, copies, settings, more), strict=True):
        k, v, h, w, c = stage.shape
        m = rows(k * h * w, settings, more=more)
        few = max(-(-CANDIDATES * m // k), int(FEWEST * m), 1)
        if k < THINNED or 3 * few > 2 * v * h * w:
            kept.append(None)
        else:
            pool = whitening.apply(level.metric, stage.reshape(-1, c))
            kept.append(coreset.of_each(pool.reshape(k, v * h * w, -1), few))
    return tuple(kept)


def _with_copies(
    features: tuple[Float[Array, "k _ _ _"], ...],
    copies: tuple[Float[Array, "k n _ _ _"], ...],
    settings: Settings,
    more: int,
) -> list[Float[Array, "k v _ _ _"]]:
    """Each image as it is and the copies of it that are learned from, stage by stage."""
    count = number_of_copies(settings.copies)
    if [stage.shape[1] for stage in copies] != [count + more] * len(features) * (count + more > 0):
        raise ValueError(f"the settings ask for {count + more} copies of each support image")
    stages = [stage[:, None] for stage in features]  # (k, 1, h, w, c)
    if settings.light:
        lit = [stage[:, : COPIES["light"]] for stage in copies]
        stages = [jnp.concatenate(pair, axis=1) for pair in zip(stages, lit, strict=True)]
    if settings.turns != "never":
        turned = [stage[:, count - COPIES["turns"] : count] for stage in copies]
        turns_help = _turns_help(stages[-1][:, :1], turned[-1], settings)
        # Where they do not, the images and their lit copies stand in for them: the same rows again, which add nothing.
        repeats = COPIES["turns"] // stages[0].shape[1]
        again = [jnp.tile(stage, (1, repeats, 1, 1, 1)) for stage in stages]
        kept = [jnp.where(turns_help, *pair) for pair in zip(turned, again, strict=True)]
        stages = [jnp.concatenate(pair, axis=1) for pair in zip(stages, kept, strict=True)]
    if more:
        stages = [
            jnp.concatenate([stage, extra[:, count:]], axis=1) for stage, extra in zip(stages, copies, strict=True)
        ]
    return stages


def _level(
    stage: Float[Array, "k v h w c"],
    settings: Settings,
    more: int,
    kept: Int[Array, "k _"] | None,
    positions: tuple[int, int],
) -> Level:
    k, _, h, w, c = stage.shape
    metric = _metric(stage, settings)
    if 0 < settings.coordinates < c:
        directions = _leading_directions(whitening.apply(metric, stage.reshape(-1, c)), settings.coordinates)
        metric = metric._replace(matrix=linalg.matmul(metric.matrix, directions))
    # The bank is stored in the metric's coordinates, where distances are Euclidean. The images as they are come first.
    good = whitening.apply(metric, stage[:, 0].reshape(-1, c))
    pool = jnp.concatenate([good, whitening.apply(metric, stage[:, 1:].reshape(-1, c))])
    bank = pool
    if kept is not None:
        candidates = jnp.take_along_axis(stage.reshape(k, -1, c), kept[..., None], axis=1)
        bank = whitening.apply(metric, candidates.reshape(-1, c))
    m = rows(good.shape[0], settings, more=more)
    if m < bank.shape[0]:
        # The greedy choice begins with the row farthest from the mean, whatever the order of the images.
        bank = bank[coreset.greedy_k_center(bank, m, coreset.total_distances(bank))]
    short = neighbours.shorten(bank, SHORT) if bank.shape[1] > max(SHORT, settings.coordinates) else None
    if not settings.both_ways:
        return Level(metric, bank, short, None, None)
    leading = None
    if 0 < 2 * settings.backward_coordinates < pool.shape[1]:
        directions = _leading_directions(pool, settings.backward_coordinates)
        leading = Leading(directions, linalg.matmul(bank, directions))
        good = linalg.matmul(good, directions)
    chosen = good.reshape(k, h, w, -1)[_spread(k)]
    views = jax.vmap(lambda image: missing.spread(image, *positions))(chosen)
    return Level(metric, bank, short, views, leading)


def _leading_directions(pool: Float[Array, "n c"], count: int) -> Float[Array, "c r"]:
    """Directions in which features in the metric's coordinates are longest; the metric keeps the order of variances."""
    return linalg.leading_directions(jax.lax.stop_gradient(pool), count)


def _metric(stage: Float[Array, "k v h w c"], settings: Settings) -> whitening.Whitening:
    pool = stage.reshape(-1, stage.shape[-1])
    return whitening.fit(pool, soft_length=settings.soft_length, soft_spectrum=settings.soft_spectrum)


def _spread(k: int) -> Array:
    """Which of k support images are looked for in the query: all, or `VIEWS` of them, spread evenly."""
    return jnp.arange(min(k, VIEWS)) * k // min(k, VIEWS)


def _turns_help(
    stage: Float[Array, "k v h w c"], turned: Float[Array, "k t h w c"], settings: Settings
) -> Bool[Array, ""]:
    """Whether held-out good images come nearer to the others by copies turned by quarters.

    Parts that lie in one direction gain nothing by turned copies, but lose what those explain wrongly. The coarsest
    stage decides, which sees the part rather than its texture.
    """
    stage, turned = jax.lax.stop_gradient((stage, turned))
    metric = _metric(jnp.concatenate([stage, turned], axis=1), settings)
    images, copies = (
        whitening.apply(metric, x.reshape(-1, x.shape[-1])).reshape(x.shape[0], -1, x.shape[-1])
        for x in (stage[:, 0], turned)
    )
    return held_out.gain(images, copies) > HELP_OF_TURNS


def rows(count: int, settings: Settings | None = None, *, more: int = 0) -> int:
    """How many support features of a stage are kept, of those of the images and of their copies.

    Args:
        count: number of features of the images, without their copies, at least 1.
        settings: settings of the method; the default ones by default.
        more: number of further copies of each image, see `fit`.

    Returns:
        The number of features to keep, at least 1.

    Raises:
        ValueError: there are no rows.
    """
    settings = settings or Settings()
    pool = count * (1 + number_of_copies(settings.copies) + more)
    if settings.coreset_ratio is None:
        return min(pool, settings.coreset_rows)
    return coreset.size(pool, settings.coreset_ratio)


def prepare(state: State) -> State:
    """Compute what scoring derives from the state alone, once for many images.

    Args:
        state: what `fit` returned.

    Returns:
        The state, with which every image scores the same.
    """
    return state._replace(ready=_all_ready(state))


def _all_ready(state: State) -> tuple[Ready, ...]:
    return state.ready or tuple(map(_ready, state.levels))


def _ready(level: Level) -> Ready:
    bank, spread = neighbours.centred(level.bank), neighbours.rounding_noise(level.bank, 1.0)
    few, few_spread = bank, spread
    if level.leading is not None:
        few = neighbours.centred(level.leading.bank)
        few_spread = neighbours.rounding_noise(level.leading.bank, 1.0)
    views = None
    if level.views is not None:
        views = neighbours.centred(level.views.reshape(-1, level.views.shape[-1]), few.origin)
    return Ready(bank, spread, few, few_spread, views)


class Directions(NamedTuple):
    """The two parts of a score, as logarithms.

    Attributes:
        forward: how far each feature of the query is from good ones, (h, w).
        backward: how far each feature of the nearest good image is from the query's, (H, W), coarser; None without
            `both_ways`.
        lacking: how far the feature of that image which the query lacks most is from the query's, in the scale of the
            search backward alone, a scalar; None likewise.
    """

    forward: Float[Array, "h w"]
    backward: Float[Array, "H W"] | None
    lacking: Float[Array, ""] | None


def directions(
    state: State, features: Levels, left_out: Bool[Array, "h w"] | None = None, *, noise: float = NOISE
) -> Directions:
    """How far each feature of one query image is from good ones, and what it lacks of a good image.

    With f_j the features of stage j in the coordinates of its metric, the distance forward is the geometric mean over
    the stages of the distance to the nearest row of the bank, s = (Π_j min_m ||f_j - m||)^(1/n). The scale of a stage's
    features or metric multiplies all scores alike, so that the stages need no weights. Backward it is the same with
    the roles exchanged: from each feature of a good image to the nearest one of the query, for the good image of which
    the query lacks the least.

    Wide stages have hundreds of directions in which good features hardly differ. Each adds noise to a distance, which
    hides what a query lacks, so that distances backward are taken in few directions there. They are compared with
    those forward in the same few, and raise the score by the factor by which they exceed their maximum.

    Args:
        state: what `fit` or `prepare` returned.
        features: features of one query image as `embed` returns them, (h_i, w_i, c_i) each.
        left_out: true for positions of the first stage that count in neither direction, (h, w); None for none. Their
            logarithms are below all others.
        noise: what is added to every distance, in squares, as a share of the spread of the stage's bank, at least 0.

    Returns:
        Logarithms of both, forward at the positions of the first stage.
    """
    positions = features[0].shape[0], features[0].shape[1]
    forward, alike, backward = [], [], []
    for level, ready, stage in zip(state.levels, _all_ready(state), features, strict=True):
        h, w, c = stage.shape
        query = whitening.apply(level.metric, stage.reshape(h * w, c))
        centred = neighbours.centred(query, ready.bank.origin)
        if level.short is None:
            squared = neighbours.smallest(centred, ready.bank)
        else:
            squared = neighbours.nearest(query, level.bank, short=level.short).squared[:, 0]
        forward.append(_at(positions, squared.reshape(h, w), noise**2 * ready.spread))
        if level.views is None or ready.views is None:
            continue
        if level.leading is None:
            alike.append(forward[-1])
        else:
            centred = neighbours.centred(linalg.matmul(query, level.leading.directions), ready.few.origin)
            squared = neighbours.smallest(centred, ready.few)
            alike.append(_at(positions, squared.reshape(h, w), noise**2 * ready.few_spread))
        backward.append(missing.log_distances(ready.views, centred, len(level.views), noise**2 * ready.few_spread))
    # The geometric mean is the exponential of the mean logarithm.
    near = _without(jnp.stack(forward).mean(axis=0), left_out)
    if not backward:
        return Directions(near, None, None)
    coarse = _coarser(features[-1].shape[:2])
    distances = jnp.stack(backward).mean(axis=0)  # (k, n)
    if left_out is not None:
        distances = _without(distances, scoring.covered(left_out, *coarse).reshape(1, -1))
    lacked = missing.of_likest(distances)
    # From the scale of the distances in few directions to that of all of them.
    scaled = lacked + near.max() - _without(jnp.stack(alike).mean(axis=0), left_out).max()
    return Directions(near, scaled.reshape(coarse), lacked.max())


def _without(logs: Float[Array, "..."], left_out: Bool[Array, "..."] | None) -> Float[Array, "..."]:
    """Logarithms of distances, far below all others at positions that are left out."""
    return logs if left_out is None else logs - _NOWHERE * jnp.asarray(left_out, logs.dtype)


def score(
    state: State,
    features: Levels,
    left_out: Bool[Array, "h w"] | None = None,
    *,
    margin: float = Settings.backward_margin,
    noise: float = NOISE,
) -> Float[Array, "h w"]:
    """Patch scores of one query image: distances forward, and those backward that exceed them all, see `directions`.

    Their maximum is that of both, a Hausdorff distance. It needs no weight: on good images both directions have maxima
    of about the same size, whatever the part, the encoder and the number of shots. Backward counts less by the margin,
    so that a good image which lies a little differently keeps the score that it has forward.

    Args:
        state: what `fit` or `prepare` returned.
        features: features of one query image as `embed` returns them, (h_i, w_i, c_i) each.
        left_out: true for positions that count in neither direction and score 0, (h, w); None for none.
        margin: by how much the logarithm of a distance backward must exceed all forward to count, at least 0.
        noise: what is added to every distance, see `directions`.

    Returns:
        Patch scores at the positions of the first stage, (h, w), without unit.
    """
    return _patch_scores(directions(state, features, left_out, noise=noise), margin)


def _patch_scores(found: Directions, margin: float) -> Float[Array, "h w"]:
    forward, backward = found.forward, found.backward
    if backward is not None:
        backward = resize_nearest(backward[..., None] - margin, *forward.shape)[..., 0]
        # A good image may lie a little differently, so small distances backward have no place in the map of the query.
        forward = jnp.where(backward > forward.max(), backward, forward)
    return jnp.exp(forward)


def score_and_lacking(
    state: State,
    features: Levels,
    left_out: Bool[Array, "h w"] | None = None,
    *,
    margin: float = Settings.backward_margin,
    noise: float = NOISE,
) -> tuple[Float[Array, "h w"], Float[Array, ""] | None]:
    """Patch scores of one query image, and what it lacks of every good one whatever its own distances are.

    A frame without the part looks like the background of good images, and is near to them. Its distance backward in the
    scale of its own distances forward, as `score` takes it, may be small, too. By itself it is far above that of good
    images, which find all their features in the query.

    Args:
        state: what `fit` or `prepare` returned.
        features: features of one query image as `embed` returns them, (h_i, w_i, c_i) each.
        left_out: true for positions that count in neither direction, (h, w); None for none.
        margin: see `score`.
        noise: what is added to every distance, see `directions`.

    Returns:
        Patch scores, (h, w), and the logarithm of what the image lacks, None without `both_ways`.
    """
    # One search for both: XLA does not find what two traces have in common inside of a loop.
    found = directions(state, features, left_out, noise=noise)
    return _patch_scores(found, margin), found.lacking


def _at(positions: tuple[int, int], squared: Float[Array, "h w"], noise: Float[Array, ""]) -> Float[Array, "H W"]:
    """Logarithm of the distances of one stage, at the positions of the first."""
    return resize_nearest(neighbours.log_distance(squared, noise)[..., None], *positions)[..., 0]


def _coarser(positions: Sequence[int]) -> tuple[int, int]:
    """How many rows and columns of positions of a good image are looked for: every other one of the coarsest stage."""
    height, width = positions
    return max(height // 2, 1), max(width // 2, 1)


def _backward(settings: Settings) -> str:
    """What differs from the default in the search backward."""
    if not settings.both_ways:
        return "one way"
    few, margin = settings.backward_coordinates, settings.backward_margin
    return ", ".join(
        [f"backward in {few or 'all'} coordinates"] * (few != BACKWARD_COORDINATES)
        + [f"margin {margin:g}"] * (margin != Settings.backward_margin)
    )


@register("fastrecon+", settings=Settings, source="this project; generalises Fang et al., FastRecon, ICCV 2023")
def method(settings: Settings, *, map_size: Size) -> Method:
    """Nearest good feature in a soft metric, both ways, stage by stage, the stages multiplied; the default of `fit`."""
    del map_size
    length, spectrum, ratio = settings.soft_length, settings.soft_spectrum, settings.coreset_ratio
    return Method(
        name="fastrecon+",
        settings=settings,
        embed=embed,
        fit=functools.partial(fit, settings=settings),
        thin=functools.partial(thin, settings=settings),
        score=functools.partial(score, margin=settings.backward_margin, noise=settings.noise),
        score_rest=functools.partial(score, margin=settings.backward_margin, noise=settings.noise),
        prepare=prepare,
        rows=functools.partial(rows, settings=settings),
        note=note(
            f"length {length:g}",
            f"spectrum {spectrum:g}",
            f"coreset {ratio:g}" if ratio else f"{settings.coreset_rows} rows",
            f"{settings.coordinates} coordinates" if settings.coordinates else "",
            _backward(settings),
            f"noise {settings.noise:g}" if settings.noise != NOISE else "",
            "" if settings.light else "without light",
            "turns" if settings.turns == "auto" else "",
        ),
        strides=STRIDES,
        copies=settings.copies,
        more_copies=True,
        score_and_missing=(
            functools.partial(score_and_lacking, margin=settings.backward_margin, noise=settings.noise)
            if settings.both_ways
            else None
        ),
        # Without noise, which parts of older formats lack, rounding decides how far known features are from themselves.
        export_tolerance=1e-4 if settings.noise >= NOISE else 1e-2,
    )
