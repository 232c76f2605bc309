"""Which part of photographs is inspected: shapes, regions, and what is ignored."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import area, fitting, inspector, part_file, photos
from fastrecon_jax.parts.engine import make_engine, open_engine
from tests.parts.helpers import engine, picture, recipe, settings
from tests.parts.test_part_file import rewrite

SIZE = (120, 90)  # of photographs; of the resized ones (64, 48)
KEEP = {"resize": "keep", "image_size": 64, "crop_size": 0}


def wide(method="fastrecon", usual=SIZE, region=(), **changes):
    return area.decide(recipe(method, **(KEEP | changes)), usual, region)


def part_of(known, count=3, **options):
    good = [photos.load(picture(seed, size=SIZE), known.recipe.preprocessing, name=f"{seed}") for seed in range(count)]
    return inspector.create(fitting.fit(known, good, name="disc", rate=0.05, **options).part, known)


def inspect(part, image):
    return inspector.inspect(part, [photos.load(image, part.part.recipe.preprocessing)], batch_size=1)[0]


def corner(width=30):
    """A mask of the left side of photographs."""
    mask = np.zeros(SIZE[::-1], bool)
    mask[:, :width] = True
    return mask


@pytest.mark.parametrize(("method", "count"), [*((name, 2) for name in methods.feature_names()), ("fastrecon+", 1)])
def test_every_method_inspects_rectangles(method, count):
    part = part_of(make_engine(wide(method), engine(method).encoder), count)
    good, defective = (inspect(part, picture(9, size=SIZE, defective=bad)) for bad in (False, True))
    assert good.map.shape == defective.map.shape == (48, 64)
    assert defective.map.max() > good.map.max()
    (region, *_) = defective.regions or [None]
    if region is not None:
        assert region.x + region.width <= SIZE[0] and region.y + region.height <= SIZE[1]


def test_the_most_frequent_shape_decides(tmp_path):
    sizes = [(40, 30), (30, 40), (30, 40), (40, 30), (30, 40)]
    images = [Image.new("RGB", size) for size in sizes]
    assert area.usual_size(images) == (30, 40)
    images[0].save(tmp_path / "a.png")
    (tmp_path / "b.png").write_text("no image")
    assert area.usual_size([tmp_path / "a.png", str(tmp_path / "b.png"), tmp_path / "none.png"]) == (40, 30)
    assert area.usual_size([tmp_path / "b.png"]) is None
    assert wide(usual=(30, 40)).shape == (64, 48)
    assert wide(usual=None).shape == (64, 64)
    assert wide(resize="stretch").shape == (64, 64)
    assert wide(resize="crop", crop_size=32).shape == ()
    assert wide(region=(10, 20, 30, 60)).shape == (64, 32)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(("keep", 256), 0), (("stretch", 300), 0), (("crop", 256), 224), (("crop", 32), 32), (("crop", 256, 200), 200)],
)
def test_the_centre_that_is_kept(arguments, expected):
    assert area.crop_size(*arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("letterbox", 256), "--resize=letterbox is not allowed: allowed are keep, stretch, crop"),
        (
            ("keep", 256, 224),
            "--crop_size=224 needs --resize=crop: with --resize=keep the whole photograph is",
        ),
        (("crop", 256, 300), "--crop_size=300 is not allowed: it must be from 32 to --image_size=256"),
        (("keep", 31), "--image_size=31 is not allowed: it must be from 32 to 4096"),
    ],
)
def test_sizes_that_are_not_possible(arguments, message):
    with pytest.raises(InputError, match=message):
        area.crop_size(*arguments)


@pytest.mark.parametrize("region", [(0, 0, 121, 10), (-1, 0, 5, 5), (10, 10, 0, 5), (120, 0, 1, 1), (1, 2, 3)])
def test_regions_outside_of_the_photographs(region):
    with pytest.raises(InputError, match=r"--region=.* of a rectangle inside of the good images, which have 120x90"):
        wide(region=region)


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "inspected: the whole photograph, at 64x48 pixels"),
        (
            {"region": (0, 9, 80, 40)},
            "inspected: 80x40 pixels from (0, 9) on, of photographs of 120x90, at 64x32 pixels",
        ),
        (
            {"resize": "crop", "image_size": 64, "crop_size": 56},
            "inspected: the middle 88 % of each side, 77 % of the area; --resize=keep inspects all",
        ),
        ({"resize": "crop", "image_size": 64, "crop_size": 64}, "inspected: the whole photograph, at 64x64 pixels"),
    ],
)
def test_it_is_said(changes, expected):
    assert area.describe(make_engine(wide(**changes), engine().encoder)) == expected


def test_what_is_ignored_is_said():
    known = wide()
    ignore = area.read_ignore(corner(), known, SIZE)
    assert ignore.shape == (48, 64) and ignore[:, :16].all() and not ignore[:, 16:].any()
    said = area.describe(make_engine(known, engine().encoder, ignore))
    assert said == "inspected: the whole photograph, at 64x48 pixels; 25 % of it is ignored"


def test_a_region_alone_is_inspected():
    part = part_of(make_engine(wide(region=(30, 15, 60, 60)), engine().encoder))
    good = picture(9, size=SIZE)
    outside, inside = good.copy(), good.copy()
    outside.paste((255, 0, 0), (0, 0, 30, 90))
    inside.paste((255, 0, 0), (34, 20, 44, 30))
    assert inspect(part, outside).score == inspect(part, good).score
    found = inspect(part, inside)
    assert found.score > inspect(part, good).score
    assert found.verdict == "defective"
    assert 30 <= found.regions[0].x <= 40 and 15 <= found.regions[0].y <= 26
    # A photograph of twice the size: the same region of it.
    large = inside.resize((240, 180), Image.Resampling.NEAREST)
    assert abs(inspect(part, large).regions[0].x - 2 * found.regions[0].x) <= 4


@pytest.mark.parametrize("method", [name for name in methods.feature_names() if name != "spade"])
def test_what_is_ignored_is_never_scored(method):
    known = wide(method)
    ignore = area.read_ignore(corner(40), known, SIZE)
    part = part_of(make_engine(known, engine(method).encoder, ignore))
    assert part.part.ignore is ignore
    bad = picture(9, size=SIZE)
    bad.paste((255, 0, 0), (2, 20, 14, 70))
    found = inspect(part, bad)
    assert not found.map[ignore].any()
    assert found.map[~ignore].any()
    # Without the mask the red bar is far from all that is good; with it, it is seen from afar at most.
    whole = part_of(make_engine(known, engine(method).encoder))
    seen = inspect(whole, bad)
    assert seen.score > whole.part.limits.threshold
    assert found.score < seen.score
    assert part.part.limits.floor > 0


@pytest.mark.parametrize("method", ["fastrecon", "fastrecon+"])
def test_one_photograph_with_a_mask_is_calibrated_by_what_is_scored(method):
    known = wide(method)
    mask = np.zeros(SIZE[::-1], bool)
    mask[:, 60:] = True  # the right half: nothing of it can be scored by a model of the left
    part = part_of(make_engine(known, engine(method).encoder, area.read_ignore(mask, known, SIZE)), 1)
    assert 0.01 * part.part.limits.threshold < part.part.good[0].score + part.part.limits.borderline


def test_masks_of_every_kind(tmp_path):
    known, marked = wide(), corner()
    Image.fromarray(marked).save(tmp_path / "mask.png")
    whole = area.read_ignore(marked, known, SIZE)
    half = Image.fromarray(marked.astype(np.uint8) * 255).resize((60, 45), Image.Resampling.NEAREST)
    for mask in (str(tmp_path / "mask.png"), tmp_path / "mask.png", marked.astype(np.uint8) * 255, half):
        np.testing.assert_array_equal(area.read_ignore(mask, known, SIZE), whole)
    centre = area.read_ignore(marked, recipe(resize="crop", image_size=80, crop_size=60), SIZE)
    assert centre.shape == (60, 60) and centre[:, :10].all() and not centre[:, 10:].any()


@pytest.mark.parametrize(
    ("mask", "message"),
    [
        (np.zeros((90, 120), bool), "marks nothing that is inspected"),
        (np.ones((90, 120), bool), "marks everything that is inspected"),
        (np.eye(90, dtype=bool), "has 90x90 pixels, other proportions than the good images of 120x90"),
    ],
)
def test_masks_that_cannot_be_meant(mask, message):
    with pytest.raises(InputError, match=message):
        area.read_ignore(mask, wide(), SIZE)


def test_a_mask_that_is_no_image(tmp_path):
    with pytest.raises(InputError, match=r"--ignore=.*none.png cannot be read"):
        area.read_ignore(tmp_path / "none.png", wide(), SIZE)
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(InputError, match=r"--ignore=.*text.png is not an image"):
        area.read_ignore(tmp_path / "text.png", wide(), SIZE)


def test_methods_that_see_the_whole_image_refuse_a_mask():
    known = wide("spade")
    ignore = area.read_ignore(corner(), known, SIZE)
    with pytest.raises(InputError, match="--ignore is not possible with --method=spade"):
        make_engine(known, engine("spade").encoder, ignore)
    assert make_engine(dataclasses.replace(known, image_score="max"), engine("spade").encoder, ignore).ignore is ignore


def test_a_part_keeps_region_and_mask_and_is_extended_with_them(tmp_path):
    known = wide(region=(10, 5, 100, 80))
    part = part_of(make_engine(known, engine().encoder, area.read_ignore(corner(), known, SIZE)))
    file = tmp_path / "disc.safetensors"
    part_file.save(part.part, file)
    loaded, opened = part_file.load(file, open_engine)
    assert loaded.recipe == part.part.recipe
    assert (loaded.recipe.shape, loaded.recipe.region) == ((48, 64), (10, 5, 100, 80, 120, 90))
    np.testing.assert_array_equal(loaded.ignore, part.part.ignore)
    bad = picture(9, size=SIZE, defective=True)
    assert inspect(inspector.create(loaded, opened), bad).score == inspect(part, bad).score
    more = photos.load(picture(7, size=SIZE), known.preprocessing)
    extended = fitting.extend(opened, loaded, [more]).part
    np.testing.assert_array_equal(extended.ignore, part.part.ignore)
    assert extended.recipe == loaded.recipe


@pytest.mark.parametrize("number", [3, 4, 5])
def test_a_part_of_an_older_format_inspects_the_centre_as_it_did(tmp_path, number):
    part = part_of(engine("nearest"))
    file = tmp_path / "disc.safetensors"
    part_file.save(part.part, file)

    def older(header):
        header["format"] = number
        del header["appearance"]
        for name in ("resize", "shape", "region"):
            del header["recipe"][name]

    rewrite(file, older)
    loaded, opened = part_file.load(file, open_engine)
    assert loaded.recipe == part.part.recipe and loaded.ignore is None
    bad = picture(9, size=SIZE, defective=True)
    before, after = (inspect(one, bad) for one in (part, inspector.create(loaded, opened)))
    np.testing.assert_array_equal(before.map, after.map)
    assert (before.score, before.regions) == (after.score, after.regions)


@pytest.mark.parametrize(
    "change",
    [
        {"shape": [48, 65]},
        {"shape": [48]},
        {"shape": [16, 64]},
        {"resize": "letterbox"},
        {"resize": "crop"},
        {"crop_size": 48},
        {"region": [1, 2, 3]},
        {"region": [0, 0, 200, 10, 100, 90]},
    ],
)
def test_headers_whose_sizes_cannot_be(tmp_path, change):
    part = part_of(make_engine(wide(), engine().encoder))
    part_file.save(part.part, tmp_path / "disc.safetensors")
    rewrite(tmp_path / "disc.safetensors", lambda header: header["recipe"].update(change))
    with pytest.raises(InputError, match="is damaged: "):
        part_file.load(tmp_path / "disc.safetensors", open_engine)


@pytest.mark.parametrize("array", [np.zeros((48, 64)), np.ones((48, 64)), np.eye(48)])
def test_masks_of_a_file_that_cannot_be(tmp_path, array):
    part = part_of(make_engine(wide(), engine().encoder))
    part_file.save(part.part, tmp_path / "disc.safetensors")
    mask = {"ignore": array.astype(np.uint8)}
    rewrite(tmp_path / "disc.safetensors", lambda header: None, lambda tensors: tensors | mask)
    with pytest.raises(InputError, match="is damaged: ignore is of another shape or type, or marks everything or"):
        part_file.load(tmp_path / "disc.safetensors", open_engine)


def test_turned_copies_of_rectangles():
    known = make_engine(wide("fastrecon+", settings=settings("fastrecon+", turns="auto")), engine("fastrecon+").encoder)
    assert inspect(part_of(known), picture(9, size=SIZE)).map.shape == (48, 64)
