"""Evaluations of MVTec AD 2, MVTec LOCO AD and Real-IAD: what publishers prescribe, and what their servers take."""

import csv
import importlib.util
import io
import json
import shutil
import tarfile
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from fastrecon_jax.data import publishers
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.publishers import PUBLISHERS
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import full_size, prescribed, tables
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.prescribed import Scored
from tests.datasets import dummies

SMALL = {
    **{"encoder": "resnet18", "weights": "random", "image_size": 32, "crop_size": 32, "batch_size": 4, "shots": (2,)},
    "stages": ("layer1", "layer2"),
}
WHOLE = Preprocessing(32, 32)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def run(name, out, tell=lambda text: None, **settings):
    places = {"dataset": name, "data_dir": str(dummies.folder(name)), "output_dir": str(out)}
    directory = evaluation.run(EvalConfig(**(SMALL | places | settings)), tell=tell)
    return json.loads((directory / "results.json").read_text())


def opened(name):
    return publishers.open_category(PUBLISHERS[name], dummies.folder(name), dummies.SETS[name][0])


def scored(chosen, seed=0, found=0.0):
    """Maps of noise at 32 x 32 pixels; where an image is defective, `found` is added to one quarter."""
    rng = np.random.default_rng(seed)
    maps = rng.random((len(chosen), 32, 32)).astype(np.float32)
    for scores, sample in zip(maps, chosen, strict=True):
        scores[4:20, 4:20] += found * sample.defective
    return Scored(chosen, maps, maps.max(axis=(1, 2)))


@pytest.mark.parametrize(
    ("name", "figures"),
    [
        ("mvtec_ad_2", ("aupro_05", "seg_f1")),
        (
            "mvtec_loco",
            (
                *("auspro_05", "auspro_05_logical", "auspro_05_structural"),
                *("image_auroc_logical", "image_auroc_structural"),
            ),
        ),
        ("real_iad", ("sample_auroc",)),
        ("real_iad_sv", ("sample_auroc",)),
    ],
)
def test_prescribed_figures_are_in_all_results(name, figures, tmp_path):
    lines = []
    results = run(name, tmp_path / "out", lines.append, category=(dummies.SETS[name][0],))
    (row,) = results["rows"]
    assert all(0 <= row[figure] <= 1 for figure in (*figures, "image_auroc", "aupro"))
    assert row["query_images"] == sum(dummies.SETS[name][1][1:])
    with (tmp_path / "out/results.csv").open() as file:
        head = next(csv.reader(file))
    place = head.index("aupro") + 1
    assert tuple(head[place : place + len(figures)]) == figures
    assert not set(tables.PRESCRIBED) - set(figures) & set(head)
    assert figures[0].replace("_05", " 0.05").replace("_", " ") in (tmp_path / "out/results.md").read_text()
    assert results["mean"][0][figures[0]] == row[figures[0]]
    assert any(title in "".join(lines) for title in ("SegF1", "AU-sPRO 0.05", "sample"))


def test_sets_that_prescribe_nothing_keep_their_columns(tmp_path):
    results = run("mpdd", tmp_path / "out", category=("tubes",))
    assert not set(tables.PRESCRIBED) & {*results["rows"][0], *results["mean"][0]}
    assert not (tmp_path / "out/samples.csv").exists()


def test_a_finished_run_is_taken_up_with_its_figures(tmp_path):
    first = run("real_iad", tmp_path / "out", method=("nearest", "subspace"))
    before = (tmp_path / "out/samples.csv").read_bytes(), (tmp_path / "out/scores.csv").read_bytes()
    lines = []
    again = run("real_iad", tmp_path / "out", lines.append, method=("nearest", "subspace"))
    assert again["rows"] == first["rows"]
    assert "audiojack: taken from" in "".join(lines)
    assert (tmp_path / "out/scores.csv").read_bytes() == before[1]


def test_objects_have_the_scores_of_their_worst_views(tmp_path):
    run("real_iad", tmp_path / "out")
    with (tmp_path / "out/scores.csv").open() as file:
        views = list(csv.DictReader(file))
    with (tmp_path / "out/samples.csv").open() as file:
        objects = list(csv.DictReader(file))
    assert [row["sample"] for row in objects] == [
        *("audiojack_0006_NG_AK", "audiojack_0007_NG_BX", "audiojack_0004_OK", "audiojack_0005_OK")
    ]
    for row in objects:
        own = [view for view in views if view["sample"] == row["sample"]]
        assert len(own) == 2
        assert float(row["score"]) == max(float(view["score"]) for view in own)
        assert row["label"] == max(view["label"] for view in own)


def test_found_defects_give_full_figures():
    """Maps that mark what the masks mark, each enlarged to its photograph."""
    category = opened("mvtec_ad_2")
    maps = [
        np.asarray(Image.fromarray(image.mask.astype(np.float32)).resize((32, 32), Image.Resampling.NEAREST))
        for image in full_size.marked(category.test, np.zeros((5, 32, 32), np.float32), WHOLE, 0.0)
    ]
    tested = Scored(category.test, np.stack(maps), np.zeros(5, np.float32))
    halves = np.full((2, 32, 32), 0.1, np.float32)
    halves[:, :16] = 0.3  # mean 0.2 and deviation 0.1: pixels above 0.5 are defective
    good = Scored(category.validation, halves, np.zeros(2, np.float32))
    figures = prescribed.measure(category, tested, good, WHOLE)
    assert figures["aupro_05"] > 0.8
    assert figures["seg_f1"] > 0.9
    missing = prescribed.measure(category._replace(validation=()), tested, Scored((), maps[0][None][:0], ()), WHOLE)
    assert missing["seg_f1"] is None
    assert missing["aupro_05"] == figures["aupro_05"]


def test_logical_and_structural_anomalies_are_apart():
    category = opened("mvtec_loco")
    tested = scored(category.test)
    for scores, sample in zip(tested.maps, category.test, strict=True):
        if sample.defect == "logical_anomalies":
            scores[:] += 10
    tested = tested._replace(images=tested.maps.max(axis=(1, 2)))
    figures = prescribed.measure(category, tested, Scored((), tested.maps[:0], tested.images[:0]), WHOLE)
    assert figures["image_auroc_logical"] == 1
    assert figures["image_auroc_structural"] < 1
    assert figures["auspro_05_logical"] > figures["auspro_05_structural"]
    assert figures["auspro_05"] == (figures["auspro_05_logical"] + figures["auspro_05_structural"]) / 2


def test_masks_of_no_listed_kind_are_named(tmp_path):
    place = tmp_path / "loco"
    shutil.copytree(dummies.folder("mvtec_loco"), place)
    file = place / "pushpins/ground_truth/structural_anomalies/000/000.png"
    Image.fromarray(np.asarray(Image.open(file)) // 251 * 7).save(file)
    category = publishers.open_category(PUBLISHERS["mvtec_loco"], place, "pushpins")
    with pytest.raises(InputError, match=r"anomalies/000.png is not possible: it has the values \[7\], .*251"):
        prescribed.measure(category, scored(category.test), Scored((), np.zeros((0, 32, 32), np.float32), ()), WHOLE)


def test_what_is_cut_off_counts_as_normal():
    whole = full_size.enlarged(np.ones((16, 16), np.float32), Preprocessing(32, 16), (64, 48), outside=-2.0)
    assert whole.shape == (48, 64)
    assert (whole[12:36, 16:48] == 1).all()
    whole[12:36, 16:48] = -2
    assert (whole == -2).all()


def decoded(data):
    """A TIFF as its tags say it."""
    tags = TiffImagePlugin.ImageFileDirectory_v2(data[:8])
    stream = io.BytesIO(data)
    stream.seek(tags.next)
    tags.load(stream)
    assert (tags[258], tags[277], tags[339]) == ((16,), 1, (3,))
    (start,), (length,) = tags[273], tags[279]
    return np.frombuffer(zlib.decompress(data[start : start + length]), "<f2").reshape(tags[257], tags[256])


def test_a_submission_names_the_extra_that_it_needs(tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"--submission needs tifffile: .*fastrecon_jax\[submission\]"):
        submit(tmp_path)


def submit(tmp_path, tell=lambda text: None, **settings):
    return run("mvtec_ad_2", tmp_path / "out", tell, submission=str(tmp_path / "for_the_server"), **settings)


@pytest.fixture
def two_categories(monkeypatch):
    """As if the published set had only those of the dummies, with as many private images."""
    publisher = PUBLISHERS["mvtec_ad_2"]
    counts = {name: publishers.Counts(3, 2, 3, 2, 4) for name in ("rice", "vial")}
    monkeypatch.setitem(PUBLISHERS, "mvtec_ad_2", publisher._replace(counts=counts))


@pytest.mark.usefixtures("two_categories")
def test_a_submission_is_what_the_server_takes(tmp_path):
    lines = []
    plain = run("mvtec_ad_2", tmp_path / "plain")
    results = submit(tmp_path, lines.append)
    figures = [{k: v for k, v in row.items() if k in tables.metrics_of([row])} for row in results["rows"]]
    assert figures == [{k: row[k] for k in tables.metrics_of([row])} for row in plain["rows"]]
    place = tmp_path / "for_the_server"
    expected = {
        f"{category}/{split}/{i:03}_{light}"
        for category in ("rice", "vial")
        for split, light in (("test_private", "regular"), ("test_private_mixed", "mixed"))
        for i in range(2)
    }
    maps, thresholded = place / "anomaly_images", place / "anomaly_images_thresholded"
    assert {str(p.relative_to(maps).with_suffix("")) for p in maps.rglob("*.tiff")} == expected
    assert {str(p.relative_to(thresholded).with_suffix("")) for p in thresholded.rglob("*.png")} == expected
    assert {path.name for path in place.iterdir()} == {"anomaly_images", "anomaly_images_thresholded"}
    for name in expected:
        scores = decoded((maps / f"{name}.tiff").read_bytes())
        found = np.asarray(Image.open(thresholded / f"{name}.png"))
        assert scores.shape == found.shape == (10, 12)
        assert scores.dtype == np.float16
        assert set(np.unique(found)) <= {0, 255}
        if found.any() and not found.all():
            assert scores[found > 0].min() >= scores[found == 0].max()
    with tarfile.open(tmp_path / "for_the_server.tar.gz") as packed:
        names = {name.removeprefix("for_the_server/") for name in packed.getnames()}
    assert names == {f"anomaly_images/{name}.tiff" for name in expected} | {
        f"anomaly_images_thresholded/{name}.png" for name in expected
    }
    assert "vial: 4 maps are in" in "".join(lines)
    assert "16 files are packed for the evaluation server" in "".join(lines)


@pytest.mark.usefixtures("two_categories")
def test_categories_of_a_submission_may_come_one_by_one(tmp_path):
    lines = []
    submit(tmp_path, lines.append, category=("vial",))
    assert "not packed yet" in "".join(lines)
    assert "has not all maps of rice" in "".join(lines)
    run(
        *("mvtec_ad_2", tmp_path / "other", lines.append),
        **{"submission": str(tmp_path / "for_the_server"), "category": ("rice",)},
    )
    assert (tmp_path / "for_the_server.tar.gz").exists()


def test_scores_that_float16_does_not_hold_are_scaled(tmp_path, monkeypatch):
    lines = []
    score = evaluation.score

    def louder(*arguments):
        share = score(*arguments)
        scored = {k: v._replace(patches=v.patches * 2.0**20) for k, v in share.scored.items()}
        return share._replace(scored=scored)

    monkeypatch.setattr(evaluation, "score", louder)
    submit(tmp_path, lines.append, category=("vial",))
    assert "to fit float16" in "".join(lines)
    for file in (tmp_path / "for_the_server").rglob("*.tiff"):
        assert np.isfinite(decoded(file.read_bytes())).all()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"method": ("nearest", "subspace")}, "needs one --method, one number of --shots and one draw"),
        ({"shots": (1, 2)}, "needs one --method"),
        ({"support": "random", "seeds": (0, 1)}, "needs one --method"),
        (
            {"coordinator_address": "localhost:1", "num_processes": 2, "process_id": 0},
            "is written by one process: pass --distributed=off",
        ),
        ({"image_size": 40}, "needs maps of whole photographs: pass --crop_size=40 like --image_size"),
    ],
)
def test_submissions_that_cannot_be_made(tmp_path, settings, message):
    with pytest.raises(InputError, match=message):
        submit(tmp_path, **settings)


def test_a_set_without_private_images_has_no_submission(tmp_path):
    with pytest.raises(InputError, match="is not possible: pushpins has no private test images"):
        run("mvtec_loco", tmp_path / "out", submission=str(tmp_path / "s"))


def test_categories_that_were_finished_without_maps(tmp_path):
    run("mvtec_ad_2", tmp_path / "out", category=("vial",))
    with pytest.raises(InputError, match=r"vial was finished before without the maps of .*another --output"):
        submit(tmp_path, category=("vial",))


@pytest.mark.parametrize("name", ["drawn.txt", "drawn"])
def test_a_written_support_gives_the_same_results(tmp_path, name):
    settings = {"shots": (1, 2), "category": ("tubes",)}
    drawn = {"support": "random", "seeds": (0, 3), "write_support": str(tmp_path / name)}
    first = run("mpdd", tmp_path / "first", **settings, **drawn)
    again = run("mpdd", tmp_path / "again", **settings, support=str(tmp_path / name))
    unlike = ("support", "fit_seconds", "score_images_per_second")
    for one, other in zip(first["rows"], again["rows"], strict=True):
        assert {k: v for k, v in one.items() if k not in unlike} == {k: v for k, v in other.items() if k not in unlike}
    assert (tmp_path / "first/scores.csv").read_bytes() == (tmp_path / "again/scores.csv").read_bytes()
