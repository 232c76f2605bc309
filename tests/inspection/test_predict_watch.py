"""Images as they arrive."""

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from fastrecon_jax.inspection import watching
from fastrecon_jax.inspection.watching import Watcher
from tests.inspection import line

ROOT = Path(__file__).resolve().parents[2]


class Told:
    """Takes what the command tells; runs `feed` once it watches, and ends it after so many verdicts."""

    def __init__(self, feed, verdicts):
        self.text, self.feed, self.verdicts = "", feed, verdicts
        self.thread = threading.Thread(target=feed)

    def __call__(self, text):
        self.text += text
        if text.startswith("watching"):
            self.thread.start()
        if text[2:3] == ":":
            self.verdicts -= 1
            if self.verdicts == 0:
                raise KeyboardInterrupt


def watch(model, images, output, feed=lambda: None, *, verdicts, **options):
    """The exit code and what was told."""
    told = Told(feed, verdicts)
    limit = threading.Timer(60, os._exit, (1,))
    limit.start()
    try:
        code = line.predict(model, images, output, tell=told, watch=True, interval=0.05, **options)
    finally:
        limit.cancel()
    told.thread.join()
    return code, told.text


def test_images_there_come_first_and_new_ones_as_they_arrive(disc, tmp_path):
    folder = line.write(tmp_path / "in", 3)
    for file in folder.iterdir():
        line.age(file)
    code, told = watch(disc, folder, tmp_path / "out", lambda: line.write(folder, 2, start=200), verdicts=5)
    assert code == 0
    rows = line.lines(tmp_path / "out")
    assert sorted(row["path"] for row in rows[:3]) == [str(folder / f"{i}.png") for i in (100, 101, 102)]
    assert {Path(row["path"]).name for row in rows[3:]} == {"200.png", "201.png"}
    assert told.index("102.png") < told.index("watching") < told.index("200.png")
    assert "5 images" in (tmp_path / "out" / "index.html").read_text()


def test_a_file_that_grows_is_inspected_once_it_is_whole(disc, tmp_path):
    folder = line.write(tmp_path / "in", 1)
    data = (folder / "100.png").read_bytes()

    def feed():
        with (folder / "slow.png").open("wb") as opened:
            for start in range(0, len(data), 2000):
                opened.write(data[start : start + 2000])
                opened.flush()
                time.sleep(0.12)

    code, _ = watch(disc, folder, tmp_path / "out", feed, verdicts=2)
    rows = line.lines(tmp_path / "out")
    assert code == 0
    assert rows[0]["score"] == rows[1]["score"]
    assert rows[1]["size"] == len(data)


def test_a_file_that_stays_undecodable_becomes_a_row(disc, tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "PATIENCE", 0.5)
    folder = line.write(tmp_path / "in", 1)
    code, told = watch(
        disc, folder, tmp_path / "out", lambda: (folder / "bad.png").write_bytes(b"no image"), verdicts=2
    )
    assert code == 3
    assert "bad.png is not an image" in line.lines(tmp_path / "out")[1]["error"]
    assert "0 defective, 1 unreadable\n" in told


def test_folders_may_come_and_go(disc, tmp_path):
    def feed():
        folder = line.write(tmp_path / "in", 1)
        time.sleep(0.5)
        shutil.rmtree(folder)
        time.sleep(0.2)
        line.write(tmp_path / "in", 1, start=300)

    code, _ = watch(disc, tmp_path / "in", tmp_path / "out", feed, verdicts=2)
    assert code == 0
    assert [Path(row["path"]).name for row in line.lines(tmp_path / "out")] == ["100.png", "300.png"]


def test_a_file_that_is_overwritten_is_inspected_again(disc, tmp_path):
    folder = line.write(tmp_path / "in", 1)
    line.age(folder / "100.png")
    code, _ = watch(
        disc, folder, tmp_path / "out", lambda: line.write(folder, 1, start=100, defective=True), verdicts=2
    )
    rows = line.lines(tmp_path / "out")
    assert code == 0
    assert rows[0]["path"] == rows[1]["path"]
    assert rows[0]["score"] < rows[1]["score"]


def test_watching_goes_on_where_it_ended(disc, tmp_path):
    folder = line.write(tmp_path / "in", 2)
    watch(disc, folder, tmp_path / "out", verdicts=2)
    _, told = watch(disc, folder, tmp_path / "out", lambda: line.write(folder, 1, start=200), verdicts=1)
    assert "0 images to inspect, 2 more were inspected before" in told
    assert len(line.lines(tmp_path / "out")) == 3


def test_pictures_in_a_watched_folder_are_not_inspected(disc, tmp_path):
    folder = line.write(tmp_path / "in", 1)
    pattern = f"{folder}/**/*.png"
    code, _ = watch(
        disc, pattern, folder / "out", lambda: (time.sleep(0.5), line.write(folder, 1, start=200)), verdicts=2
    )
    assert code == 0
    assert {Path(row["path"]).name for row in line.lines(folder / "out")} == {"100.png", "200.png"}


@pytest.mark.skipif(not hasattr(signal, "SIGINT") or os.name != "posix", reason="sends a signal")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_command_ends_orderly_on_signals(disc, tmp_path, number):
    folder = line.write(tmp_path / "in dir", 1)
    command = [sys.executable, "-m", "fastrecon_jax.predict", f"--model={disc}", f"--images={folder}", "--watch"]
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    process = subprocess.Popen(
        [*command, f"--output_dir={tmp_path / 'out'}", "--interval=0.1"],
        cwd=ROOT,
        env=environment | {"FASTRECON_COMPILATION_CACHE": str(tmp_path / "cache")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    told = []
    while not (told and "100.png" in told[-1]):
        told.append(process.stdout.readline())
        assert told[-1], process.stderr.read()
    process.send_signal(number)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    assert errors == ""
    assert "0 defective, 0 unreadable\n" in out
    assert "1 image: 1 good" in (tmp_path / "out" / "index.html").read_text()
    assert any((tmp_path / "cache").rglob("*-cache"))


def arriving(folder, **options):
    return Watcher(str(folder), wanted=lambda path: True, done={}, **options)


def test_a_file_is_named_once_it_has_not_changed_between_two_looks(tmp_path):
    watched, file = arriving(tmp_path), tmp_path / "a.png"
    assert watched.look() == []
    file.write_bytes(b"1")
    assert watched.look() == []
    file.write_bytes(b"12")
    assert watched.look() == []
    assert watched.look() == [file]
    watched.finish(str(file), (2, file.stat().st_mtime_ns))
    assert watched.look() == []
    file.write_bytes(b"123")
    watched.look()
    assert watched.look() == [file]


def test_hidden_files_and_others_are_skipped(tmp_path):
    for name in (".a.png", "a.png.part", "a.txt", "b.PNG"):
        (tmp_path / name).write_bytes(b"1")
    (tmp_path / "folder.png").mkdir()
    watched = arriving(f"{tmp_path},{tmp_path / 'nothing'}")
    watched.look()
    assert tmp_path / "b.PNG" in watched.look()
    assert not any(path.name in (".a.png", "a.png.part", "a.txt") for path in watched.look())
