"""Files at addresses, by fsspec's file system in memory."""

import datetime
import sys

import fsspec
import pytest

from fastrecon_jax import files, remote
from fastrecon_jax.errors import InputError
from fastrecon_jax.remote import RemotePath


@pytest.fixture
def bucket():
    """An empty folder in memory."""
    system = fsspec.filesystem("memory")
    system.store.clear()
    system.pseudo_dirs[:] = [""]
    return RemotePath("memory://bucket/line")


def test_addresses_are_told_from_paths():
    assert all(map(remote.is_remote, ("s3://b/a.png", "gs://b", "memory://b", "abfs+x://b")))
    assert not any(map(remote.is_remote, ("a.png", "/a", "demo:gear", "C://a", "~/a", "a/b://c", "")))
    assert files.place("s3://b/~/a.png") == RemotePath("s3://b/~/a.png")
    assert str(files.at("~a.png")) == "~a.png"


def test_names_are_those_of_pathlib():
    path = RemotePath("s3://bucket/line 3/a.b.png")
    assert (path.name, path.stem, path.suffix, str(path.parent)) == ("a.b.png", "a.b", ".png", "s3://bucket/line 3")
    assert str(path.parent / "c.jpg") == "s3://bucket/line 3/c.jpg"
    assert str(path.with_suffix(".json")) == "s3://bucket/line 3/a.b.json"
    assert len({path, RemotePath(path.url, {"size": 3})}) == 1


def test_what_is_written_can_be_listed_and_read(bucket):
    files.write(bucket / "b.png", b"two")
    files.write(bucket / "deeper" / "a.png", b"one")
    assert [path.name for path in files.children(bucket)] == ["b.png", "deeper"]
    assert (bucket / "b.png").read_bytes() == b"two"
    assert [str(path) for path in RemotePath("memory://bucket/**/*.png").glob()] == [
        "memory://bucket/line/b.png",
        "memory://bucket/line/deeper/a.png",
    ]
    assert files.is_dir(bucket)
    assert files.is_file(bucket / "b.png")
    assert not files.exists(bucket / "absent.png")


def test_folders_are_made_where_a_file_system_has_them(tmp_path):
    files.write(RemotePath(f"file://{tmp_path}") / "deeper" / "a.png", b"one")
    assert (tmp_path / "deeper" / "a.png").read_bytes() == b"one"
    assert [path.url for path in files.children(RemotePath(f"file://{tmp_path}"))] == [f"file://{tmp_path}/deeper"]


def test_a_listing_tells_sizes_and_times_without_asking_again(bucket, monkeypatch):
    files.write(bucket / "b.png", b"two")
    (listed,) = bucket.iterdir()
    monkeypatch.setattr(RemotePath, "_ask", None)
    assert listed.stat().st_size == 3
    assert listed.stat().st_mtime_ns > 0


@pytest.mark.parametrize(
    "facts",
    [
        {"mtime": 2.5},
        {"LastModified": datetime.datetime.fromtimestamp(2.5, datetime.UTC)},
        {"updated": "1970-01-01T00:00:02.500Z"},
        {"last_modified": "1970-01-01T00:00:02.500+00:00"},
    ],
)
def test_times_come_as_each_file_system_has_them(facts):
    assert RemotePath("s3://b/a", facts).stat().st_mtime_ns == 2_500_000_000


def test_times_that_are_not_told_are_zero():
    assert RemotePath("s3://b/a", {"size": 1, "updated": "yesterday"}).stat().st_mtime_ns == 0


def test_a_copy_lasts_as_long_as_it_is_needed(bucket, tmp_path):
    files.write(bucket / "a.bin", b"one")
    with files.local(bucket / "a.bin") as copy:
        assert (copy.read_bytes(), copy.name) == (b"one", "a.bin")
    assert not copy.exists()
    with files.local(tmp_path / "own") as own:
        assert own == tmp_path / "own"
    with pytest.raises(InputError, match=r"memory://bucket/line/a\.bin is damaged"), files.local(bucket / "a.bin") as x:
        raise InputError(f"{x} is damaged")


def test_what_cannot_be_reached_is_named(bucket, monkeypatch):
    with pytest.raises(InputError, match=r"nothing://b/a cannot be reached: .*nothing"):
        files.exists(RemotePath("nothing://b/a"))
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(InputError, match=r"s3://b/a cannot be reached: .*pip install 'fastrecon_jax\[cloud\]'"):
        files.exists(RemotePath("s3://b/a"))
    with pytest.raises(InputError, match=r"memory://bucket/line/absent cannot be read"), files.local(bucket / "absent"):
        pass
    with pytest.raises(InputError, match=r"memory://bucket/line cannot be listed"):
        files.children(bucket)

    def no_rights(*arguments, **options):
        raise RuntimeError("no credentials")

    monkeypatch.setattr(fsspec.filesystem("memory"), "pipe_file", no_rights)
    with pytest.raises(InputError, match=r"memory://bucket/line/a cannot be written: RuntimeError: no credentials"):
        files.write(bucket / "a", b"")
