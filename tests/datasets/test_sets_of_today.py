"""MVTec AD 2, MVTec LOCO AD and Real-IAD: what sets them apart from the others."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import datasets, publishers, samples, saturation
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.publishers import PUBLISHERS
from fastrecon_jax.data.saturation import Saturation
from fastrecon_jax.errors import InputError
from tests.datasets import dummies
from tests.datasets.test_builders import make
from tests.datasets.test_publishers import contents


def opened(name, place=None):
    return publishers.open_category(PUBLISHERS[name], place or dummies.folder(name), dummies.SETS[name][0])


def copied(name, tmp_path):
    shutil.copytree(dummies.folder(name), tmp_path / name)
    return tmp_path / name


def test_light_is_part_of_the_names_of_mvtec_ad_2():
    category = opened("mvtec_ad_2")
    assert [sample.name for sample in category.test] == [
        *(f"test_public/bad/{name}.png" for name in ("000_regular", "000_shift_1", "001_underexposed")),
        *(f"test_public/good/000_{light}.png" for light in ("overexposed", "regular")),
    ]
    assert [sample.name for sample in category.validation] == [f"validation/good/{i:03}_regular.png" for i in range(2)]
    assert [sample.name for sample in category.private] == [
        *(f"test_private/{i:03}_regular.png" for i in range(2)),
        *(f"test_private_mixed/{i:03}_mixed.png" for i in range(2)),
    ]
    assert not any(sample.defective for sample in category.private)
    assert {sample.defect for sample in category.private} == {"unknown"}


def test_private_labels_are_unknown_in_prepared_data(tmp_path):
    made = make("mvtec_ad_2", dummies.folder("mvtec_ad_2"), tmp_path)
    assert [example["label"] for example in made.as_data_source("private")] == [-1] * 4


def test_missing_private_images_are_named_and_leave_the_figures_alone(tmp_path, monkeypatch):
    place = copied("mvtec_ad_2", tmp_path)
    shutil.rmtree(place / "vial/test_private")
    publisher = PUBLISHERS["mvtec_ad_2"]
    whole = publisher._replace(counts=publisher.counts | {"vial": publishers.Counts(3, 2, 3, 2, 2 * 276)})
    category = publishers.open_category(whole, place, "vial")
    assert not category.partial
    with pytest.raises(InputError, match=r"2 of 552 private images; missing are vial/test_private/000_regular.png to "):
        publishers.check_complete(whole, place, category)
    assert publishers.open_category(publisher, place, "vial").partial


def test_a_public_defect_without_its_mask(tmp_path):
    place = copied("mvtec_ad_2", tmp_path)
    (place / "vial/test_public/ground_truth/bad/000_shift_1_mask.png").unlink()
    with pytest.raises(InputError, match=r"bad/000_shift_1.png has no mask: expected .*000_shift_1_mask.png"):
        opened("mvtec_ad_2", place)


def test_masks_of_loco_are_one_by_one_and_together():
    logical, overlapping, structural = (sample for sample in opened("mvtec_loco").test if sample.defective)
    assert [sample.defect for sample in (logical, structural)] == ["logical_anomalies", "structural_anomalies"]
    one, two = (np.asarray(Image.open(io.BytesIO(data))) for data in overlapping.read_defects())
    assert (np.unique(one).tolist(), np.unique(two).tolist()) == ([0, 254], [0, 255])
    union = samples.whole_mask(overlapping, (12, 10), 10_000)
    assert (union == ((one > 0) | (two > 0))).all()
    assert union.sum() < (one > 0).sum() + (two > 0).sum()  # they overlap
    assert samples.load_mask(overlapping, (12, 10), Preprocessing(32, 32)).any()
    assert len(logical.read_defects()) == 2


def test_saturation_of_loco():
    kinds = {kind.value: kind for kind in opened("mvtec_loco").saturation}
    assert kinds[255] == Saturation("missing_pushpin", 255, 8, False)
    assert [kinds[255].area(pixels) for pixels in (100, 8, 5)] == [8, 8, 5]
    assert [kinds[254].area(pixels) for pixels in (100, 5, 1)] == [50, 2, 1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pixel_value": 0}, "pixel_value is from 1 to 255"),
        ({"saturation_threshold": 1.5, "relative_saturation": True}, "a share above 0 and up to 1"),
        ({"saturation_threshold": 0.5}, "a number of pixels from 1"),
        ({"saturation_threshold": "8"}, "is not possible"),
        ({"pixel_value": 2}, "gives two kinds of defects the same pixel_value"),
        (None, "expected are entries with defect_name, pixel_value, saturation_threshold, relative_saturation"),
    ],
)
def test_saturation_that_cannot_be_meant(tmp_path, change, message):
    right = {"defect_name": "a", "pixel_value": 1, "saturation_threshold": 8, "relative_saturation": False}
    wrong = {"pixel_value": 1} if change is None else right | change
    (tmp_path / "defects_config.json").write_text(json.dumps([right | {"pixel_value": 2}, wrong]))
    with pytest.raises(InputError, match=message):
        saturation.read(tmp_path / "defects_config.json")


@pytest.mark.parametrize(
    ("text", "message"), [("{}", "holds no list"), ("[", "is damaged"), (None, "cannot be read: No such file")]
)
def test_saturation_that_is_not_there(tmp_path, text, message):
    place = copied("mvtec_loco", tmp_path)
    file = place / "pushpins/defects_config.json"
    file.unlink() if text is None else file.write_text(text)
    with pytest.raises(InputError, match=rf"defects_config.json {message}"):
        opened("mvtec_loco", place)


def test_an_anomaly_of_loco_without_masks(tmp_path):
    place = copied("mvtec_loco", tmp_path)
    shutil.rmtree(place / "pushpins/ground_truth/logical_anomalies/001")
    with pytest.raises(InputError, match=r"logical_anomalies/001.png has no mask: expected .*/001/000.png"):
        opened("mvtec_loco", place)


def test_views_of_one_object_belong_together():
    category = opened("real_iad")
    views = {}
    for sample in category.test:
        views.setdefault(sample.group, []).append(sample.defective)
    assert views == {
        "audiojack_0004_OK": [False, False],
        "audiojack_0005_OK": [False, False],
        "audiojack_0006_NG_AK": [True, False],  # the second view does not show the defect
        "audiojack_0007_NG_BX": [True, False],
    }
    assert {sample.defect for sample in category.test if sample.defective} == {"AK", "BX"}


def test_the_lists_may_lie_directly_beside_the_images(tmp_path):
    place = copied("real_iad", tmp_path)
    shutil.move(place / "realiad_jsons/realiad_jsons/audiojack.json", place / "realiad_jsons/audiojack.json")
    for data_dir in (tmp_path, place, place / "realiad_256"):
        assert datasets.open_dataset("real_iad", str(data_dir)).categories == ("audiojack",)
    with pytest.raises(InputError, match=r"holds nothing of Real-IAD, one view: .*realiad_jsons_sv/CATEGORY.json"):
        datasets.open_dataset("real_iad_sv", str(place))


def test_one_of_several_sizes_must_be_named(tmp_path):
    place = copied("real_iad", tmp_path)
    shutil.copytree(place / "realiad_256", place / "realiad_512")
    with pytest.raises(InputError, match="in several sizes, realiad_256, realiad_512: pass the folder of one"):
        datasets.open_dataset("real_iad", str(place))
    category = datasets.open_dataset("real_iad", str(place / "realiad_512")).open_category("audiojack")
    assert "realiad_512" in category.train[0].path


def test_real_iad_is_whole_where_its_list_is(tmp_path):
    place = copied("real_iad", tmp_path)
    assert not opened("real_iad", place).partial
    publishers.check_complete(PUBLISHERS["real_iad"], place, opened("real_iad", place))
    missing = opened("real_iad", place).train[0]
    (place / "realiad_256/audiojack" / missing.name).unlink()
    category = opened("real_iad", place)
    assert category.partial
    assert len(category.train) == 5
    with pytest.raises(InputError, match=rf"missing are audiojack/{missing.name};"):
        publishers.check_complete(PUBLISHERS["real_iad"], place, category)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "does not hold meta, train and test"),
        ("{", "audiojack.json is damaged"),
        (
            '{"meta": {}, "train": [{"image_path": "a.jpg"}], "test": []}',
            "entry 0 of train does not have anomaly_c",
        ),
        (
            '{"meta": {}, "train": [{"image_path": "a.jpg", "mask_path": null, "anomaly_class": "OK"}], "test": []}',
            "a.jpg does not say which object it shows",
        ),
    ],
)
def test_lists_of_real_iad_that_cannot_be_used(tmp_path, text, message):
    place = copied("real_iad", tmp_path)
    (place / "realiad_256/audiojack/a.jpg").touch()
    (place / "realiad_jsons/realiad_jsons/audiojack.json").write_text(text)
    with pytest.raises(InputError, match=message):
        opened("real_iad", place)


def test_a_view_without_its_mask(tmp_path):
    place = copied("real_iad", tmp_path)
    for mask in (place / "realiad_256/audiojack/NG/AK/S0006").glob("*.png"):
        mask.unlink()
    with pytest.raises(InputError, match=r"C1_\d+.jpg has no mask: expected .*S0006.*png"):
        opened("real_iad", place)


@pytest.mark.parametrize("lists", ["packed beside", "packed above", "unpacked"])
def test_archives_of_real_iad_are_read_with_their_lists(tmp_path, lists):
    place = copied("real_iad", tmp_path)
    images = place / "realiad_256"
    shutil.make_archive(str(images / "audiojack"), "zip", images, "audiojack")
    shutil.rmtree(images / "audiojack")
    if lists != "unpacked":
        where = images if lists == "packed beside" else place
        shutil.make_archive(str(where / "realiad_jsons"), "zip", place / "realiad_jsons")
        shutil.rmtree(place / "realiad_jsons")
    for data_dir in (images, images / "audiojack.zip"):
        dataset = datasets.open_dataset("real_iad", str(data_dir))
        assert dataset.categories == ("audiojack",)
        assert contents(dataset.open_category("audiojack")) == contents(opened("real_iad"))
    made = make("real_iad", images, tmp_path / "data", allow_partial=False)
    assert {split: info.num_examples for split, info in made.info.splits.items()} == {"train": 6, "test": 8}


def test_an_archive_of_real_iad_without_its_lists(tmp_path):
    place = copied("real_iad", tmp_path)
    images = place / "realiad_256"
    shutil.make_archive(str(images / "audiojack"), "zip", images, "audiojack")
    shutil.rmtree(images / "audiojack")
    shutil.rmtree(place / "realiad_jsons")
    with pytest.raises(InputError, match=r"audiojack.zip needs realiad_jsons.zip beside it or one folder above"):
        datasets.open_dataset("real_iad", str(images)).open_category("audiojack")
    (place / "realiad_jsons.zip").write_text("no archive")
    with pytest.raises(InputError, match=r"the lists beside .*audiojack.zip cannot be read: File is not a zip file"):
        datasets.open_dataset("real_iad", str(images)).open_category("audiojack")


def test_archives_of_three_sets_by_one_publisher_lie_side_by_side(tmp_path):
    names = ("mvtec_ad", "mvtec_ad_2", "mvtec_loco")
    for name in names:
        dummies.archive(name, tmp_path)
    for name in names:
        category = datasets.open_dataset(name, str(tmp_path)).open_category(dummies.SETS[name][0])
        assert contents(category) == contents(opened(name))
