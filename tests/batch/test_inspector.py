import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.batch import COLUMNS, Inspector
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import devices
from tests.inspection import line

KEYS = ("verdict", "score", "threshold", "p_value", "confidence", "reason", "warning", "regions", "error")


def rows(columns):
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


@pytest.fixture(scope="module")
def inspector(disc):
    return Inspector(str(disc), batch_size=4)


@pytest.fixture(scope="module")
def found(inspector, images):
    return inspector(sorted(images.iterdir()))


def test_rows_are_those_of_predict(found, disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="none", batch_size=4)
    expected = {row["path"]: {key: row[key] for key in KEYS} for row in line.lines(tmp_path / "out")}
    for row in rows(found):
        wanted = expected.pop(row["path"])
        if not row["error"]:
            assert {key: row[key] for key in KEYS} == wanted
        else:
            assert (row["error"], row["score"], row["verdict"]) == (wanted["error"], None, None)
    assert not expected


def test_columns_are_named_and_of_one_length(found, images):
    assert tuple(found) == COLUMNS
    assert {len(values) for values in found.values()} == {len(list(images.iterdir()))}
    assert found["path"] == [str(path) for path in sorted(images.iterdir())]


def test_a_picture_that_cannot_be_read_is_a_row(found, inspector, images):
    row = next(row for row in rows(found) if row["error"])
    assert row["path"] == str(images / "broken.png")
    assert "broken.png" in row["error"]
    assert row["regions"] == []
    columns = inspector(["absent.png", np.zeros((4, 4), np.float64), 3])
    assert columns["verdict"] == [None] * 3
    assert "absent.png cannot be read" in columns["error"][0]
    assert "image 1 holds float64" in columns["error"][1]
    assert columns["error"][2].startswith("image 2 ")


def test_pictures_may_come_as_arrays_images_and_bytes_of_several_sizes(inspector, found, images):
    paths = sorted(images.glob("[0-9]*.png"))
    expected = [row["score"] for row in rows(found) if not row["error"]]
    arrays = [np.asarray(Image.open(path)) for path in paths]
    assert inspector(arrays)["score"] == expected
    assert inspector({"image": [Image.open(path) for path in paths]})["score"] == expected
    columns = inspector({"path": ["a"] * len(paths), "bytes": [path.read_bytes() for path in paths]})
    assert (columns["score"], columns["path"]) == (expected, ["a"] * len(paths))
    small = np.asarray(Image.open(paths[0]).resize((45, 40)))
    assert None not in inspector([small, arrays[0]])["score"]


def test_batches_of_any_number_compile_one_program(inspector, found, images, monkeypatch):
    shapes, program = set(), devices.in_batches

    def seen(program_of, rows, **options):
        return program(lambda batch: (shapes.add(batch.shape), program_of(batch))[1], rows, **options)

    monkeypatch.setattr(devices, "in_batches", seen)
    counts = [len(inspector([images / "100.png"] * n)["path"]) for n in (0, 1, 3, 4, 5, 9)]
    assert counts == [0, 1, 3, 4, 5, 9]
    assert shapes == {(4, 64, 64, 3)}


def test_it_pickles_as_its_arguments(inspector, found, images):
    again = pickle.loads(pickle.dumps(inspector))
    assert again == inspector == Inspector(Path(inspector.model), batch_size=4)
    assert len(pickle.dumps(again)) < 1000
    assert again([images / "100.png"])["score"] == inspector([images / "100.png"])["score"]


def test_jax_is_imported_at_the_first_call():
    script = (
        "import pickle, sys; from fastrecon_jax.batch import Inspector;"
        "pickle.loads(pickle.dumps(Inspector('part.safetensors')));"
        "sys.exit(sorted({'jax', 'PIL', 'scipy'} & set(sys.modules)) != [])"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0


def test_it_judges_by_another_threshold(disc, found, images):
    score = next(row["score"] for row in rows(found) if row["verdict"] == "good")
    columns = Inspector(str(disc), batch_size=4, threshold=score / 2)(sorted(images.glob("1*.png")))
    assert set(columns["verdict"]) == {"defective"}
    assert columns["threshold"] == [score / 2] * len(columns["path"])


def test_what_is_no_part_or_no_picture_is_refused(disc, inspector, tmp_path):
    with pytest.raises(InputError, match="is not there"):
        Inspector(str(tmp_path / "absent.safetensors"))(["a.png"])
    with pytest.raises(InputError, match="a batch of name has no pictures: one column must be image, bytes, path"):
        inspector({"name": ["a"]})
