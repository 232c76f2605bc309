"""From --images to files: paths, folders, patterns, and built-in photographs."""

import pytest

from fastrecon_jax.data import demo
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import reading
from fastrecon_jax.parts import photos
from tests.parts.helpers import SIZES, picture, write


def names(paths):
    return [path.name for path in paths]


def test_files_folders_and_patterns(tmp_path):
    write(tmp_path / "good", 3)
    (tmp_path / "good/notes.txt").write_text("not an image")
    (tmp_path / "good/.hidden.png").write_bytes(b"")
    assert names(reading.find(str(tmp_path / "good"))) == ["000.png", "001.png", "002.png"]
    assert names(reading.find(f"{tmp_path}/**/0?1.png")) == ["001.png"]
    assert names(reading.find(f"{tmp_path}/good/002.png,{tmp_path}/good")) == ["002.png", "000.png", "001.png"]


@pytest.mark.parametrize("name", ["a b.png", "Größe ü.png", "x[1].png", "one,two.png", "100%#?.png"])
def test_names_of_all_kinds(tmp_path, name):
    picture(0).save(tmp_path / name)
    assert names(reading.find(str(tmp_path / name))) == [name]
    assert photos.load(tmp_path / name, SIZES).name == str(tmp_path / name)


@pytest.mark.parametrize("folder", ["[line 3]", "a,b", "what?", "star*", "[x],[y]", "two\nlines", "良品[1]"])
def test_a_folder_that_exists_is_meant_literally(tmp_path, folder):
    write(tmp_path / folder, 3)
    write(tmp_path / "l", 1)  # what [line 3] would mean as a pattern
    write(tmp_path / "deep" / folder / "inner", 2)
    for find in (reading.find, lambda wanted: list(reading.listed(wanted))):
        assert names(find(f"{tmp_path}/{folder}")) == ["000.png", "001.png", "002.png"]
        assert names(find(f"{tmp_path}/{folder}/*.png")) == ["000.png", "001.png", "002.png"]
        assert names(find(f"{tmp_path}/{folder}/00[02].png")) == ["000.png", "002.png"]
        assert names(find(f"{tmp_path}/{folder}/002.png,{tmp_path}/{folder}/000.png")) == ["002.png", "000.png"]
        assert names(find(f"{tmp_path}/d*/{folder}/**/*.png")) == ["000.png", "001.png"]
        assert names(find(f"{tmp_path}/**/{folder}/inner/*.png")) == ["000.png", "001.png"]


def test_brackets_are_a_pattern_where_no_such_name_exists(tmp_path, monkeypatch):
    write(tmp_path / "l", 2)
    monkeypatch.chdir(tmp_path)
    assert names(reading.find("[line 3]/*.png")) == ["000.png", "001.png"]
    assert names(reading.find("l/000.png,l/00[1].png")) == ["000.png", "001.png"]
    assert [str(path) for path in reading.find("**/*.png")] == ["l/000.png", "l/001.png"]
    message = r"--images=\[q\]/x.png matches no image: .*; \[ and \] are a pattern where no .* exists, and \[\[\]"
    with pytest.raises(InputError, match=message):
        reading.find("[q]/x.png")


@pytest.mark.parametrize("pattern", ["{}/none/*.png", "{}", "{}/none.png", ","])
def test_nothing_found(tmp_path, pattern):
    with pytest.raises(InputError, match=r"--images=.* (matches|names) no image"):
        reading.find(pattern.format(tmp_path))


def test_built_in_photographs_are_good_ones_to_fit_and_test_ones_to_inspect():
    fit, extend, predict = (reading.find("demo:gear", purpose=name) for name in ("fit", "extend", "predict"))
    assert [len(paths) for paths in (fit, extend, predict)] == [4, 24, 48]
    assert fit == extend[:4]
    assert {path.parent.name for path in extend} == {"good"}
    assert {"good", "rust"} < {path.parent.name for path in predict}
    assert not set(extend) & set(predict)
    assert list(reading.listed("demo:gear")) == predict


def test_built_in_photographs_beside_ones_own(tmp_path):
    write(tmp_path, 2)
    assert len(reading.find(f"{tmp_path},demo:cloth", purpose="fit")) == 6


def test_a_category_that_is_not_built_in():
    allowed = ", ".join(f"demo:{name}" for name in demo.CATEGORIES)
    for find in (reading.find, lambda patterns: list(reading.listed(patterns))):
        with pytest.raises(InputError, match=f"^--images=demo:bottle is not built in: allowed are {allowed}$"):
            find("demo:bottle")
