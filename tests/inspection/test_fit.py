"""The commands fit and extend as a user sees them."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import FastRecon, locks
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import extend
from fastrecon_jax.inspection import fit as fit_command
from fastrecon_jax.inspection.config import ExtendConfig, FitConfig
from tests.parts.helpers import picture, write

ROOT = Path(__file__).resolve().parents[2]
TINY = {"encoder": "resnet18", "weights": "random", "stages": ("layer1", "layer2"), "image_size": 72, "crop_size": 64}
TINY |= {"resize": "crop"}
PATHS = {"images": "good", "model": "disc.safetensors"}


def fit(tmp_path, tell=lambda text: None, **changes):
    known = TINY | {"images": str(tmp_path / "good"), "model": str(tmp_path / "disc.safetensors")}
    config = FitConfig(**(known | changes), settings={"coreset_ratio": 0.1})
    return fit_command.fit(config, tell=tell)


def command(folder, name, *arguments):
    return subprocess.run(
        [sys.executable, "-m", f"fastrecon_jax.{name}", *arguments],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )


def test_from_photographs_to_a_file_and_more_photographs(tmp_path):
    write(tmp_path / "good", 4)
    write(tmp_path / "more", 3, start=4)
    tiny = [f"--{name}={','.join(value) if isinstance(value, tuple) else value}" for name, value in TINY.items()]
    ran = command(tmp_path, "fit", "--images=good/*.png", "--model=disc.safetensors", "--name=disc", *tiny)
    assert (ran.returncode, ran.stderr) == (0, "")
    for text in (
        "RANDOM WEIGHTS",
        "part disc, 4 images",
        "each held out",
        "for 1 % false positives",
        "disc.safetensors",
    ):
        assert text in ran.stdout
    ran = command(tmp_path, "extend", "--model=disc.safetensors", "--images=more")
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "4 -> 7 images: threshold" in ran.stdout
    write(tmp_path / "good", 3, start=4)
    together = FastRecon.fit([tmp_path / "good" / f"{i:03}.png" for i in range(7)], **TINY, target_fpr=0.01)
    extended = FastRecon.load(tmp_path / "disc.safetensors")
    # two processes: where their settings of BLAS differ, so does the last digit
    assert extended.threshold == pytest.approx(together.threshold, rel=1e-5)
    ran = command(tmp_path, "extend", "--model=none.safetensors", "--images=more")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "error: --model=none.safetensors is not a file; python -m fastrecon_jax.fit makes one\n"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"images": ""}, "--images is missing"),
        ({"model": ""}, "--model is missing"),
        ({"model": "part.pkl"}, "--model=part.pkl is not allowed: it must end in .safetensors"),
        ({"method": "magic"}, "--method=magic is not allowed: allowed are fastrecon"),
        ({"method": "padim"}, "--coreset_ratio=0.1 is not allowed: it is a setting of fastrecon and fastrecon+"),
        ({"target_fpr": 0.0}, "--target_fpr=0.0 is not allowed"),
        ({"target_fpr": float("nan")}, "--target_fpr=nan is not allowed"),
        ({"crop_size": 100}, "--crop_size=100 is not allowed: it must be from 32 to --image_size=72"),
        ({"image_score": "sum"}, "--image_score=sum is not allowed"),
        ({"max_images": 3}, "--images names 4 images, more than --max_images=3"),
        ({"max_pixels": 100}, "4 of 4 images cannot be used"),
        ({"encoder": "resnet7"}, "unknown encoder 'resnet7'"),
    ],
)
def test_mistakes(tmp_path, changes, message):
    write(tmp_path / "good")
    with pytest.raises(InputError, match=message):
        fit(tmp_path, **changes)
    assert not (tmp_path / "disc.safetensors").exists()


def test_no_place_for_the_file(tmp_path):
    write(tmp_path / "good")
    with pytest.raises(InputError, match="there is no directory"):
        fit(tmp_path, model=str(tmp_path / "none/disc.safetensors"))
    (tmp_path / "folder.safetensors").mkdir()
    with pytest.raises(InputError, match="is a directory"):
        fit(tmp_path, model=str(tmp_path / "folder.safetensors"))


def test_unreadable_images_are_named_all_at_once(tmp_path):
    write(tmp_path / "good")
    (tmp_path / "good/text.png").write_text("no image")
    (tmp_path / "good/empty.png").write_bytes(b"")
    with pytest.raises(InputError, match=r"2 of 6 images cannot be used: .*empty.png.*; .*text.png"):
        fit(tmp_path)


def test_an_extension_goes_elsewhere_and_may_be_ruled_out(tmp_path):
    write(tmp_path / "good")
    write(tmp_path / "more", 1, start=9)
    fit(tmp_path, extendable=False)
    config = {"model": str(tmp_path / "disc.safetensors"), "images": str(tmp_path / "more")}
    with pytest.raises(InputError, match="fitted with --extendable=false"):
        extend.extend(ExtendConfig(**config), tell=lambda text: None)
    fit(tmp_path)
    before = (tmp_path / "disc.safetensors").read_bytes()
    extend.extend(ExtendConfig(**config, output=str(tmp_path / "new.safetensors")), tell=lambda text: None)
    assert (tmp_path / "disc.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="1 images and 4 that the part knows, more than --max_images=4"):
        extend.extend(ExtendConfig(**config, max_images=4), tell=lambda text: None)


def test_in_a_notebook(tmp_path):
    images = [picture(0), np.asarray(picture(1)), write(tmp_path, 1, start=2) / "002.png", str(tmp_path / "002.png")]
    part = FastRecon.fit(images, **TINY)
    assert repr(part).startswith("Inspector('part', fastrecon+, resnet18, 3 good images, threshold ")
    assert "copies" in part.warnings[0]
    queries = [picture(20), picture(21, defective=True)]
    scores = part.score(queries)
    assert scores.dtype == np.float32
    assert scores[0] < scores[1]
    assert [finding.score for finding in part.inspect(queries)] == scores.tolist()
    np.testing.assert_array_equal(part.score(np.stack([np.asarray(one) for one in queries])), scores)
    np.testing.assert_allclose(part.score(queries[1]), scores[1:], rtol=1e-6)
    part.save(tmp_path / "x.safetensors")
    np.testing.assert_array_equal(FastRecon.load(tmp_path / "x.safetensors").score(queries), scores)
    assert len(part.extend([picture(3)]).part.good) == 4
    assert part.score([]).shape == (0,)
    with pytest.raises(ValueError, match="image 1 holds float64"):
        part.score([picture(0), np.zeros((4, 4))])


def test_images_of_other_kinds_are_read(tmp_path):
    folder = write(tmp_path / "good", 1)
    image = picture(1)
    image.convert("CMYK").save(folder / "cmyk.jpg")
    image.convert("P").save(folder / "palette.png")
    Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257).save(folder / "sixteen.png")
    assert len(fit(tmp_path).good) == 4


def test_parts_that_are_extended_at_the_same_time_lose_no_image(tmp_path):
    write(tmp_path / "good", 3)
    fit(tmp_path)
    model, told, errors = str(tmp_path / "disc.safetensors"), [], []

    def add(start):
        images = write(tmp_path / f"more {start}", 1, start=start)
        try:
            extend.extend(ExtendConfig(model=model, images=str(images)), tell=told.append)
        except InputError as error:
            errors.append(error)

    threads = [threading.Thread(target=add, args=(start,)) for start in (3, 4, 5)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert errors == []
    assert sum(line.startswith("waiting up to 10 minutes for another process") for line in told) == 2
    assert len(FastRecon.load(model).part.good) == 6
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["disc.safetensors"]


def test_a_fit_waits_for_an_extension_of_the_same_part(tmp_path, monkeypatch):
    write(tmp_path / "good", 3)
    monkeypatch.setattr(locks, "PATIENCE", 0.2)
    told = []
    with (
        locks.writing(tmp_path / "disc.safetensors", tell=str),
        pytest.raises(InputError, match=r"disc\.safetensors was not written: another process has been writing it"),
    ):
        fit(tmp_path, tell=told.append)
    assert len(told) == 1  # nothing was computed


def test_by_default_the_whole_photograph_is_inspected_and_said(tmp_path):
    write(tmp_path / "good", size=(120, 90))
    said = []
    part = fit(tmp_path, said.append, resize="keep", image_size=64, crop_size=0)
    assert (part.recipe.resize, part.recipe.shape) == (FitConfig(**PATHS).resize, (48, 64))
    assert "inspected: the whole photograph, at 64x48 pixels\n" in "".join(said)
    assert (part.recipe.region, part.ignore) == ((), None)


def test_a_crop_is_said(tmp_path):
    write(tmp_path / "good")
    said = []
    fit(tmp_path, said.append)
    assert "inspected: the middle 89 % of each side, 79 % of the area; --resize=keep inspects all\n" in "".join(said)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"resize": "keep"}, "--crop_size=64 needs --resize=crop"),
        ({"resize": "pad"}, "--resize=pad is not allowed: allowed are keep, stretch, crop"),
        ({"region": (1, 2, 3)}, "--region=1,2,3 is not allowed: it must be x,y,width,height"),
        ({"region": (0, 0, 91, 80)}, "--region=0,0,91,80 is not allowed: .* the good images, which have 90x80 pixels"),
        ({"ignore": "none.png"}, "--ignore=none.png cannot be read"),
    ],
)
def test_areas_that_cannot_be_meant(tmp_path, changes, message):
    write(tmp_path / "good")
    with pytest.raises(InputError, match=message):
        fit(tmp_path, **changes)
    assert not (tmp_path / "disc.safetensors").exists()


def test_a_method_that_sees_the_whole_image_ignores_nothing(tmp_path):
    write(tmp_path / "good")
    picture(0).convert("1").save(tmp_path / "mask.png")
    paths = {"images": str(tmp_path / "good"), "model": str(tmp_path / "a.safetensors")}
    config = FitConfig(**TINY, **paths, method="spade", ignore=str(tmp_path / "mask.png"))
    with pytest.raises(InputError, match="--ignore is not possible with --method=spade"):
        fit_command.fit(config, tell=len)
