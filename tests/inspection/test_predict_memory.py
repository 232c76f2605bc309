"""Days of watching: memory is that of the files which are there, and a restart knows what was done."""

import gc
import itertools
import os
import time
import tracemalloc

import numpy as np
import pytest

from fastrecon_jax.inspection import predict as predict_command
from fastrecon_jax.inspection import reading, rows, watching
from fastrecon_jax.inspection.reading import ReadImage
from fastrecon_jax.inspection.watching import Watcher
from fastrecon_jax.parts import inspector
from fastrecon_jax.parts.inspector import Finding
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.parts.regions import Region
from tests.inspection import line

ROUNDS, EACH, IDLE = 100, 20, 4  # so many images come at a time, and go three rounds later; in each fourth round none
FIRST, SETTLED = 40, 60  # rounds from which memory is traced, and after which it must not grow
GROWTH = 100_000  # bytes; rows and paths of the images since then take five times as many


class Clock:
    """Time that passes when the command sleeps, in which images come and go.

    Attributes:
        memory: bytes that were allocated since the first traced round and are still held, at two later rounds.
    """

    perf_counter, time_ns = staticmethod(time.perf_counter), staticmethod(time.time_ns)

    def __init__(self, folder):
        self.now, self.round, self.folder, self.memory = 0.0, 0, folder, []

    def monotonic(self):
        return self.now

    def sleep(self, seconds):
        self.now += 5.0
        self.round += 1
        if self.round == FIRST:
            tracemalloc.start()
        if self.round in (SETTLED, ROUNDS):
            self.memory.append(traced())
        if self.round > ROUNDS + 3:
            raise KeyboardInterrupt
        for i in range(EACH):
            if self.round <= ROUNDS and self.round % IDLE:
                (self.folder / f"{self.round:04}-{i}.png").write_bytes(b"an image")
            if self.round <= ROUNDS:
                (self.folder / f"{self.round - 3:04}-{i}.png").unlink(missing_ok=True)


def traced():
    """Without pathlib, whose names share Python's one table of strings: that grows by itself now and then."""
    gc.collect()
    snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, "*pathlib*")])
    return sum(trace.size for trace in snapshot.traces)


@pytest.fixture
def little(monkeypatch):
    """Little is remembered, so that a few thousand images are as days are."""
    monkeypatch.setattr(rows, "RECENT", 50)
    monkeypatch.setattr(watching, "_GONE", 50)


@pytest.fixture
def quick(monkeypatch):
    """No image is decoded or scored."""

    def read(job, *, small):
        black = Photo(str(job.path), "", 64, 64, np.zeros((64, 64, 3), np.uint8))
        return ReadImage(job, *reading.stamp(job.path), black, None, 0.01, "")

    def inspect(model, photos, *, batch_size, before):
        anomaly_map, region = np.zeros((64, 64), np.float32), Region(1, 2, 3, 4, 5, 6.0)
        return [Finding(photo.name, 0.1, 0.5, "good", (region,), anomaly_map, "", 0.1, None) for photo in photos]

    monkeypatch.setattr(reading, "read", read)
    monkeypatch.setattr(inspector, "inspect", inspect)


def test_memory_is_bounded_and_a_restart_resumes(disc, tmp_path, monkeypatch, little, quick):
    folder, told = tmp_path / "in", []
    folder.mkdir()
    clock = Clock(folder)
    monkeypatch.setattr(predict_command, "time", clock)
    try:
        options = {"overlays": "none", "watch": True, "interval": 1.0}
        assert line.predict(disc, folder, tmp_path / "out", tell=len, **options) == 0
    finally:
        tracemalloc.stop()
    settled, at_the_end = clock.memory
    assert at_the_end - settled < GROWTH
    done, images = line.lines(tmp_path / "out"), EACH * sum(round_ % IDLE > 0 for round_ in range(1, ROUNDS + 1))
    assert len({row["path"] for row in done}) == len(done) == len(line.table(tmp_path / "out")) == images
    assert (tmp_path / "out" / "index.html").read_text().count('<li class="row') == 50
    line.predict(disc, folder, tmp_path / "out", tell=told.append, overlays="none")
    left = len(list(folder.iterdir()))
    assert left > 0
    assert f"0 images to inspect, {left} more were inspected before" in told[0]
    assert f"{left} good, 0 borderline" in told[-1]
    assert line.lines(tmp_path / "out") == done


def test_a_folder_that_is_away_for_a_moment_is_not_inspected_anew(tmp_path):
    folder = line.write(tmp_path / "in", 3)
    watched = Watcher(str(folder), wanted=lambda path: True, done={})
    watched.look()
    for path in watched.look():
        watched.finish(str(path), (path.stat().st_size, path.stat().st_mtime_ns))
    folder.rename(tmp_path / "away")
    assert watched.look() == []
    (tmp_path / "away").rename(folder)
    assert list(itertools.chain.from_iterable(watched.look() for _ in range(3))) == []


def test_of_files_that_have_gone_the_latest_are_remembered(tmp_path, monkeypatch):
    monkeypatch.setattr(watching, "_GONE", 2)
    watched = Watcher(str(tmp_path), wanted=lambda path: True, done={})
    files = [tmp_path / f"{i}.png" for i in range(4)]
    stamps = {}
    for file in files:
        file.write_bytes(b"1")
        stamps[file] = (1, file.stat().st_mtime_ns)
        watched.look()
        assert watched.look() == [file]
        watched.finish(str(file), stamps[file])
        file.unlink()
        watched.look()
    for file in files:
        file.write_bytes(b"1")
        os.utime(file, ns=(stamps[file][1], stamps[file][1]))
    watched.look()
    assert watched.look() == files[:2]
