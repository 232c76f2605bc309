"""One writer at a time: the second waits or is told, and what a killed process held is free."""

import multiprocessing
import os
import signal
import threading
import time

import pytest

from fastrecon_jax import locks
from fastrecon_jax.errors import InputError

SPAWN = multiprocessing.get_context("spawn")


def hold(target, directory, ready, end):
    with locks.directory(target) if directory else locks.writing(target, tell=str):
        ready.set()
        end.wait(60)


@pytest.fixture
def holder():
    """Starts a process that holds a lock until it is told to end or killed."""
    started = []

    def start(target, *, directory=False):
        ready, end = SPAWN.Event(), SPAWN.Event()
        process = SPAWN.Process(target=hold, args=(target, directory, ready, end))
        process.start()
        started.append(process)
        assert ready.wait(60)
        return process, end

    yield start
    for process in started:
        process.kill()
        process.join()


def test_the_second_writer_says_that_it_waits_and_waits(tmp_path, holder):
    process, end = holder(tmp_path / "part.safetensors")
    told, order = [], []

    def tell(text):
        told.append(text)
        threading.Timer(0.5, lambda: (order.append("first has ended"), end.set())).start()

    with locks.writing(tmp_path / "part.safetensors", tell):
        order.append("second writes")
    process.join()
    assert order == ["first has ended", "second writes"]
    assert told == [f"waiting up to 10 minutes for another process that is writing '{tmp_path}/part.safetensors'\n"]
    assert list(tmp_path.iterdir()) == []


def test_after_the_time_limit_it_is_one_error(tmp_path, holder, monkeypatch):
    holder(tmp_path / "part.safetensors")
    monkeypatch.setattr(locks, "PATIENCE", 0.3)
    with (
        pytest.raises(InputError, match=r"part\.safetensors was not written: another process has been writing it"),
        locks.writing(tmp_path / "part.safetensors", tell=str),
    ):
        pytest.fail("it was not locked")


@pytest.mark.parametrize("directory", [False, True])
def test_the_lock_of_a_process_that_was_killed_is_free(tmp_path, holder, directory):
    target = tmp_path if directory else tmp_path / "x"
    process, _ = holder(target, directory=directory)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    assert len(list(tmp_path.iterdir())) == 1
    with locks.directory(target) if directory else locks.writing(target, tell=pytest.fail):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_directory_is_refused_at_once(tmp_path, holder):
    _, end = holder(tmp_path, directory=True)
    start = time.monotonic()
    with (
        pytest.raises(InputError, match=rf"^--output_dir={tmp_path}: another process is writing results there; wait"),
        locks.directory(tmp_path),
    ):
        pytest.fail("it was not locked")
    assert time.monotonic() - start < 5
    end.set()


def test_other_files_are_free_and_names_of_all_lengths_have_locks(tmp_path, holder):
    holder(tmp_path / "a.safetensors")
    for name in ("b.safetensors", "良" * 80, "a" * 255, "[x]\n", "caf\udce9"):
        with locks.writing(tmp_path / name, tell=pytest.fail):
            pass


def test_many_writers_each_find_what_the_one_before_wrote(tmp_path):
    """Threads with locks of their own, as processes have, add one to a number in a file."""
    file = tmp_path / "number"
    file.write_text("0")

    def add():
        for _ in range(5):
            with locks.writing(file, tell=str):
                number = int(file.read_text())
                time.sleep(0.001)
                file.write_text(str(number + 1))

    threads = [threading.Thread(target=add) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert file.read_text() == "30"


def test_a_place_that_cannot_be_written_is_named(tmp_path, monkeypatch):
    with (
        pytest.raises(
            InputError, match=rf"^{tmp_path}/absent/x cannot be written: there is no directory {tmp_path}/absent$"
        ),
        locks.writing(tmp_path / "absent" / "x", tell=str),
    ):
        pytest.fail("it was locked")
    assert list(tmp_path.iterdir()) == []

    def refuse(self, *arguments, **options):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", refuse)
    with (
        pytest.raises(InputError, match=r"x cannot be written, nor its lock .*/\.x\.lock: Permission denied$"),
        locks.writing(tmp_path / "x", tell=str),
    ):
        pytest.fail("it was locked")


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def refuse(self, *arguments, **options):
        raise OSError(37, "No locks available")

    monkeypatch.setattr("filelock.BaseFileLock.acquire", refuse)
    with locks.writing(tmp_path / "x", tell=pytest.fail), locks.directory(tmp_path):
        pass
