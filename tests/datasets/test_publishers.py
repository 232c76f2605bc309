"""Published folders and archives: every set is found, listed and compared with what was published."""

import shutil

import pytest

from fastrecon_jax.data import datasets, publishers, samples
from fastrecon_jax.data.publishers import PUBLISHERS, archives
from fastrecon_jax.errors import InputError
from tests.data.parts import write_category
from tests.datasets import dummies

TOTALS = {
    "mvtec_ad": (15, 3629, 467, 1258),
    "mpdd": (6, 888, 176, 282),
    "visa": (12, 8659, 962, 1200),
    "btad": (3, 1799, 451, 290),
    "kolektor_sdd": (1, 278, 69, 52),
    "magnetic_tile": (1, 762, 190, 392),
    "elpv": (2, 1207, 301, 715),
    "demo": (6, 144, 144, 144),
}


def contents(category):
    return [
        (s.name, s.defective, s.defect, s.read(), s.read_mask and s.read_mask())
        for s in (*category.train, *category.test)
    ]


@pytest.mark.parametrize("name", TOTALS)
def test_the_published_numbers_add_up(name):
    counts = PUBLISHERS[name].counts.values()
    assert (len(counts), *(sum(column) for column in zip(*counts, strict=True))) == TOTALS[name]


@pytest.mark.parametrize("name", dummies.SETS)
def test_a_folder_is_listed(name):
    category, counts = dummies.SETS[name]
    listed = publishers.open_category(PUBLISHERS[name], dummies.folder(name), category)
    assert listed.name == category
    assert publishers.counts(listed) == counts
    assert not any(sample.defective for sample in listed.train)
    assert listed.has_masks == (name != "elpv")
    for split in (listed.train, listed.test):
        names = [sample.name for sample in split]
        assert len(set(names)) == len(names)
    for sample in listed.test:
        assert (sample.read_mask is not None) == (sample.defective and listed.has_masks)
        assert (sample.defect == "good") != sample.defective
        data = samples.read(sample)
        picture = samples.load_image(sample, data, image_size=32, crop_size=32)
        assert picture.pixels.shape == (32, 32, 3)
        assert samples.load_mask(sample, picture.size, image_size=32, crop_size=32).any() <= sample.defective


@pytest.mark.parametrize("name", dummies.ARCHIVES)
@pytest.mark.parametrize("inside", ["", "around/it"])
def test_an_archive_gives_the_same(name, inside, tmp_path, cache):
    category, _ = dummies.SETS[name]
    publisher = PUBLISHERS[name]
    expected = contents(publishers.open_category(publisher, dummies.folder(name), category))
    archive = dummies.archive(name, tmp_path / "downloads", inside)
    for place in (archive, archive.parent):
        assert contents(publishers.open_category(publisher, place, category)) == expected
    assert len(list((cache / "unpacked").iterdir())) == 1
    assert tuple(publishers.find(publisher, archive)) == tuple(publisher.counts)


def test_an_archive_of_one_category(tmp_path):
    shutil.copytree(dummies.folder("mvtec_ad") / "grid", tmp_path / "packing" / "grid")
    shutil.make_archive(str(tmp_path / "grid"), "xztar", tmp_path / "packing")
    shutil.rmtree(tmp_path / "packing")
    dataset = datasets.open_dataset("mvtec_ad", str(tmp_path))
    assert dataset.categories == ("grid",)
    assert len(dataset.open_category("grid").train) == 3


def test_a_folder_is_found_under_others(tmp_path):
    shutil.copytree(dummies.folder("magnetic_tile"), tmp_path / "a" / "b" / "c")
    assert publishers.find(PUBLISHERS["magnetic_tile"], tmp_path) == {"magnetic_tile": tmp_path / "a" / "b" / "c"}


@pytest.mark.parametrize("ending", [".zip", ".tar.xz", ".tar"])
def test_a_damaged_archive_is_named_and_leaves_nothing(tmp_path, cache, ending):
    file = tmp_path / f"MPDD{ending}"
    whole = dummies.archive("mpdd" if ending == ".zip" else "mvtec_ad", tmp_path / "whole").read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=rf"archive .*MPDD{ending} is damaged"):
        archives.unpacked(file)
    assert not list((cache / "unpacked").iterdir())


def test_what_is_missing_is_said():
    publisher, place = PUBLISHERS["mvtec_ad"], dummies.folder("mvtec_ad")
    category = publishers.open_category(publisher, place, "bottle")
    with pytest.raises(InputError) as error:
        publishers.check_complete(publisher, place, category)
    message = str(error.value)
    for part in (
        "3 of 209 training images; 2 of 20 good test images; 4 of 63 defective test images",
        "bottle/train/good/003.png to bottle/train/good/208.png (206)",
        "bottle/test/good/002.png to bottle/test/good/019.png (18)",
    ):
        assert part in message


def test_files_of_a_list_that_are_not_there(tmp_path):
    shutil.copytree(dummies.folder("visa"), tmp_path / "visa")
    (tmp_path / "visa/candle/Data/Images/Normal/0001.JPG").unlink()
    category = publishers.open_category(PUBLISHERS["visa"], tmp_path, "candle")
    assert publishers.counts(category) == (2, 2, 2)
    with pytest.raises(InputError, match=r"2 of 900 training images.*missing are candle/Data/Images/Normal/0001.JPG;"):
        publishers.check_complete(PUBLISHERS["visa"], tmp_path, category)


def test_masks_that_are_not_there(tmp_path):
    place = write_category(tmp_path, "tubes", masks=False)
    category = publishers.open_category(PUBLISHERS["mpdd"], place, "tubes")
    with pytest.raises(InputError, match="no masks"):
        publishers.check_complete(PUBLISHERS["mpdd"], place, category)


@pytest.mark.parametrize(
    ("name", "category", "mask"),
    [
        ("visa", "candle", "candle/Data/Masks/Anomaly/000.png"),
        ("magnetic_tile", "magnetic_tile", "MT_Crack/Imgs/exp1_num_9.png"),
        ("kolektor_sdd", "kolektor_sdd", "kos01/Part3_label.bmp"),
        ("btad", "01", "01/ground_truth/ko/000.png"),
    ],
)
def test_a_defective_image_without_its_mask_is_named(tmp_path, name, category, mask):
    shutil.copytree(dummies.folder(name), tmp_path / name)
    (tmp_path / name / mask).unlink()
    with pytest.raises(InputError, match=r"image .* has no mask: expected "):
        publishers.open_category(PUBLISHERS[name], tmp_path, category)


def test_uncertain_cells_are_left_out():
    listed = publishers.open_category(PUBLISHERS["elpv"], dummies.folder("elpv"), "poly")
    uncertain = {"images/cell0011.png", "images/cell0015.png", "images/cell0017.png", "images/cell0018.png"}
    assert not uncertain & {sample.name for sample in (*listed.train, *listed.test)}


@pytest.mark.parametrize(
    ("name", "data_dir", "message"),
    [
        ("visa", "", "--dataset=visa needs --data_dir"),
        ("visa", "absent", "absent does not exist"),
        ("visa", ".", r"holds nothing of VisA: expected VisA.tar .* split_csv/1cls.csv"),
        ("mvtec_ad", "mvtec/bottle", r"bottle is itself a category: pass its parent .*mvtec"),
        ("mvtec_ad", "notes.txt", "holds nothing of MVTec AD"),
    ],
)
def test_places_that_hold_no_data_set(tmp_path, monkeypatch, name, data_dir, message):
    shutil.copytree(dummies.folder("mvtec_ad"), tmp_path / "mvtec")
    (tmp_path / "notes.txt").write_text("no archive")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        datasets.open_dataset(name, data_dir)


def test_damaged_lists(tmp_path):
    shutil.copytree(dummies.folder("visa"), tmp_path / "visa")
    shutil.copytree(dummies.folder("elpv"), tmp_path / "elpv")
    (tmp_path / "visa/split_csv/1cls.csv").write_text("object,image\n")
    (tmp_path / "elpv/labels.csv").write_text("images/cell0001.png mono\n")
    with pytest.raises(InputError, match=r"1cls.csv has the columns .*'image'.*, expected are object, split"):
        publishers.open_category(PUBLISHERS["visa"], tmp_path / "visa", "candle")
    with pytest.raises(InputError, match=r"labels.csv cannot be read, expected are lines PATH PROBABILITY KIND"):
        publishers.open_category(PUBLISHERS["elpv"], tmp_path / "elpv", "mono")


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "category", "counts", "whole"),
    [
        ("mvtec_ad", "bottle", (32, 20, 63), False),
        ("mpdd", "metal_plate", (54, 26, 71), True),
        ("magnetic_tile", "magnetic_tile", (762, 190, 392), True),
    ],
)
def test_real_folders(shared, name, category, counts, whole):
    publisher, place = PUBLISHERS[name], shared / "data" / name
    listed = publishers.open_category(publisher, place, category)
    assert publishers.counts(listed) == counts
    if whole:
        publishers.check_complete(publisher, place, listed)
    else:
        with pytest.raises(InputError, match=r"032.png to bottle/train/good/208.png \(177\);"):
            publishers.check_complete(publisher, place, listed)


@pytest.mark.parametrize("category", ["mono", "poly"])
def test_the_package_of_elpv_is_whole(category):
    pytest.importorskip("elpv_dataset")
    publisher = PUBLISHERS["elpv"]
    listed = datasets.open_dataset("elpv", "").open_category(category)
    publishers.check_complete(publisher, publisher.default(), listed)


def test_the_package_of_elpv_is_named_where_it_is_missing(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'fastrecon_jax\[elpv\]'"):
        datasets.open_dataset("elpv", "")
