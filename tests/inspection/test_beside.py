"""What lies beside the images that are inspected, what is odd about one of them, and how many bits a camera fills."""

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax import FastRecon
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import fit as fit_command
from fastrecon_jax.inspection import reading
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.parts import photos
from tests.inspection import line


class Told(list):
    """Takes what a command tells."""

    def __call__(self, text):
        self.append(text)

    def __str__(self):
        return "".join(self)


def fit(folder, model, **changes):
    told = Told()
    part = fit_command.fit(FitConfig(images=str(folder), model=str(model), **(line.TINY | changes)), tell=told)
    return part, str(told)


def sixteen_bits(folder, count, *, start, shift, colour=False, **options):
    """Photographs of a camera that fills 8 + shift bits of 16."""
    folder.mkdir(parents=True, exist_ok=True)
    for seed in range(start, start + count):
        grey = np.asarray(line.picture(seed, **options).convert("L")).astype(np.uint16) << shift
        Image.fromarray(grey).save(folder / f"{seed:03}.png")
    return folder


def test_pictures_that_are_not_read_are_counted_and_end_with_3(disc, tmp_path):
    folder, told = line.write(tmp_path / "in", 2), Told()
    for name in ("a.heic", "b.HEIC", "c.psd", "notes.txt"):
        (folder / name).touch()
    (folder / "old").mkdir()
    assert line.predict(disc, folder, tmp_path / "out", tell=told, overlays="none") == 3
    assert str(told).count("3 files skipped: .heic (2), .psd (1)") == 2  # at the beginning and at the end
    assert "1 folder inside is not searched" in str(told)
    assert len(line.lines(tmp_path / "out")) == 2
    _, told = fit(folder, tmp_path / "new.safetensors")
    assert "3 files skipped: .heic (2), .psd (1)" in told
    with pytest.raises(InputError, match=r"matches no image: .*; 1 file skipped: .avif \(1\)"):
        (tmp_path / "none").mkdir()
        (tmp_path / "none/a.avif").touch()
        reading.find(str(tmp_path / "none"))


def test_a_folder_of_results_inside_is_no_folder_that_is_not_searched(disc, tmp_path):
    folder, told = line.write(tmp_path / "in", 1), Told()
    assert line.predict(disc, folder, folder / "results/today", tell=told) == 0
    assert "not searched" not in str(told)


def test_patterns_pass_over_what_systems_put_into_folders(tmp_path):
    for name in ("a", "a/@eaDir/x.png", "__MACOSX/a", ".cache"):
        line.write(tmp_path / name, 1)
    assert [path.parent.name for path in reading.find(f"{tmp_path}/**/*.png")] == ["a"]
    assert len(reading.find(f"{tmp_path}/.cache/*.png")) == 1  # which is asked for


@pytest.mark.parametrize("ending", ["webp", "gif", "ppm", "jfif", "dib"])
def test_other_formats_are_inspected(disc, tmp_path, ending):
    (tmp_path / "in").mkdir()
    kinds = {"jfif": "JPEG", "webp": "WEBP", "ppm": "PPM", "gif": "GIF", "dib": "DIB"}
    line.picture(3).save(tmp_path / f"in/x.{ending}", kinds[ending])
    assert line.predict(disc, tmp_path / "in", tmp_path / "out", overlays="none") == 0
    assert len(line.lines(tmp_path / "out")) == 1


def test_what_is_odd_about_an_image_is_in_its_row_and_counted(disc, tmp_path):
    folder, told = line.write(tmp_path / "in", 1), Told()
    first, second = line.picture(1), line.picture(2)
    first.save(folder / "pages.tif", save_all=True, append_images=[second, second])
    for i in range(2):
        line.picture(i, size=(120, 80)).save(folder / f"wide{i}.png")
    Image.new("RGB", (90, 80), (9, 9, 9)).save(folder / "night.png")
    assert line.predict(disc, folder, tmp_path / "out", tell=told) == 0
    rows = {row["path"].rsplit("/", 1)[-1]: row["warning"] for row in line.lines(tmp_path / "out")}
    assert rows == {
        "100.png": "",
        "night.png": "dark: no value is above 9 of 255",
        "pages.tif": "pages: the first of 3 is looked at",
        "wide0.png": "shape: 120x80, the good ones are 90x80",
        "wide1.png": "shape: 120x80, the good ones are 90x80",
    }
    assert [row["warning"] for row in line.table(tmp_path / "out")] == list(rows.values())
    assert "warning: 2 images: 120x80, the good ones are 90x80\n" in str(told)
    assert "warning: 1 image: more than one page or frame, of which the first alone was inspected\n" in str(told)
    assert "warning: 1 image: less than an eighth of the range of their values in use\n" in str(told)
    assert "the first of 3" in (tmp_path / "out/index.html").read_text()
    again = Told()
    assert line.predict(disc, folder, tmp_path / "out", tell=again) == 0
    assert "warning: 2 images: 120x80" in str(again)  # of rows that were there, too


def test_whatever_one_image_brings_about_is_its_row(disc, tmp_path, monkeypatch):
    folder = line.write(tmp_path / "in", 3)
    prepare = photos.prepare

    def fail(image, preprocessing, *, name, **options):
        if name.endswith("101.png"):
            raise MemoryError
        return prepare(image, preprocessing, name=name, **options)

    monkeypatch.setattr(photos, "prepare", fail)
    assert line.predict(disc, folder, tmp_path / "out", overlays="none") == 3
    failed, *others = sorted(line.lines(tmp_path / "out"), key=lambda row: row["verdict"])
    assert failed["error"] == f"{folder / '101.png'} cannot be read: MemoryError()"
    assert [bool(row["verdict"]) for row in others] == [True, True]


@pytest.mark.parametrize(("shift", "depth"), [(0, 8), (2, 10), (4, 12), (6, 14), (8, 16)])
def test_the_bit_depth_is_found_kept_and_used_for_all_images(tmp_path, shift, depth):
    folder = sixteen_bits(tmp_path / "good", 4, start=0, shift=shift)
    part, told = fit(folder, tmp_path / "deep.safetensors")
    assert part.recipe.bit_depth == depth
    assert (f"--bit_depth={depth}" in told) == (depth < 16)
    assert "less than an eighth" not in told
    for i in range(4):
        line.picture(i).convert("L").save(tmp_path / f"{i:03}.png")
    shallow, _ = fit(tmp_path / "*.png", tmp_path / "shallow.safetensors")
    # 255 of 8 bits is 255 << shift, which is not quite white
    assert part.limits.threshold == pytest.approx(shallow.limits.threshold, rel=0.1)
    line.picture(7, defective=True).save(tmp_path / "bad.png")
    queries = sixteen_bits(tmp_path / "in", 1, start=7, shift=shift, defective=True)
    deep, eight = (FastRecon.load(tmp_path / f"{name}.safetensors") for name in ("deep", "shallow"))
    assert deep.predict(queries / "007.png")[0].score == pytest.approx(
        eight.predict(Image.open(tmp_path / "bad.png").convert("L"))[0].score, rel=0.1
    )


def test_a_bit_depth_that_is_given(tmp_path):
    folder = sixteen_bits(tmp_path / "good", 4, start=0, shift=4)
    part, told = fit(folder, tmp_path / "x.safetensors", bit_depth="10")
    assert part.recipe.bit_depth == 10
    assert "have 10, as asked for: 1023 is white" in told
    assert "4 of 4 images have values above the white of their bit depth" in told
    part, told = fit(folder, tmp_path / "x.safetensors", bit_depth="16")
    assert "4 of 4 images have less than an eighth of the range of their values in use" in told
    with pytest.raises(InputError, match="--bit_depth=11 is not allowed: allowed are auto, 8, 10, 12, 14, 16"):
        fit(folder, tmp_path / "x.safetensors", bit_depth="11")


def test_values_above_white_are_told_at_the_inspection(tmp_path):
    fit(sixteen_bits(tmp_path / "good", 4, start=0, shift=4), tmp_path / "x.safetensors")
    queries, told = sixteen_bits(tmp_path / "in", 1, start=9, shift=8), Told()
    assert line.predict(tmp_path / "x.safetensors", queries, tmp_path / "out", tell=told) == 0
    assert "values above the white of the part's bit depth" in str(told)
    assert "are above 4095, the white of 12 bits" in line.lines(tmp_path / "out")[0]["warning"]


def test_arrays_follow_the_bit_depth():
    tiny = {name: value for name, value in line.TINY.items() if name != "method"} | {"method": "fastrecon"}
    arrays = [np.asarray(line.picture(i)).astype(np.uint16) << 4 for i in range(4)]
    part = FastRecon.fit(arrays, **tiny)
    assert part.part.recipe.bit_depth == 12
    assert FastRecon.fit(arrays, bit_depth=14, **tiny).part.recipe.bit_depth == 14
    grey = [array[..., 0] for array in arrays]
    assert FastRecon.fit(grey, **tiny).part.recipe.bit_depth == 12
    assert FastRecon.fit([array.astype(np.uint8) for array in arrays], **tiny).part.recipe.bit_depth == 16
    (finding,) = part.predict(arrays[0] << 4)
    assert finding.warnings[0].startswith("clipped: ")
    with pytest.raises(InputError, match="bit_depth=9 is not allowed"):
        FastRecon.fit(arrays, bit_depth=9, **tiny)
