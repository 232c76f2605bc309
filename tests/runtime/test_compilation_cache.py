"""Programs are kept between runs, and a cache that cannot be used costs the speed alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fastrecon_jax.runtime import compilation_cache

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import logging, jax, jax.numpy as jnp
logging.basicConfig(level=logging.WARNING)
from fastrecon_jax.runtime import compilation_cache
print(compilation_cache.enable())
print(jax.jit(lambda x: jnp.sin(x) + 2)(jnp.zeros(3)).sum())
"""


def run(**variables):
    """The directory in use, and what went to the error stream."""
    known = {key: value for key, value in os.environ.items() if not key.startswith(("JAX_", "FASTRECON_", "XDG_"))}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=ROOT, env=known | variables, capture_output=True, text=True, check=True
    )
    directory, result = done.stdout.split()
    assert result == "6.0"
    return directory, done.stderr


def entries(folder):
    return sorted(folder.rglob("*-cache"))


def test_programs_are_kept_where_the_user_keeps_caches(tmp_path):
    directory, errors = run(HOME=str(tmp_path))
    assert directory.startswith(str(tmp_path / ".cache" / "fastrecon_jax" / "xla"))
    assert errors == ""
    kept = entries(tmp_path)
    assert kept
    written = [entry.stat().st_mtime_ns for entry in kept]
    run(HOME=str(tmp_path))
    assert [entry.stat().st_mtime_ns for entry in entries(tmp_path)] == written
    assert not list(tmp_path.rglob(".probe*"))


def test_the_variable_names_another_directory_or_none(tmp_path):
    directory, _ = run(FASTRECON_COMPILATION_CACHE=str(tmp_path / "there"), HOME=str(tmp_path / "home"))
    assert directory.startswith(str(tmp_path / "there"))
    assert run(FASTRECON_COMPILATION_CACHE="off", HOME=str(tmp_path / "home")) == ("None", "")
    assert run(JAX_COMPILATION_CACHE_DIR=str(tmp_path / "jax"), HOME=str(tmp_path / "home")) == ("None", "")
    assert not (tmp_path / "home").exists()


def test_a_directory_that_cannot_be_used_is_a_warning(tmp_path):
    (tmp_path / "file").write_text("in the way")
    directory, errors = run(FASTRECON_COMPILATION_CACHE=str(tmp_path / "file" / "cache"))
    assert directory == "None"
    assert "cannot be used (Not a directory): programs are compiled at each start" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("damage", [lambda data: data[: len(data) // 2], lambda data: b"", lambda data: b"\x78junk"])
def test_damaged_programs_are_compiled_again(tmp_path, damage):
    run(FASTRECON_COMPILATION_CACHE=str(tmp_path))
    for entry in entries(tmp_path):
        entry.write_bytes(damage(entry.read_bytes()))
    _, errors = run(FASTRECON_COMPILATION_CACHE=str(tmp_path))
    assert errors == ""
    assert all(len(entry.read_bytes()) > 100 for entry in entries(tmp_path))


def test_only_new_programs_are_read_again(tmp_path):
    for name in ("old", "new"):
        (tmp_path / f"{name}-cache").write_bytes(b"")
    hour_ago = time.time() - 3600
    os.utime(tmp_path / "old-cache", (hour_ago - 3600, hour_ago - 3600))
    (tmp_path / compilation_cache._LOOKED).touch()
    os.utime(tmp_path / compilation_cache._LOOKED, (hour_ago, hour_ago))
    compilation_cache._remove_damaged(tmp_path)
    assert [path.name for path in tmp_path.glob("*-cache")] == ["old-cache"]
    assert time.time() - (tmp_path / compilation_cache._LOOKED).stat().st_mtime < 60
