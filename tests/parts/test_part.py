"""Fitting, calibrating and extending a part."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.data import copies
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import area, auto_settings, calibration, fitting, inspector, limits, part_file, photos
from fastrecon_jax.parts.engine import open_engine
from tests.helpers import assert_close
from tests.parts.helpers import SIZES, engine, photo, picture, recipe, settings

GOOD = [photo(seed) for seed in range(5)]
each_method = pytest.mark.parametrize("method", methods.feature_names())


def fit(images=GOOD, method="fastrecon", rate=0.05):
    return fitting.fit(engine(method), images, name="disc", rate=rate)


@each_method
def test_held_out_scores_are_those_of_models_without_the_image(method):
    fitted = fit(method=method).part
    for i, one in enumerate(fitted.good):
        others = fit([good for j, good in enumerate(GOOD) if j != i], method).part
        (score,), _ = inspector.score(inspector.create(others, engine(method)), GOOD[i].pixels[None])
        assert_close(one.score, score, 1e-4)
    assert fitted.limits.scores == calibration.fit([one.score for one in fitted.good])


@each_method
def test_an_extended_part_is_that_of_all_images(method):
    extended = fitting.extend(engine(method), fit(GOOD[:3], method).part, GOOD[3:]).part
    at_once = fit(method=method).part
    assert extended.good == at_once.good
    assert extended.limits == at_once.limits
    jax.tree.map(np.testing.assert_array_equal, extended.state, at_once.state)
    jax.tree.map(np.testing.assert_array_equal, extended.stages, at_once.stages)
    jax.tree.map(np.testing.assert_array_equal, extended.pixels, at_once.pixels)


def test_a_part_of_one_image_with_copies_is_extended_to_that_of_all():
    fitted = fit(GOOD[:1], "fastrecon+").part
    assert 0 < fitted.limits.borderline <= fitted.limits.threshold < float("inf")
    extended, at_once = fitting.extend(engine("fastrecon+"), fitted, GOOD[1:]).part, fit(method="fastrecon+").part
    assert (extended.good, extended.limits) == (at_once.good, at_once.limits)
    jax.tree.map(np.testing.assert_array_equal, extended.state, at_once.state)


def test_copies_are_those_of_each_image_kind_by_kind():
    known = open_engine(recipe("fastrecon+", settings=settings("fastrecon+", turns="auto")))
    assert known.method.copies == ("light", "turns")
    pixels = np.stack([photo.pixels for photo in GOOD[:2]])
    changed = np.stack([np.concatenate([copies.make(one, (kind,)) for kind in ("light", "turns")]) for one in pixels])
    for stage, of_copies in zip(
        fitting.encode(known, changed.reshape(-1, *pixels.shape[1:])), fitting.encode_copies(known, pixels), strict=True
    ):
        assert_close(of_copies, stage.reshape(*changed.shape[:2], *stage.shape[1:]))
    assert fitting.encode_copies(engine(), pixels) == ()


@pytest.mark.parametrize("method", ["fastrecon", "fastrecon+"])
def test_a_part_with_rotated_copies_is_extended_and_kept(method, tmp_path):
    known = open_engine(recipe(method, support_copies=("flip",)))
    fitted = fitting.fit(known, GOOD[:2], name="disc", rate=0.05).part
    file = tmp_path / "disc.safetensors"
    part_file.save(fitted, file)
    read, engine_again = part_file.load(file, open_engine)
    assert read.recipe.support_copies == ("flip",)
    extended = fitting.extend(engine_again, read, GOOD[2:4]).part
    at_once = fitting.fit(known, GOOD[:4], name="disc", rate=0.05).part
    assert extended.limits == at_once.limits
    jax.tree.map(np.testing.assert_array_equal, extended.state, at_once.state)
    mirrored = GOOD[0]._replace(pixels=np.ascontiguousarray(GOOD[0].pixels[:, ::-1]))
    scores = [
        inspector.score(inspector.create(part, known), mirrored.pixels[None])[0][0]
        for part in (fitting.fit(known, GOOD[:2], name="disc", rate=0.05).part, fit(GOOD[:2], method).part)
    ]
    assert scores[0] < scores[1]


def test_a_part_remembers_its_tiles(tmp_path):
    known = open_engine(recipe("nearest", tile=(48, 16)))
    fitted = fitting.fit(known, GOOD[:3], name="disc", rate=0.05).part
    file = tmp_path / "disc.safetensors"
    part_file.save(fitted, file)
    read, again = part_file.load(file, open_engine)
    assert read.recipe.tile == (48, 16) and again.encoder.tiling == known.encoder.tiling
    (first,), _ = inspector.score(inspector.create(fitted, known), GOOD[4].pixels[None])
    (second,), _ = inspector.score(inspector.create(read, again), GOOD[4].pixels[None])
    (whole,), _ = inspector.score(
        inspector.create(fit(GOOD[:3], "nearest").part, engine("nearest")), GOOD[4].pixels[None]
    )
    assert first == second != whole
    assert fitting.extend(again, read, GOOD[3:4]).part.recipe.tile == (48, 16)
    assert "at 64x64 pixels, encoded in tiles of 48 pixels with an overlap of 16" in area.describe(
        open_engine(recipe("nearest", tile=(48, 16), resize="stretch", crop_size=0, image_size=64, shape=(64, 64)))
    )


def test_half_of_a_single_image_is_not_known_by_its_rotated_copies():
    plain, more = (open_engine(recipe("nearest", support_copies=kinds)) for kinds in ((), ("flip",)))
    limits_of = [fitting.fit(one, GOOD[:1], name="disc", rate=0.05).part.limits for one in (plain, more)]
    # Of half an image a mirrored copy of it shows the other half: the threshold must not fall by that.
    assert limits_of[1].threshold >= 0.5 * limits_of[0].threshold


def test_settings_are_chosen_from_defective_copies_alone():
    engines = [open_engine(recipe(settings=settings(lam="auto"), support_copies=kinds)) for kinds in ((), ("flip",))]
    chosen = [auto_settings.resolve(one, GOOD[:3]) for one in engines]
    assert chosen[0].recipe.settings == chosen[1].recipe.settings
    assert (chosen[0].method.copies, chosen[1].method.copies) == ((), ("flip",))


def test_copies_that_the_method_asks_for_itself_are_refused():
    with pytest.raises(InputError, match=r"--support_copies=light is not allowed: fastrecon\+ asks for these copies"):
        open_engine(recipe("fastrecon+", support_copies=("light",)))


@each_method
def test_defects_score_above_good_images(method):
    view = inspector.create(fit(method=method).part, engine(method))
    good, bad = ([photo(seed, defective=defective) for seed in range(10, 14)] for defective in (False, True))
    good, bad = (inspector.inspect(view, some, batch_size=4) for some in (good, bad))
    assert max(one.score for one in good) < min(one.score for one in bad)


def test_one_image_is_calibrated_with_a_warning():
    fitted = fit(GOOD[:1])
    assert fitted.warnings[0].startswith("one image says nothing of how much good parts differ")
    assert 0 < fitted.part.limits.borderline <= fitted.part.limits.threshold < float("inf")
    more = fitting.extend(engine(), fitted.part, GOOD[1:]).part
    assert more.limits == fit().part.limits


def test_copies_count_once():
    fitted = fit([*GOOD, GOOD[0], GOOD[1]])
    assert fitted.warnings[0] == "2 of 7 images are copies of others or known already, and do not count"
    assert fitted.part.limits == fit().part.limits
    again = fitting.extend(engine(), fit(GOOD[:4]).part, GOOD)
    assert again.warnings[0] == "4 of 5 images are copies of others or known already, and do not count"


def test_nothing_to_add():
    with pytest.raises(InputError, match="knows all of these images already"):
        fitting.extend(engine(), fit().part, GOOD[:2])
    with pytest.raises(InputError, match="cannot be extended: it was fitted with --extendable=false"):
        fitting.extend(engine(), fit().part._replace(stages=()), [photo(9)])


def test_no_image_and_no_rate():
    with pytest.raises(InputError, match="there is no image to fit"):
        fit([])
    for rate in (0.0, 1.0, float("nan")):
        with pytest.raises(InputError, match="must be above 0 and below 1"):
            fit(rate=rate)


def test_a_defective_one_among_the_good_is_the_odd_one():
    images = [*(photo(seed) for seed in range(7)), photo(20, defective=True)]
    warnings = [one for one in fit(images).warnings if "odd one out" in one]
    assert len(warnings) == 1
    assert warnings[0].startswith("20.png is the odd one out")


def test_nearly_the_same_image_twice():
    pixels = np.asarray(picture(0)).copy()
    pixels[40, 40] += 3
    twin = photos.load(pixels, SIZES, name="twin.png")
    assert any("nearly the same image twice: 0.png and twin.png" in one for one in fit([*GOOD, twin]).warnings)
    differing = [GOOD[0], *GOOD[2:]]  # the discs of 1 and 2 lie at the same place
    assert not any("nearly the same" in one for one in fit(differing).warnings)


def test_mixed_sizes():
    warnings = fit([*GOOD, photo(7, size=(120, 80))]).warnings
    assert any("different sizes: 90x80 (0.png, 1.png, 2.png and 2 more), 120x80 (7.png)" in one for one in warnings)


def test_a_rate_that_few_images_cannot_show():
    assert any("cannot show a false-positive rate of 1 %" in one for one in fit(rate=0.01).warnings)
    assert not any("cannot show" in one for one in fit(rate=0.25).warnings)


def test_stages_are_those_of_the_encoder_whatever_the_batch():
    pixels = np.stack([photo(seed).pixels for seed in range(11)])
    stages = fitting.encode(engine(), pixels)
    whole = engine().encode(engine().encoder, jnp.asarray(pixels))
    for one, other in zip(stages, whole, strict=True):
        assert_close(one, other)


def test_colours_and_regions_are_on_one_scale_fixed_at_the_fit():
    scale = fit().part.limits
    assert 0 < scale.floor < scale.seed < scale.ceiling
    assert scale.extent is None  # each region ends at a share of its own peak


def test_limits_at_another_rate_are_those_of_a_fit_at_it():
    at_once, later = fit(rate=0.2).part.limits, limits.at_rate(fit(rate=0.05).part.limits, 0.2)
    assert at_once == later


def test_limits_at_a_threshold_are_those_of_its_rate_in_the_same_colours():
    before = fit(rate=0.05).part.limits
    assert limits.at_threshold(before, before.threshold) is before
    other = limits.at_rate(before, 0.2)
    after = limits.at_threshold(before, other.threshold)
    assert after.rate == pytest.approx(0.2, rel=1e-6)
    assert after.seed == pytest.approx(other.seed, rel=1e-6)
    assert (after.threshold, after.floor, after.ceiling) == (other.threshold, before.floor, before.ceiling)
    assert limits.at_threshold(before, 1e99).rate == 1e-9
