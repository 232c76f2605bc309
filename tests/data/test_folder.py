import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import datasets, folder, samples
from tests.data.parts import write_category

SIZES = {"image_size": 48, "crop_size": 40}


def load(sample):
    picture = samples.load_image(sample, samples.read(sample), **SIZES)
    return picture.pixels, samples.load_mask(sample, picture.size, **SIZES)


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
        (lambda root: root, "holds no category: expected folders CATEGORY/train/good"),
        (lambda root: write_category(root) / "part", "is itself a category: pass its parent"),
    ],
)
def test_directories_that_are_no_data_set(tmp_path, make, message):
    with pytest.raises(ValueError, match=message):
        folder.categories(make(tmp_path))


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
