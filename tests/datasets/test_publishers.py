"""Published folders and archives: every set is found, listed and compared with what was published."""

import itertools
import os
import shutil
import zipfile
from pathlib import Path

import pytest

from fastrecon_jax.data import datasets, demo, publishers, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.publishers import PUBLISHERS, archives
from fastrecon_jax.errors import InputError
from tests.data.parts import forbid, write_category
from tests.datasets import dummies

TOTALS = {
    "mvtec_ad": (15, 3629, 467, 1258),
    "mvtec_ad_2": (8, 2528, 379, 705, 302, 2 * 2045),
    "mvtec_loco": (5, 1778, 575, 561 + 432, 305, 0),
    "mpdd": (6, 888, 176, 282),
    "visa": (12, 8659, 962, 1200),
    "btad": (3, 1799, 451, 290),
    "kolektor_sdd": (1, 278, 69, 52),
    "magnetic_tile": (1, 762, 190, 392),
    "elpv": (2, 1207, 301, 715),
    "demo": (6, 144, 144, 144),
}


def contents(category):
    """All that a reader can know of a category."""
    splits = (category.train, category.test, category.validation, category.private)
    listed = [
        (s.name, s.defective, s.defect, s.group, s.read(), s.read_mask and s.read_mask(), defects(s))
        for s in itertools.chain(*splits)
    ]
    return [*map(len, splits), category.figures, category.saturation, *listed]


def defects(sample):
    return tuple(sample.read_defects()) if sample.read_mask and sample.read_defects else ()


@pytest.mark.parametrize("name", TOTALS)
def test_the_published_numbers_add_up(name):
    counts = PUBLISHERS[name].counts.values()
    totals = (len(counts), *(sum(column) for column in zip(*counts, strict=True)))
    assert totals == TOTALS[name] + (0,) * (len(totals) - len(TOTALS[name]))


@pytest.mark.parametrize("name", dummies.SETS)
def test_a_folder_is_listed(name):
    category, counts = dummies.SETS[name]
    listed = publishers.open_category(PUBLISHERS[name], dummies.folder(name), category)
    assert listed.name == category
    assert publishers.counts(listed)[:3] == counts
    assert not any(sample.defective for sample in listed.train)
    assert listed.has_masks == (name != "elpv")
    for split in (listed.train, listed.test):
        names = [sample.name for sample in split]
        assert len(set(names)) == len(names)
    for sample in listed.test:
        assert (sample.read_mask is not None) == (sample.defective and listed.has_masks)
        assert (sample.defect == "good") != sample.defective
        data = samples.read(sample)
        picture = samples.load_image(sample, data, Preprocessing(32, 32))
        assert picture.pixels.shape == (32, 32, 3)
        assert samples.load_mask(sample, picture.size, Preprocessing(32, 32)).any() <= sample.defective


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


def test_an_archive_with_a_password_is_refused(tmp_path, cache):
    with zipfile.ZipFile(tmp_path / "MPDD.zip", "w") as file:
        file.writestr("readme", "words")
    data = bytearray((tmp_path / "MPDD.zip").read_bytes())
    for head, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(head) + flags] |= 1
    (tmp_path / "MPDD.zip").write_bytes(data)
    with pytest.raises(InputError, match=r"MPDD.zip is damaged or not of a kind that can be read: .* is encrypted"):
        archives.unpacked(tmp_path / "MPDD.zip")
    assert not list((cache / "unpacked").iterdir())


def test_two_processes_may_unpack_at_the_same_time(tmp_path, cache, monkeypatch):
    archive = dummies.archive("mpdd", tmp_path)
    extract = archives._extract

    def slowly(file, into):
        monkeypatch.setattr(archives, "_extract", extract)
        archives.unpacked(archive)  # the other one is faster
        return extract(file, into)

    monkeypatch.setattr(archives, "_extract", slowly)
    directory = archives.unpacked(archive)
    assert (directory / "tubes").is_dir()
    assert list((cache / "unpacked").iterdir()) == [directory]


@pytest.mark.parametrize("name", ["mpdd", "visa"])
def test_an_archive_unpacked_again_gives_the_same_files(name, tmp_path, cache):
    category, _ = dummies.SETS[name]
    archive = dummies.archive(name, tmp_path)
    fingerprints = []
    for _ in range(2):
        fingerprints.append(samples.fingerprints(publishers.open_category(PUBLISHERS[name], archive, category)))
        shutil.rmtree(cache)
    assert fingerprints[0] == fingerprints[1]


def test_a_set_that_is_not_whole_says_so():
    assert publishers.open_category(PUBLISHERS["mpdd"], dummies.folder("mpdd"), "tubes").partial


def test_the_demo_is_made_in_an_empty_directory_and_used_again(tmp_path, monkeypatch):
    def build(directory):
        for name in demo.CATEGORIES:
            write_category(directory, name)
        (directory / "made").touch(exist_ok=False)

    monkeypatch.setattr(demo, "build", build)
    for place in (tmp_path / "absent", tmp_path / "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        for _ in range(2):
            assert datasets.open_dataset("demo", str(place)).categories == demo.CATEGORIES


@pytest.mark.parametrize("change", ["notes", "other", "more", "fewer"])
def test_a_directory_of_something_else_is_not_taken_for_the_demo(tmp_path, change):
    names = {"notes": (), "other": ("bolt",), "more": (*demo.CATEGORIES, "bolt"), "fewer": demo.CATEGORIES[1:]}[change]
    for name in names:
        write_category(tmp_path, name)
    (tmp_path / "notes.txt").touch()
    with pytest.raises(InputError, match="holds something else than the demo set, or a part of it: pass an empty"):
        datasets.open_dataset("demo", str(tmp_path))


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


def listed(tmp_path, change):
    """VisA's dummies with another list."""
    shutil.copytree(dummies.folder("visa"), tmp_path / "visa")
    file = tmp_path / "visa/split_csv/1cls.csv"
    file.write_text(change(file.read_text()))
    return publishers.open_category(PUBLISHERS["visa"], tmp_path / "visa", "candle")


def test_a_byte_order_mark_before_a_list_is_ignored(tmp_path):
    assert publishers.counts(listed(tmp_path, lambda text: f"\ufeff{text}"))[:3] == (3, 2, 2)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("candle", "1cls.csv, line 16, does not have the 5 columns object, split, label, image, mask"),
        ("candle,test,anomaly,a.JPG", "1cls.csv, line 16, does not have the 5 columns"),
        ("candle,test,anomaly,a.JPG,a.png,more", "1cls.csv, line 16, does not have the 5 columns"),
        ("candle,validation,normal,a.JPG,", "1cls.csv, line 16, has the split 'validation': allowed are train, test"),
        (f"candle,test,normal,{__file__},", "test_publishers.py does not lie in .*candle"),
    ],
)
def test_rows_of_a_list_that_do_not_fit_are_named(tmp_path, row, message):
    with pytest.raises(InputError, match=message):
        listed(tmp_path, lambda text: f"{text}{row}\n")


@pytest.mark.parametrize(
    ("name", "within"),
    [("magnetic_tile", "MT_Crack"), ("kolektor_sdd", "kos02"), ("elpv", "images"), ("visa", "candle/Data/Masks")],
)
def test_images_that_cannot_be_looked_at_are_not_left_out(tmp_path, monkeypatch, name, within):
    shutil.copytree(dummies.folder(name), tmp_path / name)
    forbid(monkeypatch, tmp_path / name / within)
    with pytest.raises(InputError, match=rf"{within}\S* cannot be (read|listed): Permission denied"):
        publishers.open_category(PUBLISHERS[name], tmp_path / name, dummies.SETS[name][0])


def test_folders_around_a_set_that_cannot_be_read_are_passed_over(tmp_path, monkeypatch):
    shutil.copytree(dummies.folder("btad"), tmp_path / "b")
    for name in ("a", "c"):
        (tmp_path / name).mkdir()
        forbid(monkeypatch, tmp_path / name)
    (tmp_path / "d").symlink_to("d")
    assert set(publishers.find(PUBLISHERS["btad"], tmp_path)) == {"01", "02", "03"}


def test_names_that_are_not_utf8_are_refused(tmp_path):
    shutil.copytree(dummies.folder("magnetic_tile"), tmp_path / "set")
    folder = tmp_path / "set/MT_Free/Imgs"
    os.rename(folder / "exp0_num_0.jpg", os.fsencode(folder) + b"/caf\xe9.jpg")  # noqa: PTH104
    with pytest.raises(InputError, match=r"caf\\xe9.jpg: the name is not UTF-8"):
        publishers.open_category(PUBLISHERS["magnetic_tile"], tmp_path / "set", "magnetic_tile")
    odd = Path(os.fsdecode(os.fsencode(tmp_path) + b"/mpdd\xe9.zip"))
    dummies.archive("mpdd", tmp_path).rename(odd)
    with pytest.raises(InputError, match=r"mpdd\\xe9.zip: the name is not UTF-8"):
        datasets.open_dataset("mpdd", str(odd)).open_category("tubes")


def test_files_of_a_list_that_are_not_there(tmp_path):
    shutil.copytree(dummies.folder("visa"), tmp_path / "visa")
    (tmp_path / "visa/candle/Data/Images/Normal/0001.JPG").unlink()
    category = publishers.open_category(PUBLISHERS["visa"], tmp_path, "candle")
    assert publishers.counts(category)[:3] == (2, 2, 2)
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
    assert publishers.counts(listed)[:3] == counts
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
    with pytest.raises(InputError, match=r"pip install -e '\.\[elpv\]'"):
        datasets.open_dataset("elpv", "")


@pytest.mark.parametrize("hidden", [".cache", "__MACOSX"])
def test_hidden_folders_are_not_searched(tmp_path, hidden):
    shutil.copytree(dummies.folder("mpdd"), tmp_path / hidden / "MPDD")
    with pytest.raises(InputError, match="holds nothing of MPDD"):
        publishers.find(PUBLISHERS["mpdd"], tmp_path)
    shutil.copytree(dummies.folder("mpdd"), tmp_path / "MPDD")
    assert set(publishers.find(PUBLISHERS["mpdd"], tmp_path).values()) == {tmp_path / "MPDD"}
