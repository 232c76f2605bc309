"""The command export: a file that says what the part says, or none."""

import shutil

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import exporting
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting import command
from fastrecon_jax.exporting.config import ExportConfig
from tests.exporting import small_encoder
from tests.inspection import test_fit
from tests.parts.helpers import picture, write

pytest.importorskip("flatbuffers", reason="needs the extra export: flatbuffers")
assert small_encoder.build


def fit(tmp_path, **changes):
    return test_fit.fit(tmp_path, encoder="small", stages=("middle", "coarse"), **changes)


def export(tmp_path, tell=lambda text: None, **changes):
    known = {"model": str(tmp_path / "disc.safetensors"), "format": "stablehlo", "output": str(tmp_path / "disc.out")}
    return command.export(ExportConfig(**(known | changes)), tell=tell)


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_the_file_gives_the_scores_of_the_part(tmp_path, kind):
    if kind == "onnx":
        pytest.importorskip("jax2onnx", reason="needs the extra onnx: jax2onnx")
    part, said = fit(tmp_path, images=str(write(tmp_path / "good"))), []
    file = export(tmp_path, said.append, format=kind)
    scores, maps = exporting.load(kind, file)(np.stack([np.asarray(picture(seed)) for seed in (1, 7)]))
    assert (scores.shape, maps.shape) == ((2,), (2, 64, 64))
    np.testing.assert_allclose(scores, fit_scores(tmp_path, [picture(1), picture(7)]), rtol=1e-5)
    assert "checked on 11 images" in "".join(said)
    assert f"threshold {part.limits.threshold:.6g}" in "".join(said)
    assert "(n, 80, 90, 3)" in "".join(said)


def fit_scores(tmp_path, images):
    from fastrecon_jax import FastRecon

    return FastRecon.load(tmp_path / "disc.safetensors").score(images)


@pytest.mark.parametrize("extendable", [True, False])
def test_the_check_runs_on_photographs_that_the_part_does_not_know(tmp_path, monkeypatch, extendable):
    """Where the good ones are gone as well, if the part keeps pixels; the good ones alone would be all rounding."""
    fit(tmp_path, images=str(write(tmp_path / "good")), extendable=extendable)
    checked = []

    def verify(original, kind, file, images):
        checked.append(images)
        return exporting.Differences(0.0, 0.0)

    monkeypatch.setattr(exporting, "verify", verify)
    known = [np.asarray(picture(seed)) for seed in range(4)]
    export(tmp_path)
    shutil.rmtree(tmp_path / "good")
    export(tmp_path)
    there, gone = checked
    new = [image for image in there[3:] if not any((image == one).all() for one in known)]
    assert (len(there), len(new)) == (3 + 4 + 4, 4)
    # They look like the part all the same.
    assert all(np.abs(image.astype(int) - known[0]).mean() < 40 for image in new)
    assert len(gone) == 3 + (5 if extendable else 0)


def test_a_file_that_differs_is_not_written(tmp_path, monkeypatch):
    fit(tmp_path, images=str(write(tmp_path / "good")))
    monkeypatch.setattr(exporting, "verify", lambda *_: exporting.Differences(2e-2, 2e-2))
    with pytest.raises(InputError, match=r"differs from the part by 2.0e-02 \(scores\) and 2.0e-02 \(maps\)"):
        export(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disc.safetensors", "good"]


def test_sizes(tmp_path):
    write(tmp_path / "good", 2)
    write(tmp_path / "good", 1, start=2, size=(120, 80))
    fit(tmp_path)
    with pytest.raises(InputError, match=r"several sizes \(90x80, 120x80\).* pass --width and --height"):
        export(tmp_path)
    said = []
    export(tmp_path, said.append, width=100, height=70)
    assert "(n, 70, 100, 3)" in "".join(said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": "pickle"}, "--format=pickle is not allowed: allowed are stablehlo, onnx"),
        ({"output": ""}, "--output is missing"),
        ({"width": 100}, "--width and --height go together"),
        ({"width": -1, "height": 5}, "--width=-1 is not allowed"),
        ({"output": "none/x.onnx"}, "there is no directory"),
    ],
)
def test_mistakes(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        export(tmp_path, **changes)


@pytest.mark.parametrize("kind", exporting.FORMATS)
def test_rectangles_regions_and_what_is_ignored_go_into_the_file(tmp_path, kind):
    if kind == "onnx":
        pytest.importorskip("jax2onnx", reason="needs the extra onnx: jax2onnx")
    mask = np.zeros((80, 90), bool)
    mask[:, :30] = True
    Image.fromarray(mask).save(tmp_path / "mask.png")
    area = {"resize": "keep", "image_size": 64, "crop_size": 0, "region": (10, 5, 80, 60)}
    fit(tmp_path, images=str(write(tmp_path / "good", 2)), ignore=str(tmp_path / "mask.png"), **area)
    file = export(tmp_path, format=kind)
    pictures = [picture(1), picture(7)]
    scores, maps = exporting.load(kind, file)(np.stack([np.asarray(image) for image in pictures]))
    assert maps.shape == (2, 48, 64)
    assert not maps[:, :, :16].any() and maps[:, :, 17:].all()
    np.testing.assert_allclose(scores, fit_scores(tmp_path, pictures), rtol=1e-5)
