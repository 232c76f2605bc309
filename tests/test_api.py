"""`Inspector`, as a program or a notebook uses it."""

import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

import fastrecon_jax
from fastrecon_jax import FastRecon, Finding, Inspector, methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import patchcore
from tests.parts.helpers import picture, write

TINY = {"encoder": "resnet18", "stages": ("layer1", "layer2"), "weights": "random", "image_size": 72, "crop_size": 64}
TINY |= {"resize": "crop"}
TINY |= {"method": "fastrecon", "settings": {"coreset_ratio": 0.1}}


class Tensor:
    """Something else that NumPy reads, as tensors of other libraries are."""

    def __init__(self, array):
        self._array = array

    def __array__(self, dtype=None, copy=None):
        return self._array


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Four good photographs."""
    return write(tmp_path_factory.mktemp("api") / "good", 4)


@pytest.fixture(scope="module")
def part(folder):
    return Inspector.fit(folder, name="disc", **TINY)


def test_a_folder_a_pattern_and_paths_are_the_same_photographs(part, folder):
    paths = sorted(folder.iterdir())
    expected = part.score(paths)
    assert expected.shape == (4,) and expected.dtype == np.float32
    for images in (
        folder,
        str(folder),
        f"{folder}/*.png",
        [str(paths[0]), *paths[1:]],
        [f"{folder}/00[01].png", *paths[2:]],
    ):
        np.testing.assert_array_equal(part.score(images), expected)


def test_arrays_of_any_library_and_pillow_images_are_photographs(part):
    image = picture(7)
    array = np.asarray(image)
    (expected,) = part.score(image)
    for images in (array, array[None], jnp.asarray(array), Tensor(array), [Tensor(array)], (image,)):
        np.testing.assert_array_equal(part.score(images), [expected])
    assert part.predict([array, image])[1].name == "image 1"


def test_nothing_to_inspect_is_an_empty_list(part):
    assert part.predict([]) == []


def test_findings_say_what_they_are_and_draw_themselves(part, folder, tmp_path):
    write(tmp_path, 1, start=9, defective=True)
    finding, good = part.predict([tmp_path / "009.png", folder / "000.png"])
    assert isinstance(finding, Finding)
    assert finding.name == str(tmp_path / "009.png")
    assert finding.verdict == "defective" and finding.score > finding.threshold == part.threshold
    assert finding.p_value < good.p_value
    assert finding.map.shape == (64, 64)
    drawn = finding.overlay()
    assert (drawn.mode, drawn.size) == ("RGB", (90, 80))
    photograph = Image.open(tmp_path / "009.png").convert("RGB")
    changed = np.abs(np.asarray(drawn, int) - np.asarray(photograph, int)).sum(-1)
    high = np.asarray(Image.fromarray(finding.map).resize((90, 80))) > finding.map.max() / 2
    assert changed[10:-10, 10:-10][high[10:-10, 10:-10]].min() > 0  # the map shows where it is high
    assert finding.regions
    assert max(finding.overlay(side=40).size) == 40
    assert finding._repr_png_().startswith(b"\x89PNG")
    with pytest.raises(ValueError, match="side is 0"):
        finding.overlay(side=0)


def test_more_photographs_than_a_batch(part):
    images = [picture(seed) for seed in range(11)]
    together = part.score(images)
    np.testing.assert_allclose(together, [part.score(image)[0] for image in images], rtol=1e-5)


def test_a_method_may_be_an_object_and_settings_a_mapping(folder):
    known = {key: value for key, value in TINY.items() if key not in ("method", "settings")}
    by_name = Inspector.fit(folder, method="patchcore", settings={"coreset_ratio": 0.2}, **known)
    by_settings = Inspector.fit(folder, method="patchcore", settings=patchcore.Settings(coreset_ratio=0.2), **known)
    by_object = Inspector.fit(folder, method=methods.create("patchcore", {"coreset_ratio": 0.2}), **known)
    assert by_name.part.recipe == by_settings.part.recipe == by_object.part.recipe
    np.testing.assert_array_equal(by_name.score(folder), by_object.score(folder))


def test_the_name_of_the_method_and_the_general_name_are_one_class(part, folder, tmp_path):
    assert FastRecon is Inspector is fastrecon_jax.Inspector
    part.save(tmp_path / "disc.safetensors")
    again = FastRecon.load(tmp_path / "disc.safetensors")
    np.testing.assert_array_equal(again.score(folder), part.score(folder))
    assert repr(again).startswith("Inspector('disc', fastrecon, resnet18, 4 good images, threshold ")


def test_built_in_photographs_are_good_ones_to_fit_and_test_ones_to_inspect():
    known = {key: value for key, value in TINY.items() if key not in ("method", "settings")}
    gear = Inspector.fit("demo:gear", **known)
    assert len(gear.part.good) == 4
    names = [finding.name for finding in gear.predict("demo:gear")]
    assert len(names) == 48
    assert {name.split("/")[-2] for name in names} > {"good", "rust"}


@pytest.mark.parametrize(
    ("images", "message"),
    [
        ("nowhere/*.png", r"nowhere/\*\.png matches no image"),
        ([np.zeros((4, 4, 7), np.uint8)], r"image 0 has the shape \(4, 4, 7\)"),
        ([np.zeros((4, 4), np.float64)], "image 0 holds float64"),
    ],
)
def test_what_is_no_photograph_is_refused(part, images, message):
    with pytest.raises(InputError, match=message):
        part.predict(images)


def test_a_region_and_a_mask_from_python(folder):
    known = {name: value for name, value in TINY.items() if name != "crop_size"}
    mask = np.zeros((80, 90), bool)
    mask[:40] = True
    part = Inspector.fit(folder, ignore=mask, region=(5, 0, 85, 80), **(known | {"resize": "keep", "image_size": 64}))
    assert part.part.recipe.region == (5, 0, 85, 80, 90, 80)
    (found,) = part.predict(picture(7))
    assert found.map.shape == (64, 64)
    assert not found.map[:32].any() and found.map[33:].all()
    assert found.overlay().size == (90, 80)
    more = part.extend(picture(9))
    np.testing.assert_array_equal(more.part.ignore, part.part.ignore)
    assert not more.predict(picture(7))[0].map[:32].any()
    with pytest.raises(InputError, match="--crop_size=64 needs --resize=crop"):
        Inspector.fit(folder, crop_size=64)
