"""The TFDS builders: what was published goes in and comes out byte for byte, without TensorFlow."""

import concurrent.futures
import io
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow_datasets as tfds
from PIL import Image

from fastrecon_jax.data import datasets, publishers, samples
from fastrecon_jax.data.publishers import PUBLISHERS
from fastrecon_jax.data.tfds import builder, prepare, prepared
from fastrecon_jax.data.tfds.config import PrepareConfig
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from tests.datasets import dummies
from tests.datasets.test_publishers import contents

FEATURES = {"image", "mask", "has_mask", "label", "defect", "name", "size"}


def make(name, place, data_dir, **settings):
    """One category of a dummy set, as TFDS makes it."""
    builder = prepare.builder_class(name, dummies.BUILDERS)
    made = builder(
        data_dir=data_dir, config=dummies.SETS[name][0], source=place, **({"allow_partial": True} | settings)
    )
    made.download_and_prepare()
    return made


def run(config, **settings):
    lines = []
    done = prepare.run(PrepareConfig(**(config | settings)), builders=dummies.BUILDERS, tell=lines.append)
    return done, "".join(lines)


@pytest.mark.parametrize("packed", [False, True], ids=["folder", "archive"])
@pytest.mark.parametrize("name", dummies.SETS)
def test_what_was_published_comes_out(name, packed, tmp_path):
    if packed and name not in dummies.ARCHIVES:
        pytest.skip("the set has no archive")
    category, (train, good, defective) = dummies.SETS[name]
    place = dummies.archive(name, tmp_path / "downloads") if packed else dummies.folder(name)
    made = make(name, place, tmp_path / "data")
    assert {split: info.num_examples for split, info in made.info.splits.items()} == {
        "train": train,
        "test": good + defective,
    } | dummies.OTHERS.get(name, {})
    assert made.info.file_format.value == "array_record"
    published = publishers.open_category(PUBLISHERS[name], dummies.folder(name), category)
    for data_dir in (tmp_path / "data", place):
        if name == "demo" and data_dir == place:
            continue
        dataset = datasets.open_dataset(name, str(data_dir))
        assert category in dataset.categories
        opened = dataset.open_category(category)
        assert (opened.name, opened.has_masks) == (category, published.has_masks)
        assert contents(opened) == contents(published)


@pytest.mark.parametrize("name", dummies.SETS)
def test_features(name, tmp_path):
    made = make(name, dummies.folder(name), tmp_path)
    assert set(made.info.features) == FEATURES | ({"masks"} if name == "mvtec_loco" else set())
    channels = 1 if dummies.SETS[name][0] in PUBLISHERS[name].grey else 3
    for split in ("train", "test"):
        for example in made.as_data_source(split):
            height, width = example["size"]
            assert example["image"].shape == (height, width, channels)
            assert example["mask"].shape == (height, width, 1)
            assert example["label"] == (example["defect"] != b"good")
            assert example["has_mask"] == (bool(example["label"]) and name != "elpv")
            assert example["has_mask"] or not example["mask"].any()


@pytest.mark.parametrize("name", dummies.SETS)
def test_each_folder_has_the_community_layout(name):
    folder = dummies.BUILDERS / name
    for file in ("__init__.py", "README.md", "CITATIONS.bib", "TAGS.txt", f"{name}_dataset_builder.py", "dummy_data"):
        assert (folder / file).exists()
    assert sum(file.stat().st_size for file in (folder / "dummy_data").rglob("*") if file.is_file()) < 50_000
    builder = prepare.builder_class(name, dummies.BUILDERS)
    metadata = builder.get_metadata()  # refuses tags that TFDS does not know
    assert metadata.description.startswith("# ")
    assert "ml.task.anomaly-detection" in metadata.tags
    assert tuple(builder.builder_configs) == tuple(PUBLISHERS[name].counts)
    assert not (dummies.BUILDERS / "__init__.py").exists()


def test_tfds_own_manual_dir_and_package_path(tmp_path):
    """As `import datasets.mpdd...` in a checkout: TFDS finds the texts, and takes the archive from its manual_dir."""
    dummies.archive("mpdd", tmp_path / "manual")
    code = (
        "import sys, tensorflow_datasets as tfds\n"
        "from datasets.mpdd import mpdd_dataset_builder as module\n"
        "builder = module.Builder(config='tubes', data_dir=sys.argv[1], allow_partial=True)\n"
        "builder.download_and_prepare(download_config=tfds.download.DownloadConfig(manual_dir=sys.argv[2]))\n"
        "assert len(builder.as_data_source('test')) == 4\n"
        "assert 'Jezek' in builder.info.citation\n"
    )
    command = [sys.executable, "-W", "error", "-c", code, str(tmp_path / "data"), str(tmp_path / "manual")]
    subprocess.run(command, check=True, cwd=dummies.BUILDERS.parent)


def test_tensorflow_is_not_imported(tmp_path):
    """TensorFlow seems to be installed; importing it, or torch, is an error."""
    code = """
import importlib.machinery, sys

class Trap:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("tensorflow", "torch"):
            return importlib.machinery.ModuleSpec(name, self)

    def create_module(self, spec):
        raise AssertionError(f"{spec.name} was imported")

    def exec_module(self, module):
        raise AssertionError("imported")

sys.meta_path.insert(0, Trap())
import pathlib
from fastrecon_jax.data import datasets
from fastrecon_jax.data.tfds import prepare
from fastrecon_jax.data.tfds.config import PrepareConfig
config = PrepareConfig(dataset="mvtec_ad", manual_dir=sys.argv[1], data_dir=sys.argv[2], allow_partial=True)
assert len(prepare.run(config, builders=pathlib.Path(sys.argv[3]), tell=print)) == 2
category = datasets.open_dataset("mvtec_ad", sys.argv[2]).open_category("bottle")
assert all(sample.read() for sample in category.train + category.test)
for name in ("mvtec_ad_2", "mvtec_loco", "real_iad"):
    place = str(pathlib.Path(sys.argv[3]) / name / "dummy_data")
    config = PrepareConfig(dataset=name, manual_dir=place, data_dir=sys.argv[2], allow_partial=True)
    prepare.run(config, builders=pathlib.Path(sys.argv[3]), tell=print)
    opened = datasets.open_dataset(name, sys.argv[2])
    for category in map(opened.open_category, opened.categories):
        every = category.train + category.test + category.validation + category.private
        assert all(sample.read() for sample in every)
        assert all(sample.read_defects() for sample in every if sample.read_defects)
import tensorflow_datasets as tfds
example = tfds.builder_from_directory(sys.argv[2] + "/mvtec_ad/bottle/1.0.0").as_data_source("test")[0]
assert example["image"].shape == (10, 12, 3)
assert "tensorflow" not in sys.modules
"""
    places = [str(dummies.folder("mvtec_ad")), str(tmp_path), str(dummies.BUILDERS)]
    subprocess.run([sys.executable, "-W", "error", "-c", code, *places], check=True, cwd=dummies.BUILDERS.parent)


def test_tfds_is_not_imported_for_the_publishers_folder(monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorflow_datasets", None)
    assert datasets.open_dataset("mvtec_ad", str(dummies.folder("mvtec_ad"))).open_category("bottle")


def test_an_incomplete_set_is_refused_and_leaves_nothing(tmp_path):
    place = {"dataset": "mvtec_ad", "manual_dir": str(dummies.folder("mvtec_ad")), "data_dir": str(tmp_path)}
    with pytest.raises(InputError, match=r"holds 2 of 15 categories of MVTec AD; missing are cable, .*--allow_partial"):
        run(place)
    with pytest.raises(InputError, match=r"3 of 209 training images.*; --allow_partial prepares what is there"):
        run(place, category=("bottle",))
    assert not prepared.find(tmp_path, "mvtec_ad")
    with pytest.raises(InputError, match="is not what was published"):
        make("mvtec_ad", dummies.folder("mvtec_ad"), tmp_path, allow_partial=False)


def test_a_partial_set_where_it_is_asked_for(tmp_path):
    place = {"dataset": "mvtec_ad", "manual_dir": str(dummies.folder("mvtec_ad")), "data_dir": str(tmp_path)}
    done, text = run(place, allow_partial=True)
    assert [path.parent.name for path in done] == ["bottle", "grid"]
    assert "mvtec_ad/bottle: 3 training and 6 test images, prepared\n" in text
    assert prepared.is_partial(done[0])
    assert prepared.open_category(done[0]).partial
    assert datasets.open_dataset("mvtec_ad", str(tmp_path)).categories == ("bottle", "grid")
    assert "mvtec_ad/bottle: 3 training and 6 test images, was prepared before\n" in run(place, allow_partial=True)[1]
    with pytest.raises(InputError, match="was prepared with --allow_partial: remove it"):
        run(place, category=("bottle",))


def test_an_interrupted_command_is_simply_repeated(tmp_path, monkeypatch):
    place = {"dataset": "mvtec_ad", "manual_dir": str(dummies.folder("mvtec_ad")), "data_dir": str(tmp_path)}
    example = builder._example

    def interrupt(sample):
        if "grid/test" in sample.path:
            raise KeyboardInterrupt
        return example(sample)

    monkeypatch.setattr(builder, "_example", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(place, allow_partial=True)
    assert set(prepared.find(tmp_path, "mvtec_ad")) == {"bottle"}
    monkeypatch.setattr(builder, "_example", example)
    killed = tmp_path / "mvtec_ad/grid/incomplete.ABC123_1.0.0"
    killed.mkdir(parents=True)
    (killed / "dataset_info.json").touch()
    assert set(prepared.find(tmp_path, "mvtec_ad")) == {"bottle"}
    os.utime(killed, (0, 0))
    text = run(place, allow_partial=True)[1]
    assert "mvtec_ad/bottle: 3 training and 6 test images, was prepared before\n" in text
    assert "mvtec_ad/grid: 3 training and 4 test images, prepared\n" in text
    assert not killed.exists()


def test_prepared_files_have_fingerprints(tmp_path):
    make("mvtec_ad", dummies.folder("mvtec_ad"), tmp_path)
    first, again = (datasets.open_dataset("mvtec_ad", str(tmp_path)).open_category("bottle") for _ in range(2))
    assert samples.fingerprints(first) == samples.fingerprints(again)
    assert all(len(facts) > 1 for facts in samples.fingerprints(first))


def test_all_that_is_there(tmp_path, monkeypatch):
    downloads = tmp_path / "downloads"
    shutil.copytree(dummies.folder("mpdd"), downloads / "mpdd")
    shutil.copytree(dummies.folder("elpv"), downloads / "elpv")
    dummies.archive("btad", downloads)
    monkeypatch.setattr(publishers.demo, "built", lambda: dummies.folder("demo"))
    monkeypatch.setitem(PUBLISHERS, "demo", PUBLISHERS["demo"]._replace(default=lambda: dummies.folder("demo")))
    place = {"dataset": "all", "manual_dir": str(downloads), "data_dir": str(tmp_path / "data")}
    done, text = run(place, allow_partial=True)
    assert {path.parents[1].name for path in done} == {"mpdd", "btad", "elpv", "demo"}
    assert "visa: left out, " in text
    assert "kolektor_sdd: left out, " in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dataset": ""}, "--dataset is missing"),
        ({"dataset": "imagenet"}, "unknown --dataset=imagenet: allowed are mvtec_ad, .*, all"),
        ({"dataset": "visa"}, "--dataset=visa needs --manual_dir with VisA.tar"),
        ({"dataset": "all", "category": ("bottle",)}, "--category goes with one data set"),
        ({"dataset": "mpdd", "category": ("bottle",), "manual_dir": "x"}, "unknown --category=bottle of mpdd: allowed"),
        ({"dataset": "mpdd", "manual_dir": "absent"}, "absent does not exist"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path, monkeypatch, settings, message):
    shutil.copytree(dummies.folder("mpdd"), tmp_path / "x")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=message):
        run({"data_dir": str(tmp_path / "data")}, **settings)


def test_images_that_cannot_be_stored_are_named(tmp_path):
    shutil.copytree(dummies.folder("mvtec_ad"), tmp_path / "in")
    good = tmp_path / "in/bottle/train/good/001.png"
    good.write_bytes(b"no image")
    with pytest.raises(InputError, match=r"good/001.png is not an image"):
        make("mvtec_ad", tmp_path / "in", tmp_path / "data")
    shutil.copy(dummies.folder("mvtec_ad") / "bottle/train/good/001.png", good)
    Image.new("L", (3, 3)).save(tmp_path / "in/bottle/ground_truth/contamination/000_mask.png")
    with pytest.raises(InputError, match=r"mask of .*contamination/000.png has another size than the image, 12x10"):
        make("mvtec_ad", tmp_path / "in", tmp_path / "data")
    assert not prepared.find(tmp_path / "data", "mvtec_ad")


def test_a_rotated_image_has_the_size_of_the_upright_one(tmp_path):
    shutil.copytree(dummies.folder("mvtec_ad"), tmp_path / "in")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (12, 10)).save(tmp_path / "in/bottle/train/good/000.png", exif=exif)
    made = make("mvtec_ad", tmp_path / "in", tmp_path / "data")
    example = made.as_data_source("train", decoders={"mask": tfds.decode.SkipDecoding()})[0]
    assert example["size"].tolist() == [12, 10]
    assert Image.open(io.BytesIO(example["mask"])).size == (10, 12)


def test_many_images_are_several_files_in_order(tmp_path):
    for folder, count in (("train/good", 300), ("test/good", 1), ("test/hole", 1), ("ground_truth/hole", 1)):
        (tmp_path / "in/tubes" / folder).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(np.full((2, 3, 3), i % 250, np.uint8)).save(tmp_path / f"in/tubes/{folder}/{i:03}.png")
    run({"dataset": "mpdd", "manual_dir": str(tmp_path / "in"), "data_dir": str(tmp_path), "allow_partial": True})
    assert len(list((tmp_path / "mpdd/tubes/1.0.0").glob("mpdd-train.array_record-*-of-00002"))) == 2
    category = datasets.open_dataset("mpdd", str(tmp_path)).open_category("tubes")
    assert [sample.name for sample in category.train] == [f"train/good/{i:03}.png" for i in range(300)]
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        read = list(threads.map(lambda sample: sample.read(), category.train))
    assert read == [(tmp_path / "in/tubes" / sample.name).read_bytes() for sample in category.train]


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: (folder / "metadata.json").unlink(), "was not prepared by scripts/prepare_data.py"),
        (lambda folder: (folder / "metadata.json").write_text('{"a": 1}'), "was not prepared by"),
        (lambda folder: next(folder.glob("*train.array*")).unlink(), r"cannot be read|damaged"),
        (lambda folder: next(folder.glob("*train.array*")).write_bytes(b"x" * 99), r"cannot be read|damaged"),
    ],
)
def test_damaged_prepared_data(tmp_path, spoil, message):
    spoil(Path(make("mvtec_ad", dummies.folder("mvtec_ad"), tmp_path).data_dir))
    with pytest.raises(InputError, match=message):
        datasets.open_dataset("mvtec_ad", str(tmp_path)).open_category("bottle").train[0].read()


def test_the_newest_version_is_taken(tmp_path):
    for version in ("1.9.0", "1.10.0", "1.2.0"):
        (tmp_path / "visa/candle" / version).mkdir(parents=True)
        (tmp_path / "visa/candle" / version / "dataset_info.json").touch()
    assert prepared.find(tmp_path, "visa") == {"candle": tmp_path / "visa/candle/1.10.0"}


@pytest.mark.parametrize("name", ["mvtec_ad", "mvtec_ad_2", "mvtec_loco", "real_iad", "elpv"])
def test_the_evaluation_gives_the_same_figures(name, tmp_path):
    category, _ = dummies.SETS[name]
    make(name, dummies.folder(name), tmp_path / "data")
    results = []
    for place in (dummies.folder(name), tmp_path / "data"):
        config = EvalConfig(
            dataset=name,
            data_dir=str(place),
            category=(category,),
            shots=(2,),
            encoder="resnet18",
            weights="random",
            image_size=64,
            crop_size=64,
            output_dir=str(tmp_path / f"out{len(results)}"),
        )
        directory = evaluation.run(config, tell=lambda text: None)
        rows = json.loads((directory / "results.json").read_text())["rows"]
        rows = [{k: v for k, v in row.items() if not k.endswith(("_seconds", "_per_second"))} for row in rows]
        results.append((rows, (directory / "scores.csv").read_text()))
    assert results[0] == results[1]
    assert set(publishers.open_category(PUBLISHERS[name], dummies.folder(name), category).figures) <= rows[0].keys()
    assert (results[0][0][0]["pixel_auroc"] is None) == (name == "elpv")


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (["--dataset=mpdd", "--allow_partial"], 0, "2 categories are in "),
        (["--dataset=mpdd"], 2, "error: "),
        ([], 2, "error: --dataset is missing"),
    ],
)
def test_the_script(tmp_path, arguments, code, text):
    script = dummies.BUILDERS.parent / "scripts" / "prepare_data.py"
    place = [f"--manual_dir={dummies.folder('mpdd')}", f"--data_dir={tmp_path / 'data'}"]
    done = subprocess.run(
        [sys.executable, str(script), *place, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert code or done.stderr == ""
    assert text in (done.stderr if code else done.stdout)
    assert not code or done.stderr.count("\n") == 1


@pytest.mark.shared
@pytest.mark.parametrize(
    ("name", "category", "partial"),
    [("mvtec_ad", "bottle", True), ("mpdd", "metal_plate", False), ("magnetic_tile", "magnetic_tile", False)],
)
def test_real_images_come_out_as_they_went_in(shared, tmp_path, name, category, partial):
    place = {"dataset": name, "manual_dir": str(shared / "data" / name), "data_dir": str(tmp_path)}
    done, _ = run(place, category=(category,), allow_partial=partial)
    assert prepared.is_partial(done[0]) == partial
    published = datasets.open_dataset(name, str(shared / "data" / name)).open_category(category)
    assert contents(prepared.open_category(done[0])) == contents(published)


def test_the_package_of_elpv_comes_out_as_it_went_in(tmp_path):
    pytest.importorskip("elpv_dataset")
    done, _ = run({"dataset": "elpv", "data_dir": str(tmp_path)}, category=("mono",))
    published = datasets.open_dataset("elpv", "").open_category("mono")
    assert contents(prepared.open_category(done[0])) == contents(published)


@pytest.mark.filterwarnings("ignore")  # Beam's own
def test_beam_writes_what_one_process_writes(tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'fastrecon_jax[beam]'")
    settings = {"dataset": "demo", "category": ("gear",)}
    run(settings, data_dir=str(tmp_path / "one"))
    run(settings, data_dir=str(tmp_path / "beam"), beam_runner="DirectRunner", beam_options=("direct_num_workers=1",))
    one, by_beam = (
        datasets.open_dataset("demo", str(tmp_path / name)).open_category("gear") for name in ("one", "beam")
    )
    assert contents(one) == contents(by_beam)


@pytest.mark.filterwarnings("ignore")  # Beam's own
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"beam_runner": "NoRunner"}, "--beam_runner=NoRunner is not allowed"),
        ({"beam_runner": "DirectRunner", "beam_options": ("no_such=1",)}, "Apache Beam knows no no_such"),
    ],
)
def test_what_beam_does_not_know_is_refused(settings, words, tmp_path):
    pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'fastrecon_jax[beam]'")
    with pytest.raises(InputError, match=words):
        run({"dataset": "demo", "category": ("gear",), "data_dir": str(tmp_path)}, **settings)


def test_beam_is_named_where_it_is_missing(tmp_path, monkeypatch):
    for name in ("apache_beam", "apache_beam.options.pipeline_options", "apache_beam.runners"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(InputError, match=r"pip install 'fastrecon_jax\[beam\]'"):
        run({"dataset": "demo", "category": ("gear",), "data_dir": str(tmp_path)}, beam_runner="DirectRunner")
    with pytest.raises(InputError, match="--beam_options needs --beam_runner"):
        PrepareConfig(dataset="demo", beam_options=("direct_num_workers=2",))
