import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.core import linalg, whitening
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon_plus as plus
from tests import reference
from tests.helpers import assert_close, correlated_features

ALL = plus.Settings(turns="auto")
PLAIN = plus.Settings(light=False)
ONE_WAY = plus.Settings(light=False, both_ways=False, coreset_rows=8192)
MARGIN = plus.Settings.backward_margin
LIGHT, TURNS = methods.COPIES["light"], methods.COPIES["turns"]


def stages(seed, *leading, sides=(8, 4, 2), channels=(5, 6, 7)):
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(correlated_features(rng, *leading, side, side, c)) for side, c in zip(sides, channels, strict=True)
    )


def embed(stages):
    return jax.vmap(plus.embed)(stages)


def embed_copies(stages):
    return jax.vmap(jax.vmap(plus.embed))(stages)


def copies_of(settings):
    return sum(methods.COPIES[kind] for kind in settings.copies)


def by_definition(support, copies, query, settings, *, turned, levels):
    """Patch scores in float64, from features, by the equations in the docstrings; `turned` copies are kept or not.

    Of the fitted `levels` only the spread of the banks is taken, in which rows may be there twice.
    """
    soft = {"soft_length": settings.soft_length, "soft_spectrum": settings.soft_spectrum}
    forward, alike, backward = [], [], []
    (height, width), coarsest = query[0].shape[:2], query[-1].shape[:2]
    lit = LIGHT if settings.light else 0
    for j, known in enumerate(support):
        (k, h, w, c), one = known.shape, query[j]
        changed = copies[j][:, : lit + turned * TURNS].reshape(-1, c) if copies else np.zeros((0, c))
        pool = np.concatenate([np.asarray(known).reshape(-1, c), changed])
        whole = [reference.soft_coordinates(np.asarray(x).reshape(-1, c), pool, **soft) for x in (pool, one)]
        few = (settings.coordinates,) if 0 < settings.coordinates < c else ()
        rows, own = (x @ leading(pool, few, soft) for x in whole)
        m = min(len(rows), settings.coreset_rows)
        if settings.coreset_ratio is not None:
            m = int(settings.coreset_ratio * len(rows))
        chosen = np.arange(len(rows))
        if m < len(rows):
            from_mean = np.linalg.norm(rows - rows.mean(0), axis=1)
            chosen = reference.greedy_k_center_from(rows, m, from_mean + 1e9)
        noise = noise_of(levels[j].bank, settings)
        forward.append(log_distances(own, rows[chosen], noise, one.shape[:2], (height, width)))
        if settings.both_ways:
            if 0 < 2 * settings.backward_coordinates < rows.shape[1]:
                few += (settings.backward_coordinates,)
                rows, own = (x @ leading(pool, few, soft) for x in whole)
                noise = noise_of(levels[j].leading.bank, settings)
            alike.append(log_distances(own, rows[chosen], noise, one.shape[:2], (height, width)))
            # The middles of each second position of the coarsest stage, in every stage.
            at_rows, at_columns = (
                np.floor((np.arange(n // 2) + 0.5) * size / (n // 2)).astype(int)
                for n, size in zip(coarsest, (h, w), strict=True)
            )
            images = rows[: k * h * w].reshape(k, h, w, -1)[:, at_rows][:, :, at_columns].reshape(k, -1, rows.shape[1])
            backward.append([np.log(np.hypot(reference.distances(image, own).min(1), noise)) for image in images])
    total = np.mean(forward, axis=0)
    if settings.both_ways:
        lacking = np.mean(backward, axis=0)  # (k, n)
        likest = lacking[lacking.max(1).argmin()] - settings.backward_margin
        likest += total.max() - np.mean(alike, axis=0).max()
        likest = likest.reshape(coarsest[0] // 2, coarsest[1] // 2, 1)
        likest = resized(likest, height, width)[..., 0]
        total = np.where(likest > total.max(), likest, total)
    return np.exp(total)


def noise_of(bank, settings):
    """The distance that is added in squares."""
    bank = np.asarray(bank, np.float64)
    return settings.noise * np.sqrt(np.square(bank - bank.mean(0)).sum(1).mean())


def log_distances(own, bank, noise, shape, first):
    near = np.log(np.hypot(reference.distances(own, bank).min(1), noise)).reshape(*shape, 1)
    return resized(near, *first)[..., 0]


def leading(pool, counts, soft):
    """The directions that the power iteration finds, which is only nearly the best, in the reference's coordinates.

    First so many of all, then so many of those.
    """
    metric = whitening.fit(jnp.asarray(pool, jnp.float32), **soft)
    probe = np.random.default_rng(0).standard_normal((3 * pool.shape[1], pool.shape[1])).astype(np.float32)
    ours, known = reference.soft_coordinates(probe, pool, **soft), whitening.apply(metric, jnp.asarray(probe))
    turn = np.linalg.lstsq(ours, np.asarray(known, np.float64))[0]
    rows = whitening.apply(metric, jnp.asarray(pool, jnp.float32))
    for count in counts:
        directions = linalg.leading_directions(rows, count)
        rows, turn = rows @ directions, turn @ np.asarray(directions, np.float64)
    return turn


def resized(field, height, width):
    """Nearest neighbour: output i reads input floor(i h / H)."""
    h, w = field.shape[:2]
    return field[np.arange(height) * h // height][:, np.arange(width) * w // width]


SETTINGS = {
    "one way, the plain formula": ONE_WAY,
    "both ways": PLAIN,
    "few rows": plus.Settings(light=False, coreset_rows=9),
    "a share": plus.Settings(light=False, coreset_ratio=0.4),
    "few coordinates": plus.Settings(light=False, coordinates=3),
    "few backward": plus.Settings(light=False, backward_coordinates=2),
    "another margin": plus.Settings(light=False, backward_margin=0.0),
    "no noise": plus.Settings(light=False, noise=0.0),
    "much noise": plus.Settings(light=False, backward_coordinates=2, noise=2.0),
    "as many backward as forward": plus.Settings(light=False, backward_coordinates=0),
    "light": plus.Settings(),
    "turns": plus.Settings(light=False, turns="auto"),
    "all": ALL,
    "all, few rows and coordinates": plus.Settings(
        turns="auto", coreset_rows=20, coordinates=6, backward_coordinates=2, soft_length=0.3, soft_spectrum=3.0
    ),
}


def first_half_twice(support, seed):
    """A query that lacks the right half of the first image: its left half twice, a little changed."""
    rng = np.random.default_rng(seed)
    halves = (stage[0][:, : stage.shape[2] // 2] for stage in support)
    changed = (jnp.concatenate([half, half], axis=1) for half in halves)
    return tuple(x + jnp.asarray(0.2 * rng.random(x.shape), jnp.float32) for x in changed)


@pytest.mark.parametrize("kept", [False, True])
@pytest.mark.parametrize("name", SETTINGS)
def test_scores_are_the_formula(name, kept, monkeypatch):
    """With all copies; whether the turned ones stay is set here, and has tests of its own."""
    settings = SETTINGS[name]
    monkeypatch.setattr(plus, "HELP_OF_TURNS", -1.0 if kept else 1e9)
    count, sides = copies_of(settings), (16, 8, 4)
    support = stages(0, 3, sides=sides)
    copies = embed_copies(stages(2, 3, count, sides=sides)) if count else ()
    state, turned = plus.fit(embed(support), None, copies, settings=settings), kept and settings.turns != "never"
    for query in (stages(1, sides=sides), first_half_twice(support, 3)):
        expected = by_definition(
            embed(support), copies, plus.embed(query), settings, turned=turned, levels=state.levels
        )
        set_here = {"margin": settings.backward_margin, "noise": settings.noise}
        assert_close(plus.score(state, plus.embed(query), **set_here), expected, 1e-4)


def test_the_score_is_forward_but_for_what_exceeds_it_all_backward():
    support = stages(0, 3, sides=(16, 8, 4))
    state, one_way = (plus.fit(embed(support), settings=settings) for settings in (PLAIN, ONE_WAY))
    for query, expected in ((stages(1, sides=(16, 8, 4)), False), (first_half_twice(support, 3), True)):
        forward, backward, _ = plus.directions(state, plus.embed(query))
        assert (forward.shape, backward.shape) == ((8, 8), (2, 2))
        lacking = np.asarray(backward - MARGIN).repeat(4, 0).repeat(4, 1)
        more = lacking > forward.max()
        assert more.any() == expected and not more.all()
        assert_close(plus.score(state, plus.embed(query)), np.exp(np.where(more, lacking, forward)))
        alone = plus.directions(one_way, plus.embed(query))
        assert alone.backward is None
        assert_close(plus.score(one_way, plus.embed(query)), np.exp(alone.forward))
        assert_close(alone.forward, forward)


def test_what_is_lacking_is_measured_whatever_the_distances_forward_are():
    """Of no image that the support holds; of one that has half of it, as much as that half is far away."""
    support = stages(0, 3, sides=(16, 8, 4))
    state = plus.fit(embed(support), settings=PLAIN)
    own, half = tuple(stage[1] for stage in support), first_half_twice(support, 1)
    assert float(plus.directions(state, plus.embed(own)).lacking) < np.log(
        5e-3
    )  # the noise that is added to each distance
    found = plus.directions(state, plus.embed(half))
    lacking = float(found.lacking)
    # The scale of the distances forward, of which each is small, takes no part in it.
    assert_close(lacking, found.backward.max() - found.forward.max() + alike(state, half))
    assert lacking > np.log(1e-2)
    one_way = plus.fit(embed(support), settings=ONE_WAY)
    assert plus.directions(one_way, plus.embed(half)).lacking is None
    assert methods.create("fastrecon+", {"both_ways": False}).score_and_missing is None


def alike(state, query):
    """The largest logarithm of the distances forward in the directions of the search backward: here in all."""
    assert all(level.leading is None for level in state.levels)
    return plus.directions(state, plus.embed(query)).forward.max()


def test_the_finest_of_three_stages_is_averaged_to_the_second_and_the_last_stays():
    one = stages(2)
    levels = plus.embed(one)
    assert [level.shape for level in levels] == [(4, 4, 5), (4, 4, 6), (2, 2, 7)]
    pooled = reference.local_pool(np.asarray(one[0]))
    assert_close(levels[0], pooled.reshape(4, 2, 4, 2, 5).mean((1, 3)))
    assert [level.shape for level in plus.embed(one[1:])] == [(4, 4, 6), (2, 2, 7)]


def test_rounding_of_the_features_changes_nothing_of_note():
    """Of what is known exactly, such as a plain background, the distance is rounding, and its root was seen in maps."""
    support = stages(11, 3)
    query = [stage[0].at[:1].add(0.3) for stage in support]  # all but the top is known
    rng = np.random.default_rng(12)
    rounded = [x * (1 + 1e-6 * jnp.asarray(rng.standard_normal(x.shape), jnp.float32)) for x in query]
    state = plus.fit(embed(support))

    def difference(noise):
        one, other = (plus.score(state, plus.embed(x), noise=noise) for x in (query, rounded))
        return float(jnp.abs(one - other).max() / jnp.ptp(one))

    assert difference(plus.NOISE) < 1e-4 < 1e-3 < difference(0.0)


def test_sides_that_do_not_divide_each_other():
    support, query = (stages(seed, *lead, sides=(9, 5, 3)) for seed, lead in ((3, (2,)), (4, ())))
    assert plus.score(plus.fit(embed(support)), plus.embed(query)).shape == (5, 5)


def test_the_scale_of_a_stage_orders_nothing_anew():
    support, query = stages(5, 2), stages(6)

    def scores(scale):
        scaled = [(s * f, q * f) for s, q, f in zip(support, query, (1.0, scale, 1.0), strict=True)]
        return plus.score(plus.fit(embed(tuple(s for s, _ in scaled))), plus.embed([q for _, q in scaled]))

    assert_close(scores(100.0), scores(1.0), 1e-3)


def test_a_known_image_scores_nothing_and_a_changed_patch_the_most():
    support = stages(7, 2)
    state = plus.fit(embed(support))
    known = [stage[0] for stage in support]
    assert plus.score(state, plus.embed(known), noise=0.0).max() < 1e-4
    # What is left of it is the noise, the same everywhere.
    noise = [noise_of(level.bank, PLAIN) for level in state.levels]
    assert_close(plus.score(state, plus.embed(known)), np.full((4, 4), np.prod(noise) ** (1 / 3)), 1e-3)
    changed = [stage.at[stage.shape[0] * 3 // 4 :, : stage.shape[1] // 4 + 1].set(5.0) for stage in known]
    patches = np.asarray(plus.score(state, plus.embed(changed)))
    assert np.unravel_index(patches.argmax(), patches.shape)[0] >= 2
    assert np.unravel_index(patches.argmax(), patches.shape)[1] <= 1


def test_long_features_are_looked_for_in_few_directions_and_missed_by_the_scale_of_all():
    """The search forward is in all directions, that backward in few: the score is right where either of them wins."""
    support = stages(8, 4, sides=(8,), channels=(200,))
    state = plus.fit(embed(support), settings=PLAIN)
    (level,) = state.levels
    assert level.bank.shape == (256, 200)
    assert level.views.shape == (4, 16, plus.BACKWARD_COORDINATES)
    assert level.leading.bank.shape == (256, plus.BACKWARD_COORDINATES)
    for query in (stages(9, sides=(8,), channels=(200,)), first_half_twice(support, 3)):
        expected = by_definition(embed(support), (), plus.embed(query), PLAIN, turned=False, levels=(level,))
        assert_close(
            plus.score(state._replace(levels=(level._replace(short=None),)), plus.embed(query)), expected, 1e-3
        )


def test_stages_that_are_not_wide_are_looked_for_in_all_directions():
    for channels, expected in ((2 * plus.BACKWARD_COORDINATES, None), (2 * plus.BACKWARD_COORDINATES + 1, 64)):
        (level,) = plus.fit(embed(stages(8, 2, sides=(8,), channels=(channels,)))).levels
        assert (level.leading and level.leading.directions.shape[1]) == expected


def test_long_features_are_searched_for_in_few_coordinates():
    """Where they hold nearly all of the length the rows found are as near as the nearest, to a hundredth."""
    support, query = (stages(seed, *lead, sides=(8,), channels=(300,)) for seed, lead in ((8, (4,)), (9, ())))
    state = plus.fit(embed(support))
    assert state.levels[0].bank.shape == (256, 300)
    assert state.levels[0].short.coordinates.shape == (256, plus.SHORT)
    whole = state._replace(levels=tuple(level._replace(short=None) for level in state.levels))
    quick, exact = (np.asarray(plus.score(one, plus.embed(query))) for one in (state, whole))
    assert (quick >= exact * (1 - 1e-5)).all()
    assert_close(quick, exact, 2e-2)


@pytest.mark.parametrize(
    ("count", "settings", "kept"),
    [
        (100, PLAIN, 100),
        (100 * plus.ROWS, PLAIN, plus.ROWS),
        (10_000, ONE_WAY, 8192),
        (100, plus.Settings(light=False, coreset_ratio=0.25), 25),
        (100, plus.Settings(turns="auto", coreset_ratio=0.25), 25 * (1 + LIGHT + TURNS)),
        (100, plus.Settings(coreset_rows=1000), 100 * (1 + LIGHT)),
        (100 * plus.ROWS, None, plus.ROWS),
    ],
)
def test_rows(count, settings, kept):
    assert plus.rows(count, settings) == kept


def test_a_coreset_keeps_rows_of_the_bank():
    features = embed(stages(10, 3))
    thinned = plus.Settings(light=False, coreset_ratio=0.25)
    whole, part = plus.fit(features), plus.fit(features, settings=thinned)
    for all_of, some in zip(whole.levels, part.levels, strict=True):
        assert some.bank.shape[0] == all_of.bank.shape[0] // 4
        assert {tuple(row) for row in np.asarray(some.bank).tolist()} <= {
            tuple(row) for row in np.asarray(all_of.bank).tolist()
        }


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"coreset_rows": 0}, "--coreset_rows=0 is not allowed: it must be a number at least 1"),
        ({"coreset_rows": 5, "coreset_ratio": 0.5}, "--coreset_rows=5 is not allowed: --coreset_ratio stands instead"),
        ({"turns": "always"}, "--turns=always is not allowed: it must be one of never, auto"),
    ],
)
def test_settings_that_cannot_be(values, message):
    with pytest.raises(InputError, match=message):
        plus.Settings(**values)


def piece_on_ground(seed, *, missing=False, sides=(32, 16, 8), channels=(5, 6, 7)):
    """An image whose features are those of a ground, with a piece a quarter of a side wide; or of the ground alone."""
    rng, shape = np.random.default_rng(seed), np.random.default_rng(99)
    made = []
    for side, c in zip(sides, channels, strict=True):
        ground, piece = np.abs(shape.standard_normal((2, c))) + 0.5
        stage = ground + 0.1 * rng.standard_normal((side, side, c))
        if not missing:
            stage[side // 4 : side // 2, side // 2 : side * 3 // 4] += piece - ground
        made.append(jnp.asarray(stage, jnp.float32))
    return tuple(made)


def test_a_missing_piece_scores_where_it_should_be():
    """All of the query is ground, which good images have, too: only what it lacks tells."""
    support = embed(jax.tree.map(lambda *images: jnp.stack(images), *(piece_on_ground(seed) for seed in range(4))))
    both, forward = (plus.fit(support, settings=settings) for settings in (PLAIN, ONE_WAY))
    good, lacking = (plus.embed(piece_on_ground(10, missing=missing)) for missing in (False, True))
    assert plus.score(forward, lacking).max() < 1.1 * plus.score(forward, good).max()
    patches = np.asarray(plus.score(both, lacking))
    assert patches.max() > 2 * plus.score(forward, lacking).max()
    assert patches.max() > 2 * plus.score(both, good).max()
    inside = np.zeros((16, 16), bool)
    inside[4:8, 8:12] = True
    assert patches[inside].min() > 1.5 * patches[~inside].max()


def test_the_query_need_not_have_what_only_some_good_images_have():
    images = (piece_on_ground(seed, missing=seed < 2) for seed in range(4))
    support = embed(jax.tree.map(lambda *images: jnp.stack(images), *images))
    both, forward = (plus.fit(support, settings=settings) for settings in (PLAIN, ONE_WAY))
    for missing in (False, True):
        query = plus.embed(piece_on_ground(10, missing=missing))
        assert plus.score(both, query).max() < 1.1 * plus.score(forward, query).max()


def in_directions(seed, directions, *, sides=(8, 4), channels=(5, 6)):
    """Features of images of a part that lie in these directions, in quarters, and of their copies turned by quarters.

    An encoder is not the same in all directions: the part has other features in each.
    """
    rng, part, support, copies = np.random.default_rng(seed), np.random.default_rng(98), [], []
    for side, c in zip(sides, channels, strict=True):
        looks = part.standard_normal((4, side, side, c))
        turned = [[looks[(way + quarters) % 4] for quarters in range(4)] for way in directions]
        turned = (turned + 0.1 * rng.standard_normal(np.shape(turned)) + 3).astype(np.float32)
        support.append(jnp.asarray(turned[:, 0]))
        copies.append(jnp.asarray(turned[:, 1:]))
    return tuple(support), tuple(copies)


def in_metric(level, features):
    """Features as rows in the coordinates of a level."""
    return np.asarray(whitening.apply(level.metric, features.reshape(-1, features.shape[-1])))


def holds(level, features):
    """Which of these features are rows of the bank."""
    return reference.distances(in_metric(level, features), np.asarray(level.bank)).min(1) < 1e-5


def test_turned_copies_stay_where_images_come_in_every_direction():
    settings = plus.Settings(light=False, turns="auto")
    support, copies = in_directions(0, [0, 1, 2])
    state = plus.fit(support, None, copies, settings=settings)
    for level, images, turned in zip(state.levels, support, copies, strict=True):
        assert holds(level, images).all() and holds(level, turned).all()
    # All features of an image in the direction that was not photographed are as good as any.
    query = tuple(stage[0] for stage in in_directions(1, [3])[0])
    turned, without = (plus.directions(one, query).forward for one in (state, plus.fit(support)))
    assert np.exp(turned.max()) < 0.5 * np.exp(without.max())


@pytest.mark.parametrize("directions", [[0, 0, 0], [2, 2], [1]])
def test_turned_copies_are_left_out_where_images_lie_in_one_direction(directions):
    """And of one image nobody knows. The images stand in for them: the fit is the one without."""
    support, copies = in_directions(2, directions)
    state = plus.fit(support, None, copies, settings=plus.Settings(light=False, turns="auto"))
    without = plus.fit(support, settings=PLAIN)
    for level, plain, images, turned in zip(state.levels, without.levels, support, copies, strict=True):
        assert holds(level, images).all() and not holds(level, turned).any()
        assert_close(level.metric.mean, plain.metric.mean)
        assert_close(level.views, plain.views, 1e-4)
    query = tuple(stage[0] for stage in in_directions(3, [3])[0])
    assert_close(plus.score(state, query), plus.score(without, query), 1e-4)


def test_turned_copies_that_are_left_out_leave_the_lit_ones():
    support, turned = in_directions(4, [0, 0, 0])
    lit = tuple(1.2 * stage[:, :LIGHT] for stage in in_directions(5, [0, 0, 0])[1])
    copies = tuple(jnp.concatenate(pair, axis=1) for pair in zip(lit, turned, strict=True))
    few = {"coreset_rows": 30}
    state = plus.fit(support, None, copies, settings=plus.Settings(turns="auto", **few))
    expected = plus.fit(support, None, lit, settings=plus.Settings(**few))
    query = tuple(stage[0] for stage in in_directions(6, [0])[0])
    assert_close(plus.score(state, query), plus.score(expected, query), 1e-4)


def test_lit_copies_are_in_the_metric_and_the_bank():
    support, copies = embed(stages(11, 2)), embed_copies(stages(12, 2, LIGHT))
    lit, plain = plus.fit(support, None, copies, settings=plus.Settings()), plus.fit(support)
    for level, other, images, changed in zip(lit.levels, plain.levels, support, copies, strict=True):
        assert level.bank.shape[0] == (1 + LIGHT) * other.bank.shape[0]
        assert holds(level, images).all() and holds(level, changed).all()
        assert not np.allclose(level.metric.matrix, other.metric.matrix, rtol=1e-2)
        # Only the images as they are get looked for.
        assert level.views.shape == other.views.shape
    darker = plus.embed([stage[0, 0] for stage in stages(12, 2, LIGHT)])
    assert plus.score(lit, darker).max() < plus.score(plain, darker).max()


@pytest.mark.parametrize("settings", [ALL, PLAIN, plus.Settings(coreset_rows=15)], ids=["all", "plain", "few rows"])
@pytest.mark.parametrize("k", [2, 5, plus.VIEWS])
def test_the_order_of_the_support_changes_nothing(k, settings):
    support, query = embed(stages(13, k)), plus.embed(stages(14))
    copies = embed_copies(stages(15, k, copies_of(settings))) if settings.copies else ()
    order = np.random.default_rng(k).permutation(k)[::-1]
    reordered = jax.tree.map(lambda x: x[order], (support, copies))
    first, second = (plus.fit(one, None, more, settings=settings) for one, more in ((support, copies), reordered))
    assert_close(plus.score(second, query), plus.score(first, query), 1e-4)


def test_at_most_so_many_images_are_looked_for():
    for k, expected in ((2, 2), (plus.VIEWS, plus.VIEWS), (3 * plus.VIEWS + 1, plus.VIEWS)):
        assert plus.fit(embed(stages(16, k))).levels[0].views.shape[0] == expected


@pytest.mark.parametrize(
    ("settings", "given", "asked"),
    [(ALL, LIGHT, LIGHT + TURNS), (ALL, 0, LIGHT + TURNS), (PLAIN, LIGHT, 0), (plus.Settings(), 1, LIGHT)],
)
def test_another_number_of_copies_is_refused(settings, given, asked):
    copies = embed_copies(stages(18, 2, given)) if given else ()
    with pytest.raises(ValueError, match=f"the settings ask for {asked} copies of each support image"):
        plus.fit(embed(stages(17, 2)), None, copies, settings=settings)
