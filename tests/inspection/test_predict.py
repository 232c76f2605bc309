"""The command predict: rows, verdicts, what happens to bad images, interrupted runs and full disks."""

import errno
import json
import os
from pathlib import Path

import pytest
from PIL import Image

from fastrecon_jax.api import FastRecon
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import ledger, reading, rows
from fastrecon_jax.inspection.config import PredictConfig
from tests.helpers import assert_close
from tests.inspection import line


@pytest.fixture
def images(tmp_path):
    line.write(tmp_path / "in", 3)
    return line.write(tmp_path / "in", 2, start=200, defective=True)


def test_each_image_has_a_row_with_what_the_inspector_finds(disc, images, tmp_path):
    assert line.predict(disc, images, tmp_path / "out", batch_size=2) == 0
    rows, part = line.lines(tmp_path / "out"), FastRecon.load(disc)
    assert [row["path"] for row in rows] == sorted(map(str, images.iterdir()))
    findings = part.inspect([row["path"] for row in rows])
    for row, finding in zip(rows, findings, strict=True):
        assert row["verdict"] == finding.verdict
        assert_close(row["score"], finding.score)
        assert_close(row["p_value"], finding.p_value, 1e-3)
        assert_close(row["peak"], finding.map.max())
        assert [region["x"] for region in row["regions"]] == [region.x for region in finding.regions]
        assert row["threshold"] == part.threshold
        assert (row["part"], row["picked"], row["error"]) == ("disc", "only", "")
        assert row["milliseconds"] > 0
        assert (tmp_path / "out" / row["overlay"]).is_file()
    assert [row["verdict"] for row in rows][-2:] == ["defective", "defective"]


def test_the_table_says_what_the_lines_say(disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="none")
    for cells, row in zip(line.table(tmp_path / "out"), line.lines(tmp_path / "out"), strict=True):
        assert tuple(cells) == rows.COLUMNS
        for name in ("path", "part", "picked", "verdict", "overlay", "time", "error"):
            assert cells[name] == row[name]
        for name in ("score", "threshold", "p_value", "peak", "milliseconds"):
            assert float(cells[name]) == row[name]
        assert int(cells["regions"]) == len(row["regions"])
        for name, value in row["regions"][0].items() if row["regions"] else ():
            assert float(cells[f"region_{name}"]) == value


def test_scores_do_not_depend_on_the_batch(disc, images, tmp_path):
    for size in (1, 3, 16):
        line.predict(disc, images, tmp_path / str(size), batch_size=size, overlays="none")
    scores = [[row["score"] for row in line.lines(tmp_path / str(size))] for size in (1, 3, 16)]
    assert_close(scores[1], scores[0])
    assert_close(scores[2], scores[0])


def test_an_unreadable_image_is_a_row_and_the_run_goes_on(disc, images, tmp_path, capsys):
    (images / "150.png").write_bytes(b"no image")
    (images / "160.png").write_bytes((images / "100.png").read_bytes()[:300])
    told = []
    assert line.predict(disc, images, tmp_path / "out", tell=told.append) == 3
    rows = {row["path"]: row for row in line.lines(tmp_path / "out")}
    assert len(rows) == 7
    for name, words in (("150.png", "is not an image"), ("160.png", "cannot be decoded")):
        row = rows[str(images / name)]
        assert words in row["error"]
        assert name in row["error"]
        assert (row["verdict"], row["score"], row["regions"]) == ("", None, [])
    good = sum(row["verdict"] == "good" for row in rows.values())
    assert f"{good} good, " in told[-1]
    assert "2 unreadable" in told[-1]
    assert capsys.readouterr().err == ""  # no progress bar without a terminal


def test_the_same_command_resumes_what_is_there(disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out")
    before = line.lines(tmp_path / "out")
    line.picture(300).save(images / "300.png")
    told = []
    line.predict(disc, images, tmp_path / "out", tell=told.append)
    rows = line.lines(tmp_path / "out")
    assert rows[:5] == before
    assert [row["path"] for row in rows[5:]] == [str(images / "300.png")]
    assert len(line.table(tmp_path / "out")) == 6
    assert "1 image to inspect, 5 more were inspected before" in told[0]


def test_an_image_that_has_changed_or_could_not_be_read_is_inspected_again(disc, images, tmp_path):
    (images / "150.png").write_bytes(b"no image")
    assert line.predict(disc, images, tmp_path / "out") == 3
    line.picture(150).save(images / "150.png")
    line.picture(7, defective=True).save(images / "100.png")
    assert line.predict(disc, images, tmp_path / "out") == 0
    rows = line.lines(tmp_path / "out")
    assert [row["path"] for row in rows[6:]] == [str(images / "100.png"), str(images / "150.png")]
    assert rows[6]["verdict"] == "defective"


def test_half_a_line_of_a_killed_run_is_dropped(disc, images, tmp_path):
    out = tmp_path / "out"
    line.predict(disc, images, out, overlays="none")
    whole = (out / "results.jsonl").read_bytes()
    (out / "results.jsonl").write_bytes(whole[: len(whole) - 20])
    line.predict(disc, images, out, overlays="none")
    assert len(line.lines(out)) == len(line.table(out)) == 5
    assert line.lines(out)[:4] == [row for row in line.lines(out) if row["path"] != str(images / "201.png")]


def test_a_damaged_line_is_named(disc, images, tmp_path):
    out = tmp_path / "out"
    line.predict(disc, images, out, overlays="none")
    (out / "results.jsonl").write_text('{"path": 3}\n')
    with pytest.raises(InputError, match=r"results\.jsonl, line 1 is damaged"):
        line.predict(disc, images, out)


def test_results_of_another_part_are_left_alone(disc, bar, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="none")
    before = (tmp_path / "out" / "results.jsonl").read_bytes()
    with pytest.raises(InputError, match=r"results of other parts or settings: parts was disc .* and is bar .*another"):
        line.predict(bar, images, tmp_path / "out")
    with pytest.raises(InputError, match="part was auto and is disc"):
        line.predict(disc, images, tmp_path / "out", part="disc")
    assert (tmp_path / "out" / "results.jsonl").read_bytes() == before


def test_a_directory_of_other_files_is_left_alone(disc, images, tmp_path):
    other = line.write(tmp_path / "other", 1)
    with pytest.raises(InputError, match="holds other files: name a new or empty directory"):
        line.predict(disc, images, other)
    with pytest.raises(InputError, match="names only files in --output_dir"):
        line.predict(disc, images, images)
    assert len(list(other.iterdir())) == 1
    assert len(list(images.iterdir())) == 5


def test_another_process_in_the_same_directory_is_refused(disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="none")
    run = json.loads((tmp_path / "out" / ledger.RUN).read_text())
    results = ledger.open_ledger(tmp_path / "out", run)
    with pytest.raises(InputError, match="another process is writing results there"):
        ledger.open_ledger(tmp_path / "out", run)
    results.close()
    ledger.open_ledger(tmp_path / "out", run).close()


def test_pictures_of_an_earlier_run_are_not_inspected(disc, images, tmp_path):
    for _ in range(2):
        line.predict(disc, tmp_path / "in" / "**" / "*.png", tmp_path / "in" / "out")
    assert len(line.lines(tmp_path / "in" / "out")) == 5
    with pytest.raises(InputError, match="names only files in --output_dir"):
        line.predict(disc, tmp_path / "in" / "out" / "overlays", tmp_path / "in" / "out")


@pytest.mark.parametrize("name", ["a b.png", "ä ö 漢.png", "100 % #1?.png", 'it\'s "q" & <b>.png', "-x=&y;.png"])
def test_any_name_will_do(disc, tmp_path, name):
    folder = tmp_path / "in dir #1"
    folder.mkdir()
    line.picture(1).save(folder / name)
    assert line.predict(disc, folder, tmp_path / "out") == 0
    (row,) = line.lines(tmp_path / "out")
    assert row["path"] == line.table(tmp_path / "out")[0]["path"] == str(folder / name)
    assert (tmp_path / "out" / row["overlay"]).is_file()


def test_images_of_one_name_in_several_folders_have_a_picture_each(disc, tmp_path):
    for folder in ("a", "b"):
        line.write(tmp_path / folder, 2)
    line.predict(disc, f"{tmp_path / 'a'},{tmp_path / 'b'}", tmp_path / "out")
    assert len({row["overlay"] for row in line.lines(tmp_path / "out")}) == 4


def test_pictures_of_the_suspicious_alone(disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="suspicious", overlay_format="jpg")
    for row in line.lines(tmp_path / "out"):
        assert bool(row["overlay"]) == (row["verdict"] != "good")
    for file in (tmp_path / "out" / "overlays").iterdir():
        with Image.open(file) as opened:
            assert (opened.format, opened.size) == ("JPEG", (90, 80))


def test_no_pictures_at_all(disc, images, tmp_path):
    line.predict(disc, images, tmp_path / "out", overlays="none")
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == [
        "index.html",
        "results.csv",
        "results.jsonl",
        "run.json",
    ]


def test_an_interrupt_keeps_what_is_done(disc, images, tmp_path, monkeypatch):
    read = reading.read

    def interrupted(job, **options):
        if job.path.name == "201.png":
            raise KeyboardInterrupt
        return read(job, **options)

    monkeypatch.setattr(reading, "read", interrupted)
    with pytest.raises(KeyboardInterrupt):
        line.predict(disc, images, tmp_path / "out", batch_size=2)
    assert len(line.lines(tmp_path / "out")) == len(line.table(tmp_path / "out")) == 4
    assert "4 images" in (tmp_path / "out" / "index.html").read_text()
    monkeypatch.undo()
    line.predict(disc, images, tmp_path / "out", batch_size=2)
    assert len(line.lines(tmp_path / "out")) == 5


@pytest.mark.parametrize("fails", [ledger.LINES, ledger.TABLE])
def test_a_full_disk_is_one_error_and_whole_rows_stay(disc, images, tmp_path, monkeypatch, fails):
    write, out, written = ledger._write, tmp_path / "out", []

    def full(descriptor, data):
        file = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        written.extend([1] if file.endswith(fails) else [])
        if len(written) > 3 and file.endswith(fails):
            os.write(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        write(descriptor, data)

    monkeypatch.setattr(ledger, "_write", full)
    with pytest.raises(InputError, match=rf"{fails} cannot be written: No space left on device; 3 rows are complete"):
        line.predict(disc, images, out, batch_size=1)
    assert len(line.lines(out)) == len(line.table(out)) == 3
    monkeypatch.undo()
    line.predict(disc, images, out)
    assert [row["path"] for row in line.lines(out)] == sorted(map(str, images.iterdir()))


def test_a_picture_that_cannot_be_written_is_an_error(disc, images, tmp_path):
    line.predict(disc, images / "100.png", tmp_path / "out", overlays="none")
    (tmp_path / "out" / "overlays").write_text("in the way")
    with pytest.raises(InputError, match="overlays cannot be made"):
        line.predict(disc, images, tmp_path / "out")
    assert len(line.lines(tmp_path / "out")) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"model": ""}, "--model is missing"),
        ({"images": ""}, "--images is missing"),
        ({"output_dir": ""}, "--output_dir is missing"),
        ({"part": ""}, "--part is missing"),
        ({"overlays": "some"}, "--overlays=some is not allowed: allowed are all, suspicious, none"),
        ({"overlay_format": "gif"}, "--overlay_format=gif is not allowed: allowed are png, jpg"),
        ({"batch_size": 0}, "--batch_size=0"),
        ({"interval": 0.0}, "--interval=0.0"),
        ({"interval": float("nan")}, "--interval=nan"),
        ({"max_pixels": 0}, "--max_pixels=0"),
    ],
)
def test_flags_out_of_range_are_named(changes, words):
    with pytest.raises(InputError, match=words):
        PredictConfig(**({"model": "a.safetensors", "images": "a", "output_dir": "out"} | changes))


@pytest.mark.parametrize(
    ("model", "words"),
    [
        ("nothing.safetensors", "is not there; python -m fastrecon_jax.fit makes"),
        ("none*.safetensors", "is not there"),
        ("in/100.png", r"must end in \.safetensors"),
        ("in", "is no file"),
        ("fake.safetensors", "damaged or no part"),
    ],
)
def test_models_that_are_none_are_named(images, tmp_path, model, words):
    (tmp_path / "fake.safetensors").write_bytes(b"no part")
    with pytest.raises(InputError, match=words):
        line.predict(tmp_path / model, images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_images_that_are_not_there_are_named(disc, tmp_path):
    with pytest.raises(InputError, match=r"--images=.*nothing matches no image"):
        line.predict(disc, tmp_path / "nothing", tmp_path / "out")


@pytest.mark.shared
def test_bottles_are_told_apart_as_the_notebook_tells_them(shared, tmp_path):
    folder = shared / "data" / "mvtec_ad" / "bottle"
    good = sorted((folder / "train" / "good").glob("*.png"))[:8]
    part = FastRecon.fit(good, name="bottle", method="fastrecon")
    part.save(tmp_path / "bottle.safetensors")
    patterns = [str(folder / "test" / kind / "00[0-3].png") for kind in ("good", "broken_large", "contamination")]
    assert line.predict(tmp_path / "bottle.safetensors", ",".join(patterns), tmp_path / "out") == 0
    rows = line.lines(tmp_path / "out")
    assert_close([row["score"] for row in rows], part.score([row["path"] for row in rows]))
    verdicts = [row["verdict"] for row in rows]
    assert "defective" not in verdicts[:4]
    assert verdicts[4:] == ["defective"] * 8


def test_larger_images_than_allowed_are_rows(disc, images, tmp_path):
    assert line.predict(disc, images, tmp_path / "out", max_pixels=1000) == 3
    assert all("more than max_pixels=1000" in row["error"] for row in line.lines(tmp_path / "out"))
