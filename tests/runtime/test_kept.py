"""Values that are kept: read as they were written, for the same facts, by their owner alone."""

import os
import pickle

import numpy as np
import pytest

from fastrecon_jax.runtime import kept


@pytest.fixture(autouse=True)
def place(tmp_path):
    kept.use(tmp_path / "kept")
    yield tmp_path / "kept"
    kept.stop()


def only(place):
    (file,) = place.iterdir()
    return file


def test_a_value_is_there_for_its_facts_alone():
    kept.write("sum", (1, 2), {"value": np.arange(3)})
    np.testing.assert_array_equal(kept.read("sum", (1, 2))["value"], [0, 1, 2])
    assert kept.read("sum", (1, 3)) is None
    assert kept.read("product", (1, 2)) is None


@pytest.mark.parametrize("name", ["XLA_FLAGS", "JAX_ENABLE_X64", "NPROC"])
def test_variables_that_decide_programs_are_facts(monkeypatch, name):
    kept.write("sum", (), 1)
    monkeypatch.setenv(name, "4")
    assert kept.read("sum", ()) is None


def test_another_version_of_a_source_file_is_another_fact(tmp_path):
    (tmp_path / "package" / "inner").mkdir(parents=True)
    file = tmp_path / "package" / "inner" / "module.py"
    file.write_text("1")
    before = kept.sources(tmp_path / "package")
    file.write_text("12")
    assert kept.sources(tmp_path / "package") != before


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data[:9] + b"?" + data[10:]])
def test_a_damaged_file_is_removed(place, damage):
    kept.write("sum", (), "value")
    only(place).write_bytes(damage(only(place).read_bytes()))
    assert kept.read("sum", ()) is None
    assert not list(place.iterdir())


class Gone:
    pass


def test_a_value_of_a_class_that_is_gone_is_removed(place, monkeypatch):
    kept.write("sum", (), Gone())
    monkeypatch.delattr(f"{__name__}.Gone")
    assert kept.read("sum", ()) is None
    assert not list(place.iterdir())


def test_nothing_is_kept_where_others_may_write(tmp_path):
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o770)
    kept.use(tmp_path / "shared")
    assert not kept.is_used()
    kept.write("sum", (), 1)
    assert not list((tmp_path / "shared").iterdir())


def test_a_directory_of_another_user_is_not_used(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: os.getuid() + 1)
    kept.use(tmp_path / "kept")
    assert not kept.is_used()


def test_a_file_of_another_user_and_a_link_are_not_read(place, tmp_path, monkeypatch):
    kept.write("sum", (), 1)
    file = only(place)
    with monkeypatch.context() as patch:
        patch.setattr(pickle, "loads", lambda data: pytest.fail("it was read"))
        patch.setattr(os, "geteuid", lambda: os.getuid() + 1)
        assert kept.read("sum", ()) is None
    kept.write("sum", (), 1)
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    assert kept.read("sum", ()) is None


def test_what_is_large_or_no_value_is_not_kept(place, monkeypatch):
    kept.write("sum", (), lambda: 1)
    monkeypatch.setattr(kept, "LARGEST", 100)
    kept.write("sum", (), bytes(101))
    assert not list(place.iterdir())


def test_a_full_disk_is_no_error(monkeypatch):
    def full(*_):
        raise OSError("full")

    monkeypatch.setattr(kept.files, "write", full)
    kept.write("sum", (), 1)
    assert kept.read("sum", ()) is None
