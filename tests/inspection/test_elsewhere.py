"""Parts, images and results at addresses, by fsspec's file system in memory."""

import json
import shutil

import fsspec
import pytest

from fastrecon_jax import Inspector, files
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import fit as fit_command
from fastrecon_jax.inspection import mirror, pipeline
from fastrecon_jax.inspection import predict as predict_command
from fastrecon_jax.inspection.config import FitConfig, PredictConfig
from fastrecon_jax.remote import RemotePath
from tests.inspection import line

BUCKET = RemotePath("memory://bucket")
OUT = BUCKET / "out"


@pytest.fixture
def bucket(disc, tmp_path):
    """A part and three images in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    files.write(BUCKET / "parts" / "disc.safetensors", disc.read_bytes())
    for path in line.write(tmp_path / "images").iterdir():
        files.write(BUCKET / "line" / path.name, path.read_bytes())
    files.write(BUCKET / "line" / "notes.txt", b"")
    return system


def predict(images="memory://bucket/line", tell=line.QUIET, **options):
    config = {"model": "memory://bucket/parts/*.safetensors", "images": images, "output_dir": str(OUT)} | options
    return predict_command.predict(PredictConfig(**config), tell=tell)


def rows():
    return [json.loads(text) for text in (OUT / "results.jsonl").read_bytes().splitlines()]


def test_rows_are_those_of_files_here(bucket, disc, tmp_path):
    said = []
    assert predict(tell=said.append) == 0
    line.predict(disc, tmp_path / "images", tmp_path / "out")
    for there, here in zip(rows(), line.lines(tmp_path / "out"), strict=True):
        assert there["path"] == f"memory://bucket/line/{here['path'].rpartition('/')[2]}"
        assert all(there[key] == here[key] for key in ("score", "verdict", "size", "regions"))
        assert (OUT / there["overlay"]).read_bytes() == (tmp_path / "out" / here["overlay"]).read_bytes()
    assert {path.name for path in files.children(OUT)} == {
        *("results.csv", "results.jsonl", "run.json", "index.html", "overlays")
    }
    assert "results are in memory://bucket/out/results.csv and memory://bucket/out/index.html" in "".join(said)
    assert "memory://bucket/parts/disc.safetensors" in "".join(said)


def test_what_was_inspected_is_not_inspected_again(bucket):
    predict("memory://bucket/line/10[01].png")
    before, said = rows(), []
    predict(tell=said.append)
    assert "1 image to inspect, 2 more were inspected before" in "".join(said)
    assert rows()[:2] == before
    assert len(rows()) == 3
    files.write(BUCKET / "line" / "100.png", (BUCKET / "line" / "101.png").read_bytes() + b"0")
    predict()
    assert len(rows()) == 4


def test_rows_are_copied_while_others_are_inspected(bucket, monkeypatch):
    seen, paint = [], pipeline.Pipeline._append

    def slow(self, row, picture):
        paint(self, row, picture)
        for _ in range(500):
            if (OUT / "results.jsonl").url.removeprefix("memory:/") in bucket.store and rows():
                break
            mirror.time.sleep(0.01)
        seen.append(len(rows()))

    monkeypatch.setattr(pipeline.Pipeline, "_append", slow)
    monkeypatch.setattr(mirror, "EVERY", 0.01)
    monkeypatch.setattr(mirror, "_SHARE", 0)
    predict(overlays="none")
    assert seen[0] >= 1


def test_an_error_names_the_address_and_keeps_the_rows(bucket, bar):
    predict(overlays="none")
    before = rows()
    with pytest.raises(InputError, match=r"--output_dir=memory://bucket/out holds results of other parts"):
        predict(model=str(bar))
    assert rows() == before
    with pytest.raises(InputError, match=r"--output_dir=memory://bucket/line holds other files"):
        predict(output_dir="memory://bucket/line")
    with pytest.raises(InputError, match=r"memory://bucket/absent"):
        predict("memory://bucket/absent")


def test_pictures_in_the_results_are_no_images(bucket):
    predict()
    assert predict("memory://bucket/**/*.png") == 0
    assert len(rows()) == 3


def test_a_folder_elsewhere_cannot_be_watched(bucket):
    with pytest.raises(InputError, match="--watch=True is not allowed: it looks at folders of this machine"):
        predict(watch=True)


def test_a_damaged_part_is_named_by_its_address(bucket):
    files.write(BUCKET / "parts" / "bad.safetensors", b"no part")
    with pytest.raises(InputError, match=r"memory://bucket/parts/bad\.safetensors cannot be read, it is damaged"):
        predict(model="memory://bucket/parts/bad.safetensors")


def test_a_part_is_fitted_from_there_to_there(bucket, disc, tmp_path):
    for path in sorted((disc.parent / "good disc").iterdir()):
        files.write(BUCKET / "good" / path.name, path.read_bytes())
    config = FitConfig(images="memory://bucket/good", model="memory://bucket/parts/new.safetensors", **line.TINY)
    fit_command.fit(config, tell=line.QUIET)
    there, here = Inspector.load("memory://bucket/parts/new.safetensors"), Inspector.load(disc)
    assert there.threshold == here.threshold
    assert there.score("memory://bucket/line/*.png").tolist() == here.score(tmp_path / "images").tolist()
    shutil.rmtree(tmp_path / "images")
