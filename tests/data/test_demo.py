"""The built-in data set: complete, reproducible, with masks of exactly what is wrong."""

import pathlib

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import demo
from fastrecon_jax.data.demo import camera, canvas, layout, textures
from fastrecon_jax.errors import InputError

KINDS = [(name, kind) for name, part in layout.PARTS.items() for kind in part.defects]


@pytest.fixture(scope="module")
def built(tmp_path_factory) -> pathlib.Path:
    directory = tmp_path_factory.mktemp("built") / "demo"
    demo.build(directory)
    return directory


def contents(directory: pathlib.Path) -> dict[str, bytes]:
    return {str(file.relative_to(directory)): file.read_bytes() for file in directory.rglob("*.png")}


def scenes(name: str, kind: str, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """The same part without and with a defect."""
    paint = layout.PARTS[name].paint
    defect = canvas.Defect(kind, np.random.default_rng(seed + 1))
    return paint(np.random.default_rng(seed), "test"), paint(np.random.default_rng(seed), "test", defect)


@pytest.mark.parametrize("name", demo.CATEGORIES)
def test_each_category_has_the_layout_of_mvtec(built, name):
    assert len(list((built / name / "train" / "good").glob("*.png"))) == 24
    assert len(list((built / name / "test" / "good").glob("*.png"))) == 24
    kinds = {folder.name for folder in (built / name / "test").iterdir()} - {"good"}
    assert len(kinds) >= 3
    assert {folder.name for folder in (built / name / "ground_truth").iterdir()} == kinds
    defective = [file for kind in kinds for file in (built / name / "test" / kind).glob("*.png")]
    assert len(defective) == 24
    for file in defective:
        assert (built / name / "ground_truth" / file.parent.name / f"{file.stem}_mask.png").is_file()


def test_images_are_small_colour_pictures(built):
    files = [file for file in built.rglob("*.png") if "ground_truth" not in file.parts]
    for file in files:
        with Image.open(file) as image:
            assert (image.size, image.mode) == ((256, 256), "RGB")
    assert sum(file.stat().st_size for file in built.rglob("*.png")) < 60e6


def test_masks_are_binary_visible_and_no_larger_than_a_quarter(built):
    for file in built.rglob("*_mask.png"):
        with Image.open(file) as image:
            assert (image.size, image.mode) == ((256, 256), "L")
            mask = np.asarray(image)
        assert set(np.unique(mask).tolist()) == {0, 255}
        assert 30 <= (mask > 0).sum() <= mask.size / 4
        # The usual centre crop to 224 pixels must not cut a defect off.
        assert (mask[16:-16, 16:-16] > 0).sum() >= 0.3 * (mask > 0).sum()


@pytest.mark.parametrize(("name", "kind"), KINDS)
def test_masks_mark_what_the_defect_changed(name, kind):
    clean, marred = scenes(name, kind)
    mask = camera.changed(clean, marred)
    change = np.abs(marred - clean).max(-1)
    assert np.median(change[mask]) > 0.035
    assert change[~mask].mean() < 0.002


def test_an_image_depends_on_the_seed_and_its_own_name_only(built, tmp_path):
    demo.build(tmp_path / "again", categories=["gravel"])
    whole = {name: data for name, data in contents(built).items() if name.startswith("gravel")}
    assert contents(tmp_path / "again") == whole


def test_another_seed_makes_other_images(built, tmp_path):
    demo.build(tmp_path / "other", seed=1, categories=["gravel"])
    first, other = contents(built), contents(tmp_path / "other")
    assert not {first[name] for name in other} & set(other.values())


@pytest.mark.parametrize("paint", [textures.brick, textures.gravel])
def test_support_and_test_come_from_disjoint_halves_of_a_photograph(monkeypatch, paint):
    halves = np.full((512, 512), np.nan, np.float32)  # what neither may touch
    halves[:, slice(*textures.COLUMNS["train"])] = 0.25
    halves[:, slice(*textures.COLUMNS["test"])] = 0.8
    monkeypatch.setattr(textures, "_photograph", lambda name: halves)
    for seed in range(20):
        left, right = (paint(np.random.default_rng(seed), split) for split in ("train", "test"))
        assert left[..., 1].max() < 0.4 < 0.6 < right[..., 1].min()


def test_an_interrupted_build_leaves_nothing(monkeypatch, tmp_path):
    def interrupt(scene, rng):
        raise KeyboardInterrupt

    monkeypatch.setattr(camera, "photograph", interrupt)
    with pytest.raises(KeyboardInterrupt):
        demo.build(tmp_path / "demo", categories=["brick"])
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_holds_something_is_kept(tmp_path):
    (tmp_path / "mine").write_text("keep")
    demo.build(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["mine"]


def test_the_faster_of_two_builders_is_kept(monkeypatch, tmp_path):
    def meanwhile(root, tasks):
        (root / "slow").touch()
        (tmp_path / "demo").mkdir()
        (tmp_path / "demo" / "fast").touch()

    monkeypatch.setattr(layout, "_write_all", meanwhile)
    demo.build(tmp_path / "demo")
    assert [file.name for file in tmp_path.rglob("*")] == ["demo", "fast"]


def test_bad_requests_say_what_is_allowed(tmp_path):
    with pytest.raises(InputError, match=r"seed is -1; it must be 0 or more"):
        demo.build(tmp_path / "demo", seed=-1)
    with pytest.raises(InputError, match=r"unknown categories \['screw'\]; the demo has \['brick'"):
        demo.build(tmp_path / "demo", categories=["screw"])
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="is a file"):
        demo.build(tmp_path / "file")
