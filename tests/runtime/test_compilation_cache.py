"""Programs are kept between runs, and a cache that cannot be used costs the speed alone."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
def test_damaged_programs_are_compiled_again_and_removed(tmp_path, damage):
    run(FASTRECON_COMPILATION_CACHE=str(tmp_path))
    whole = len(entries(tmp_path))
    for entry in entries(tmp_path):
        entry.write_bytes(damage(entry.read_bytes()))
        os.utime(entry, (0, time.time() - 3600))
    for _ in range(2):  # the first finds them in its way, the second writes them
        _, errors = run(FASTRECON_COMPILATION_CACHE=str(tmp_path))
        assert errors == ""
    assert len(entries(tmp_path)) == whole
    assert all(len(entry.read_bytes()) > 100 for entry in entries(tmp_path))


def test_a_start_looks_at_no_entry(tmp_path, monkeypatch):
    for variable in ("JAX_COMPILATION_CACHE_DIR", "FASTRECON_COMPILATION_CACHE"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("FASTRECON_COMPILATION_CACHE", str(tmp_path))
    directory, _ = run(FASTRECON_COMPILATION_CACHE=str(tmp_path))
    program = (
        "import os, pathlib, sys\n"
        "from fastrecon_jax.runtime import compilation_cache\n"
        "seen = []\n"
        f"sys.addaudithook(lambda event, of: event in ('os.scandir', 'os.listdir') and {directory!r} == str(of[0])"
        " and seen.append(event))\n"
        "assert compilation_cache.enable()\n"
        "assert not seen, seen\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
