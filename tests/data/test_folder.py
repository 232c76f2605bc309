import os
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import datasets, folder, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.errors import InputError
from tests.data.parts import forbid, write_category

SIZES = Preprocessing(48, 40)


def load(sample):
    picture = samples.load_image(sample, samples.read(sample), SIZES)
    return picture.pixels, samples.load_mask(sample, picture.size, SIZES)


def test_categories_are_found_by_looking(tmp_path):
    write_category(write_category(tmp_path, "nut"), "bolt")
    (tmp_path / "notes").mkdir()
    assert folder.categories(tmp_path) == ("bolt", "nut")


def test_a_category_lists_its_images_and_masks(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    assert [s.name for s in category.train] == [f"train/good/{i:03}.png" for i in range(4)]
    assert [s.defect for s in category.test] == ["good"] * 3 + ["scratch"] * 3
    assert [s.defective for s in category.test] == [False] * 3 + [True] * 3
    assert category.has_masks
    image, mask = load(category.test[-1])
    assert image.shape == (40, 40, 3)
    assert mask.sum() == 12 * 12
    assert not load(category.test[0])[1].any()


def test_endings_of_any_case_and_masks_without_suffix(tmp_path):
    root = write_category(tmp_path) / "part"
    (root / "train/good/000.png").rename(root / "train/good/000.PNG")
    Image.open(root / "train/good/001.png").save(root / "train/good/001.JPG")
    (root / "train/good/001.png").unlink()
    (root / "train/good/notes.txt").write_text("no image")
    for i in range(3):
        (root / f"ground_truth/scratch/{i:03}_mask.png").rename(root / f"ground_truth/scratch/{i:03}.BMP")
    category = folder.open_category(tmp_path, "part")
    assert [s.name.split("/")[-1] for s in category.train] == ["000.PNG", "001.JPG", "002.png", "003.png"]
    assert category.has_masks


def test_without_a_folder_of_masks_there_are_none(tmp_path):
    category = folder.open_category(write_category(tmp_path, masks=False), "part")
    assert not category.has_masks
    assert category.test[-1].read_mask is None


def test_a_missing_mask_is_named(tmp_path):
    write_category(tmp_path)
    (tmp_path / "part/ground_truth/scratch/001_mask.png").unlink()
    with pytest.raises(ValueError, match=r"test/scratch/001.png has no mask: expected .*001_mask.png or .*001.png"):
        folder.open_category(tmp_path, "part")


def test_a_mask_of_another_size_is_named(tmp_path):
    write_category(tmp_path)
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "part/ground_truth/scratch/000_mask.png")
    category = folder.open_category(tmp_path, "part")
    with pytest.raises(ValueError, match=r"mask of .*scratch/000.png is 9x8, it must be of the image's size, 48x48"):
        load(category.test[3])


def test_a_vanished_file_is_named(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    (tmp_path / "part/train/good/002.png").unlink()
    with pytest.raises(ValueError, match=r"train/good/002.png cannot be read: No such file"):
        load(category.train[2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda root: root / "absent", "does not exist or is not a directory"),
        (lambda root: root / ("x" * 300), "xxx cannot be read: File name too long"),
        (lambda root: root, "holds no category that can be read: expected folders CATEGORY/train/good"),
        (lambda root: write_category(root) / "part", "is itself a category: pass its parent"),
    ],
)
def test_directories_that_are_no_data_set(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        folder.categories(make(tmp_path))


def test_folders_that_cannot_be_read_are_no_categories(tmp_path, monkeypatch):
    write_category(write_category(tmp_path, "nut"), "bolt")
    forbid(monkeypatch, tmp_path / "bolt")
    assert folder.categories(tmp_path) == ("nut",)


@pytest.mark.parametrize("within", ["", "part/train/good", "part/test", "part/test/scratch", "part/ground_truth"])
def test_images_that_cannot_be_listed_are_not_left_out(tmp_path, monkeypatch, within):
    write_category(tmp_path)
    forbid(monkeypatch, tmp_path / within)
    with pytest.raises(ValueError, match=rf"{within}\S* cannot be (listed|read): Permission denied"):
        folder.categories(tmp_path) if within == "" else folder.open_category(tmp_path, "part")


def test_names_that_are_not_utf8_are_refused(tmp_path):
    write_category(tmp_path)
    odd = os.fsencode(tmp_path / "part/test/good") + b"/caf\xe9.png"
    os.rename(tmp_path / "part/test/good/000.png", odd)  # noqa: PTH104
    with pytest.raises(ValueError, match=r"test/good/caf\\xe9.png: the name is not UTF-8"):
        folder.open_category(tmp_path, "part")
    os.rename(tmp_path / "part", os.fsencode(tmp_path) + b"/caf\xe9")  # noqa: PTH104
    with pytest.raises(ValueError, match=r"caf\\xe9: the name is not UTF-8"):
        folder.categories(tmp_path)


def test_a_directory_in_place_of_an_image(tmp_path):
    write_category(tmp_path)
    (tmp_path / "part/train/good/000.png").unlink()
    (tmp_path / "part/train/good/000.png").mkdir()
    sample = folder.open_category(tmp_path, "part").train[0]
    with pytest.raises(ValueError, match=r"train/good/000.png cannot be read: Is a directory"):
        samples.read(sample)


def test_an_image_outside_of_its_category(tmp_path):
    with pytest.raises(ValueError, match=r"image .*other/x.png does not lie in .*part"):
        samples.from_file(tmp_path / "part", tmp_path / "other/x.png")


def test_fingerprints_change_with_the_files(tmp_path):
    def fingerprints():
        return samples.fingerprints(folder.open_category(tmp_path, "part"))

    write_category(tmp_path)
    first = fingerprints()
    assert [len(facts) for facts in first] == [2] * 7 + [3] * 3  # defective images have a mask
    assert first[0] == ["train/good/000.png", [(tmp_path / "part/train/good/000.png").stat().st_size, first[0][1][1]]]
    assert fingerprints() == first
    mask = tmp_path / "part/ground_truth/scratch/000_mask.png"
    os.utime(mask, ns=(0, 1))
    changed = fingerprints()
    assert [i for i in range(10) if changed[i] != first[i]] == [7]
    category = folder.open_category(tmp_path, "part")
    mask.unlink()
    with pytest.raises(ValueError, match=r"000_mask.png cannot be read: No such file"):
        samples.fingerprints(category)


def test_selecting_categories(tmp_path):
    write_category(write_category(tmp_path, "nut"), "bolt")
    dataset = datasets.open_dataset("", str(tmp_path))
    assert dataset.name == tmp_path.name
    assert datasets.select(dataset, ("all",)) == ("bolt", "nut")
    assert datasets.select(dataset, ("nut",)) == ("nut",)
    with pytest.raises(ValueError, match=r"unknown category 'screw' of .*: allowed are all, bolt, nut"):
        datasets.select(dataset, ("screw",))


@pytest.mark.parametrize(
    ("name", "message"),
    [("imagenet", "unknown dataset 'imagenet': allowed are demo, folder"), ("folder", "needs --data_dir")],
)
def test_unknown_data_sets(name, message):
    with pytest.raises(ValueError, match=message):
        datasets.open_dataset(name, "")


@pytest.mark.parametrize(
    ("counts", "message"),
    [
        ({"train": 1}, "category part has 1 good training images, --shots=2 needs at least 2"),
        ({"good": 0}, "category part has no good test images"),
        ({"defective": 0}, "category part has no defective test images"),
    ],
)
def test_categories_that_cannot_be_evaluated(tmp_path, counts, message):
    category = folder.open_category(write_category(tmp_path, **counts), "part")
    with pytest.raises(ValueError, match=message):
        samples.check(category, shots=2)


@pytest.mark.parametrize("limit", [2, 3, 5, 7])
def test_a_subset_keeps_both_kinds_spread_evenly(tmp_path, limit):
    category = folder.open_category(write_category(tmp_path, good=6, defective=10), "part")
    kept = samples.subset(category.test, limit)
    assert len(kept) == limit
    assert {s.defective for s in kept} == {False, True}
    assert list(kept) == sorted(kept, key=category.test.index)


def test_no_limit_keeps_all(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    assert samples.subset(category.test, 0) == samples.subset(category.test, 99) == category.test


@pytest.mark.parametrize("name", ["folder", "demo", "visa"])
@pytest.mark.parametrize("place", ["x" * 300, "loop", "loop/below", "secret/below"])
def test_places_that_cannot_be_looked_at(tmp_path, monkeypatch, name, place):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "secret").mkdir()
    forbid(monkeypatch, tmp_path / "secret")
    with pytest.raises(InputError, match=r"cannot be read: (File name too long|Too many levels|Permission denied)"):
        datasets.open_dataset(name, str(tmp_path / place))


@pytest.mark.parametrize("hidden", [".ipynb_checkpoints", "__MACOSX", "@eaDir", "$RECYCLE.BIN", "#recycle"])
@pytest.mark.parametrize("masks", [True, False])
def test_hidden_folders_are_no_defects(tmp_path, hidden, masks):
    root = write_category(tmp_path, masks=masks) / "part"
    names = [sample.name for sample in folder.open_category(tmp_path, "part").test]
    for place in (root / "test", root / "test/scratch", root / "train/good"):
        shutil.copytree(root / "test/good", place / hidden)
    category = folder.open_category(tmp_path, "part")
    assert [sample.name for sample in category.test] == names
    assert len(category.train) == 4


@pytest.mark.parametrize("hidden", [".cache", "__MACOSX", "@eaDir", "System Volume Information", "lost+found"])
def test_hidden_folders_are_no_categories(tmp_path, hidden):
    write_category(tmp_path, "bolt")
    shutil.copytree(tmp_path / "bolt", tmp_path / hidden)
    assert datasets.open_dataset("", str(tmp_path)).categories == ("bolt",)


@pytest.mark.parametrize("name", ["OK", "Good", "ok", "normal", "pass", "GOOD", "non-defective", "i.O."])
def test_names_that_say_good_in_another_way_ask_for_a_decision(tmp_path, name):
    root = write_category(tmp_path, "bolt") / "bolt"
    (root / "test/good").rename(root / "test" / name)
    message = rf"test/{re.escape(name)} sounds like good images, .* rename it to good, or, if .* defective, to another"
    with pytest.raises(InputError, match=message):
        folder.open_category(tmp_path, "bolt")
    (root / "test" / name).rename(root / "test/good")
    (root / "train/good").rename(root / "train" / name)
    with pytest.raises(InputError, match=rf"train/{re.escape(name)} sounds like good images"):
        folder.categories(tmp_path)


def test_a_name_that_a_publisher_uses_for_good_is_good(tmp_path):
    root = write_category(tmp_path, "bolt") / "bolt"
    for split in ("train", "test"):
        (root / split / "good").rename(root / split / "ok")
    category = folder.open_category(tmp_path, "bolt", good="ok")
    assert {sample.defect for sample in category.test} == {"good", "scratch"}


def test_what_is_no_image_of_a_format_that_is_read_is_counted(tmp_path):
    root = write_category(tmp_path, "bolt") / "bolt"
    for name in ("train/good/a.heic", "test/scratch/b.svg", "test/good/notes.txt"):
        (root / name).touch()
    assert folder.open_category(tmp_path, "bolt").skipped.endings == ((".heic", 1), (".svg", 1))
    assert folder.open_category(tmp_path, "bolt").skipped.folders == 0
