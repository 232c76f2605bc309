"""Files appear whole or not at all, and what cannot be read or written is named."""

import os
import time

import numpy as np
import pytest
import safetensors.numpy

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from tests.data.parts import forbid

DAY = 24 * 3600


def old(path, seconds=2 * DAY):
    os.utime(path, (time.time() - seconds,) * 2)


def test_what_is_written_replaces_what_was_there(tmp_path):
    files.write(tmp_path / "x", b"one")
    files.write(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"two"
    files.write_text(tmp_path / "x", "grün\n")
    assert (tmp_path / "x").read_bytes() == "grün\n".encode()
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_files_have_the_usual_permissions(tmp_path):
    (tmp_path / "plain").touch()
    files.write(tmp_path / "x", b"")
    assert (tmp_path / "x").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_arrays_and_what_they_say_of_themselves(tmp_path):
    array = np.arange(6.0).reshape(2, 3).T
    files.write_arrays(tmp_path / "x", {"a": array}, {"version": "1"})
    np.testing.assert_array_equal(safetensors.numpy.load_file(tmp_path / "x")["a"], array)
    assert b'"version":"1"' in (tmp_path / "x").read_bytes()


def test_text_that_utf8_cannot_hold_is_shown(tmp_path):
    (tmp_path / "x").write_text("before")
    with pytest.raises(InputError, match=r"x cannot be written: a name in it is not UTF-8: good/caf\\udce9.png"):
        files.write_text(tmp_path / "x", "good/caf\udce9.png")
    assert (tmp_path / "x").read_text() == "before"


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match=r"absent/x cannot be written: No such file or directory"):
        files.write(tmp_path / "absent" / "x", b"")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match=r"folder cannot be written: Is a directory"):
        files.write(tmp_path / "folder", b"")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


@pytest.mark.parametrize("interruption", [OSError(28, "No space left on device"), KeyboardInterrupt(), MemoryError()])
def test_an_interrupted_write_keeps_what_was_there_and_leaves_nothing(tmp_path, monkeypatch, interruption):
    def interrupt(descriptor):
        raise interruption

    (tmp_path / "x").write_text("before")
    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(InputError if isinstance(interruption, OSError) else type(interruption)):
        files.write(tmp_path / "x", b"after")
    assert (tmp_path / "x").read_text() == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


def test_the_first_error_is_told_though_clearing_up_fails_too(tmp_path, monkeypatch):
    def refuse(*arguments, **options):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr("os.fsync", lambda descriptor: os.stat(tmp_path / "first error"))  # noqa: PTH116
    monkeypatch.setattr("pathlib.Path.unlink", refuse)
    with pytest.raises(InputError, match="x cannot be written: No such file"):
        files.write(tmp_path / "x", b"")


def test_a_directory_is_made_whole(tmp_path):
    def fill(draft):
        assert not (tmp_path / "a/b").exists()
        (draft / "x").touch()

    files.build_directory(tmp_path / "a/b", fill)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "b", "x"]


def test_an_empty_directory_is_filled(tmp_path):
    (tmp_path / "a").mkdir()
    files.build_directory(tmp_path / "a", lambda draft: (draft / "x").touch())
    assert (tmp_path / "a/x").exists()


def test_an_interrupted_directory_leaves_nothing(tmp_path):
    def fill(draft):
        (draft / "x").touch()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        files.build_directory(tmp_path / "a", fill)
    assert not list(tmp_path.iterdir())


def test_the_faster_of_two_is_kept(tmp_path):
    def fill(draft):
        (draft / "slow").touch()
        files.build_directory(tmp_path / "a", lambda other: (other / "fast").touch())

    files.build_directory(tmp_path / "a", fill)
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["a", "fast"]


def test_drafts_of_processes_that_were_killed_are_removed_after_a_day(tmp_path):
    kept = [".x.1-2.fastrecon_draft", "x.png", ".hidden"]
    for name in (*kept, ".y.1-2.fastrecon_draft"):
        (tmp_path / name).touch()
    (tmp_path / ".z.1-2.fastrecon_draft").mkdir()
    (tmp_path / ".z.1-2.fastrecon_draft" / "part").touch()
    for name in ("x.png", ".hidden", ".y.1-2.fastrecon_draft", ".z.1-2.fastrecon_draft"):
        old(tmp_path / name)
    files.sweep(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)
    files.sweep(tmp_path / "absent")


def test_questions_about_what_is_there(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / "dangling").symlink_to("absent")
    asked = {name: (files.exists(tmp_path / name), files.is_dir(tmp_path / name), files.is_file(tmp_path / name))
             for name in (".", "file", "absent", "dangling", "file/below", "zero\0byte")}  # fmt: skip
    nothing = (False, False, False)
    assert asked == {".": (True, True, False), "file": (True, False, True), "absent": nothing, "dangling": nothing,
                     "file/below": nothing, "zero\0byte": nothing}  # fmt: skip


def test_what_cannot_be_read_is_named_or_counts_as_absent(tmp_path, monkeypatch):
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "secret").mkdir()
    forbid(monkeypatch, tmp_path / "secret")
    for path, message in (
        (tmp_path / "secret" / "x", "secret/x cannot be read: Permission denied"),
        (tmp_path / ("x" * 300), "xxx cannot be read: File name too long"),
        (tmp_path / "loop", "loop cannot be read: Too many levels of symbolic links"),
    ):
        with pytest.raises(InputError, match=message):
            files.exists(path)
        assert not files.false_if_unreadable(files.exists, path)
    with pytest.raises(InputError, match="secret cannot be listed: Permission denied"):
        files.children(tmp_path / "secret")


def test_names_that_are_not_utf8_are_shown():
    with pytest.raises(InputError, match=r"^good/caf\\xe9.png: the name is not UTF-8"):
        files.text(files.Path(os.fsdecode(b"good/caf\xe9.png")))


def test_the_home_directory():
    assert files.expanded("a/~b").as_posix() == "a/~b"
    with pytest.raises(InputError, match=r"^~no.such.user/x: Could not determine home directory"):
        files.expanded("~no.such.user/x")
    with pytest.raises(InputError, match=r"^--data_dir=~no.such.user/x: Could not determine home directory"):
        files.expanded("~no.such.user/x", "data_dir")


def test_a_directory_that_cannot_be_made_is_named_as_the_user_wrote_it(tmp_path):
    for _ in range(2):
        files.make_directory(tmp_path / "a/b")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"^--output_dir=file/x cannot be made: Not a directory$"):
        files.make_directory(tmp_path / "file/x", "--output_dir=file/x")
    with pytest.raises(InputError, match=r"file cannot be made: File exists$"):
        files.make_directory(tmp_path / "file")


@pytest.mark.parametrize("name", [".ipynb_checkpoints", ".cache", ".DS_Store", "__MACOSX"])
def test_what_programs_leave_is_hidden(name):
    assert files.is_hidden(files.Path("data") / name)
    assert not files.is_hidden(files.Path(name) / "part.one")
