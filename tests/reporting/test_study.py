"""What a report measures, on a tiny part."""

import numpy as np
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import calibration, fitting, inspector
from fastrecon_jax.reporting import changes, study, subjects
from fastrecon_jax.reporting.study import Size, Span
from tests.helpers import assert_close
from tests.parts.helpers import engine, photo


def whole(method="fastrecon", count=3, **without):
    photos = [photo(seed) for seed in range(count)]
    part = fitting.fit(engine(method), photos, name="disc", rate=0.05).part
    return inspector.create(part._replace(**without), engine(method)), photos


@pytest.mark.parametrize("method", ["fastrecon", "fastrecon+"])
@pytest.mark.parametrize("extendable", [True, False])
def test_a_photograph_of_the_part_is_scored_by_a_model_of_the_others(method, extendable):
    """So that a copy that is not changed scores as in the calibration."""
    fitted, photos = whole(method, **({} if extendable else {"stages": (), "pixels": None}))
    given = [] if fitted.part.pixels is not None else photos[::-1]
    tried, how = subjects.choose(fitted, given)
    assert how == subjects.HELD_OUT
    scores = [inspector.score(one.inspector, one.pixels[None], batch_size=8)[0][0] for one in tried]
    assert_close(scores, [good.score for good in fitted.part.good], 1e-4)


def test_new_photographs_are_scored_by_the_part_itself():
    fitted, photos = whole()
    tried, how = subjects.choose(fitted, [*photos, photo(20), photo(21)])
    assert how == subjects.NEW
    assert [one.name for one in tried] == ["20.png", "21.png"]
    assert all(one.inspector is fitted for one in tried)


def test_a_single_photograph_is_known_as_seen():
    fitted, photos = whole(count=1)
    assert subjects.choose(fitted, photos)[1] == subjects.SEEN


def test_of_many_photographs_eight_are_tried():
    fitted, _ = whole(count=2)
    tried, _ = subjects.choose(fitted, [photo(seed) for seed in range(20, 40)])
    assert [one.name for one in tried] == [f"{seed}.png" for seed in (20, 22, 25, 27, 30, 32, 35, 37)]


def test_what_the_file_lacks_must_be_given():
    fitted, photos = whole(stages=(), pixels=None)
    with pytest.raises(
        InputError, match=r"part disc does not hold the pixels .* pass them, or other good ones, as --im"
    ):
        subjects.choose(fitted, [])
    with pytest.raises(
        InputError, match="--images names 2 of them and no other good photograph: pass all 3, or others"
    ):
        subjects.choose(fitted, photos[1:])


def test_the_smallest_size_is_that_from_which_on_all_are_found():
    def sizes(*found):
        return [Size(float(i), i / 100, share, 0.0, 10) for i, share in enumerate(found)]

    assert study._smallest(sizes(0.0, 0.95, 0.5, 0.9, 1.0)).pixels == 3
    assert study._smallest(sizes(0.9, 1.0)).pixels == 0
    assert study._smallest(sizes(1.0, 0.8)) is None


@pytest.mark.parametrize(
    ("stays", "expected"),
    [
        ((True, True, True, True, True), (-2, 2)),
        ((True, False, True, True, False), (0, 1)),
        ((False, False, True, False, True), (0, 0)),
        ((True, True, False, True, True), (None, None)),
    ],
)
def test_a_span_is_the_run_around_zero(stays, expected):
    assert study.span((-2.0, -1.0, 0.0, 1.0, 2.0), stays) == Span(*expected)


@pytest.mark.parametrize("change", changes.CHANGES, ids=lambda change: change.name)
@pytest.mark.parametrize("shape", [(64, 64), (48, 80)])
def test_changes_keep_the_shape_and_zero_is_no_change(change, shape):
    pixels = np.random.default_rng(0).integers(0, 255, (*shape, 3), dtype=np.uint8)
    assert list(change.amounts) == sorted(change.amounts)
    for amount in change.amounts:
        for copy in change.apply(pixels, amount):
            assert copy.shape == pixels.shape and copy.dtype == np.uint8
            assert np.array_equal(copy, pixels) == (amount == 0)


def test_a_shift_is_by_so_many_pixels():
    pixels = np.random.default_rng(0).integers(0, 255, (48, 80, 3), dtype=np.uint8)
    right, left, down, up = changes.CHANGES[0].apply(pixels, 4.0)
    np.testing.assert_array_equal(right[:, 4:], pixels[:, :-4])
    np.testing.assert_array_equal(left[:, :-4], pixels[:, 4:])
    np.testing.assert_array_equal(down[4:], pixels[:-4])
    np.testing.assert_array_equal(up[:-4], pixels[4:])


@pytest.mark.parametrize("count", [1, 4, 16])
def test_more_images_narrow_the_interval(count):
    fitted, _ = whole(count=min(count, 4))
    scores = fitted.part.limits.scores
    rows = study.precision(scores, 0.05)
    assert (rows[0].low, rows[0].high) == calibration.rate_interval(scores, 0.05)
    assert rows[0].threshold == pytest.approx(fitted.part.limits.threshold)
    assert [row.images for row in rows] == [scores.count, *(n for n in (2, 4, 8, 16, 32, 64, 100) if n > scores.count)]
    widths = [row.high - row.low for row in rows if row.images >= 8]
    assert widths == sorted(widths, reverse=True)


def test_large_defects_and_frames_without_the_part_are_told_from_good_ones():
    fitted, photos = whole()
    tried, _ = subjects.choose(fitted, photos)
    counted = []
    found = study.defects(tried, batch_size=8, progress=counted.append)
    for defect in found:
        assert [size.count for size in defect.sizes] == [18] * len(study.SIZES)
        assert defect.sizes[-1].found >= defect.sizes[0].found
    assert any(defect.smallest for defect in found)
    sensitivities = study.sensitivities(tried, batch_size=8, progress=counted.append)
    assert sum(counted) == study.number_of_images(tried)
    for one in sensitivities:
        unchanged = next(amount for amount in one.amounts if amount.amount == 0)
        assert unchanged.median == pytest.approx(
            np.median([good.score for good in fitted.part.good]) / fitted.part.limits.threshold, rel=1e-4
        )
    frames = study.frames(fitted, np.stack([one.pixels for one in photos]), batch_size=8)
    assert {"white", "left half"} <= frames.keys()
