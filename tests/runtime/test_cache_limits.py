"""The cache of programs stays below its limit, and what is damaged in it is removed when a command ends."""

import os
import time
import zlib

import pytest

from fastrecon_jax.runtime import cache_limits

WHOLE = zlib.compress(b"program" * 100)


def entry(folder, name, data, *, age=0.0):
    path = folder / name
    path.write_bytes(data)
    os.utime(path, (time.time() - age, time.time() - age))
    return path


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_what_was_not_used_for_the_longest_time_goes_first(tmp_path):
    entry(tmp_path, "old-cache", bytes(40), age=300)
    entry(tmp_path, "new-cache", bytes(40), age=100)
    entry(tmp_path, "kept.kept", bytes(40), age=200)
    entry(tmp_path, "other", bytes(1000), age=1000)
    cache_limits.evict([tmp_path, tmp_path / "absent"], 120)
    assert len(names(tmp_path)) == 4
    cache_limits.evict([tmp_path], 119)  # down to 95
    assert names(tmp_path) == ["kept.kept", "new-cache", "other"]
    cache_limits.evict([tmp_path], 0)
    assert names(tmp_path) == ["other"]


def test_a_recent_read_counts_as_use(tmp_path):
    path = entry(tmp_path, "read-cache", bytes(40), age=300)
    os.utime(path, (time.time(), path.stat().st_mtime))
    entry(tmp_path, "written-cache", bytes(40), age=100)
    cache_limits.evict([tmp_path], 60)
    assert names(tmp_path) == ["read-cache"]


def test_damaged_entries_are_looked_for_as_long_as_some_program_is_missing(tmp_path):
    start = time.time()
    entry(tmp_path, "new-cache", WHOLE)
    entry(tmp_path, "first-cache", WHOLE[:10], age=3600)
    entry(tmp_path, "whole-cache", WHOLE, age=7200)
    entry(tmp_path, "second-cache", b"", age=10000)
    mend = lambda expected: cache_limits._mend(cache_limits._entries([tmp_path]), since=start, expected=expected)  # noqa: E731
    mend(1)  # one was compiled, and it is here
    assert len(names(tmp_path)) == 4
    mend(2)
    assert names(tmp_path) == ["new-cache", "second-cache", "whole-cache"]
    mend(2)
    assert names(tmp_path) == ["new-cache", "whole-cache"]


def test_a_new_entry_that_a_full_disk_cut_short_is_removed(tmp_path):
    entry(tmp_path, "new-cache", WHOLE[:10])
    cache_limits._mend(cache_limits._entries([tmp_path]), since=time.time(), expected=1)
    assert names(tmp_path) == []


@pytest.mark.parametrize(("asked", "expected"), [("", 1024), ("10", 10), ("0", 0), ("much", 1024), ("-1", 1024)])
def test_the_variable_says_how_many_mebibytes(monkeypatch, asked, expected):
    monkeypatch.setenv(cache_limits.VARIABLE, asked)
    assert cache_limits.limit() == expected * 2**20
