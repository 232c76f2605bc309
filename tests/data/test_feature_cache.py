import os

import numpy as np
import pytest

from fastrecon_jax.data import feature_cache

ENTRY = feature_cache.Entry(
    (np.arange(12, dtype=np.float32).reshape(2, 2, 3), np.ones((1, 1, 5), np.float32)), size=(640, 480)
)


def open_cache(tmp_path, **identity):
    return feature_cache.open_cache(tmp_path / "cache", {"encoder": "resnet18"} | identity)


def test_what_is_written_is_read(tmp_path):
    cache = open_cache(tmp_path)
    name = feature_cache.key(cache, b"image")
    assert feature_cache.read(cache, name) is None
    feature_cache.write(cache, name, ENTRY)
    found = feature_cache.read(cache, name)
    assert found.size == (640, 480)
    for ours, expected in zip(found.stages, ENTRY.stages, strict=True):
        np.testing.assert_array_equal(ours, expected)
    assert [p.suffix for p in (tmp_path / "cache").glob("*/*")] == [".safetensors"]


def test_image_and_identity_decide_the_entry(tmp_path):
    caches = [open_cache(tmp_path), open_cache(tmp_path, dtype="bfloat16"), open_cache(tmp_path, crop_size=1)]
    assert len({feature_cache.key(cache, data) for cache in caches for data in (b"a", b"b")}) == 6


@pytest.mark.parametrize("damage", ["truncated", "changed", "emptied", "text"])
def test_a_damaged_entry_counts_as_none(tmp_path, damage):
    cache = open_cache(tmp_path)
    name = feature_cache.key(cache, b"image")
    feature_cache.write(cache, name, ENTRY)
    (file,) = (tmp_path / "cache").glob("*/*")
    data = file.read_bytes()
    changed = data[:-1] + bytes([data[-1] ^ 1])
    file.write_bytes({"truncated": data[:-9], "changed": changed, "emptied": b"", "text": b"no tensors here"}[damage])
    assert feature_cache.read(cache, name) is None
    feature_cache.write(cache, name, ENTRY)
    assert feature_cache.read(cache, name) is not None


def test_a_file_in_place_of_the_directory(tmp_path):
    (tmp_path / "cache").write_text("")
    with pytest.raises(ValueError, match=r"--feature_cache=.*cache cannot be made"):
        open_cache(tmp_path)


@pytest.mark.parametrize("package", ["numpy", "pillow", "jax", "features"])
def test_other_versions_are_other_entries(tmp_path, monkeypatch, package):
    before = feature_cache.key(open_cache(tmp_path), b"image")
    versions = feature_cache.versions()
    monkeypatch.setattr(feature_cache, "versions", lambda: versions | {package: "0"})
    assert feature_cache.key(open_cache(tmp_path), b"image") != before


def test_what_a_killed_process_left_is_removed(tmp_path):
    feature_cache.write(open_cache(tmp_path), "ab", ENTRY)
    left = tmp_path / "cache" / "ab" / ".ab.safetensors.1-2.fastrecon_draft"
    left.touch()
    open_cache(tmp_path)
    assert left.exists()  # it may be another process's of now
    os.utime(left, (0, 0))
    open_cache(tmp_path)
    assert [path.name for path in left.parent.iterdir()] == ["ab.safetensors"]


def test_a_file_in_place_of_the_entries_is_named(tmp_path):
    cache = open_cache(tmp_path)
    (tmp_path / "cache" / "ab").touch()
    with pytest.raises(ValueError, match=r"--feature_cache: .*ab cannot be made: "):
        feature_cache.write(cache, "ab", ENTRY)
