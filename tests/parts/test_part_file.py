"""The file of a part: it comes back as it was, or not at all."""

import json
import struct

import jax
import numpy as np
import pytest
import safetensors.numpy

from fastrecon_jax import files, methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import fitting, inspector, part_file
from fastrecon_jax.parts.engine import open_engine
from tests.parts.helpers import engine, photo, recipe, settings
from tests.parts.test_part_settings import BEFORE, LATER_THAN_FORMAT_1, SHARED_SETTINGS, WITHOUT_ROWS


def saved(folder, method="fastrecon"):
    fitted = fitting.fit(engine(method), [photo(seed) for seed in range(3)], name="disc", rate=0.05).part
    part_file.save(fitted, folder / "disc.safetensors")
    return fitted, folder / "disc.safetensors"


def load(file, method="fastrecon"):
    return part_file.load(file, lambda known: engine(method))


def without_arrays(part):
    return part._replace(state=0, stages=0, pixels=0)


def rewrite(file, change, arrays=lambda tensors: tensors):
    """The file with another header and other arrays, its hash made right again."""
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(json.loads(data[8 : 8 + length])["__metadata__"]["fastrecon_jax"])
    change(header)
    tensors = arrays(safetensors.numpy.load(data))
    known = {key: value for key, value in header.items() if key != "sha256"}
    header["sha256"] = part_file._digest(known, tensors)
    files.write_arrays(file, tensors, {"fastrecon_jax": json.dumps(header)})


@pytest.mark.parametrize("method", methods.feature_names())
def test_a_part_comes_back_as_it_was(tmp_path, method):
    fitted, file = saved(tmp_path, method)
    loaded, _ = load(file, method)
    jax.tree.map(np.testing.assert_array_equal, loaded.state, fitted.state)
    jax.tree.map(np.testing.assert_array_equal, loaded.stages, fitted.stages)
    jax.tree.map(np.testing.assert_array_equal, loaded.pixels, fitted.pixels)
    np.testing.assert_array_equal(loaded.pixels, [photo(seed).pixels for seed in range(3)])
    assert without_arrays(loaded) == without_arrays(fitted)
    assert part_file.read_header(file).limits == fitted.limits


@pytest.mark.parametrize("ratio", [None, 0.25])
@pytest.mark.parametrize("version", [2, 3])
def test_fastrecon_plus_of_an_older_format_scores_as_it_did(tmp_path, version, ratio):
    """One way, by up to 8192 rows in all directions, and without copies, whose photographs the file does not hold."""
    asked = settings(
        "fastrecon+", **(BEFORE["fastrecon+"] if ratio is None else {"coreset_ratio": ratio} | WITHOUT_ROWS)
    )
    known = open_engine(recipe("fastrecon+", settings=asked))
    fitted = fitting.fit(known, [photo(seed) for seed in range(3)], name="disc", rate=0.05).part
    assert fitted.state.levels[0].bank.shape[0] == 3 * 256 * (ratio or 1)
    file = tmp_path / "disc.safetensors"
    part_file.save(fitted._replace(pixels=None), file)
    shared = SHARED_SETTINGS | {"coreset_ratio": ratio}
    own = {"soft_length": 0.7, "soft_spectrum": 1.0, "coreset_ratio": ratio}

    def older(header):
        header["format"] = version
        header["recipe"]["settings"] = own if version == 3 else shared

    rewrite(file, older)
    loaded, opened = part_file.load(file, open_engine)
    assert opened.method.settings == asked and loaded.recipe == fitted.recipe and loaded.limits == fitted.limits
    jax.tree.map(np.testing.assert_array_equal, loaded.state, fitted.state)
    queries = np.stack([photo(20).pixels, photo(21, defective=True).pixels])
    found, expected = (
        inspector.score(inspector.create(part, one), queries) for part, one in ((loaded, opened), (fitted, known))
    )
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    extended = fitting.extend(opened, loaded, [photo(9)]).part
    assert extended.state.levels[0].bank.shape[0] == 4 * 256 * (ratio or 1)


@pytest.mark.parametrize("version", [1, 2])
def test_a_part_of_an_older_format(tmp_path, version):
    """Its header holds the settings of all methods, format 1 without those that came later."""
    asked = recipe("patchcore", settings=settings("patchcore", approximate=False, reweighting=2, coreset_ratio=0.1))
    fitted = fitting.fit(open_engine(asked), [photo(seed) for seed in range(3)], name="disc", rate=0.05).part
    file = tmp_path / "disc.safetensors"
    part_file.save(fitted, file)
    old = SHARED_SETTINGS | {"patchcore_approximate": False, "patchcore_reweighting": 2, "coreset_ratio": 0.1}
    later = LATER_THAN_FORMAT_1 if version == 1 else ()

    def older(header):
        header["format"] = version
        header["recipe"]["settings"] = {name: value for name, value in old.items() if name not in later}

    rewrite(file, older)
    loaded, opened = part_file.load(file, open_engine)
    assert loaded.recipe == fitted.recipe and loaded.limits == fitted.limits
    assert opened.method.settings == asked.settings
    jax.tree.map(np.testing.assert_array_equal, loaded.state, fitted.state)


def test_a_part_from_before_the_bit_depth_has_that_of_its_files(tmp_path):
    fitted, file = saved(tmp_path)
    rewrite(file, lambda header: header["recipe"].pop("bit_depth"))
    loaded, opened = load(file)
    assert loaded.recipe.bit_depth == 16
    assert opened.recipe.preprocessing == fitted.recipe.preprocessing
    rewrite(file, lambda header: header["recipe"].update(bit_depth=11))
    with pytest.raises(InputError, match="is damaged: pixels of 11 bits"):
        load(file)


def test_a_part_without_its_stages(tmp_path):
    fitted, file = saved(tmp_path)
    part_file.save(fitted._replace(stages=(), pixels=None), file)
    assert load(file)[0].stages == ()


def test_pixels_are_kept_where_copies_are_made_of_them_again(tmp_path):
    fitted, file = saved(tmp_path, "fastrecon+")
    np.testing.assert_array_equal(fitted.pixels, [photo(seed).pixels for seed in range(3)])
    part_file.save(fitted._replace(stages=(), pixels=None), file)
    loaded, _ = load(file, "fastrecon+")
    assert loaded.stages == () and loaded.pixels is None
    for broken in (fitted._replace(pixels=None), fitted._replace(stages=())):
        part_file.save(broken, file)
        with pytest.raises(InputError, match="missing, surplus"):
            load(file, "fastrecon+")
    for pixels in (fitted.pixels[:2], fitted.pixels[:, 1:], fitted.pixels.astype(np.float32)):
        part_file.save(fitted._replace(pixels=pixels), file)
        with pytest.raises(InputError, match="pixels are missing, surplus, or of another shape or type"):
            load(file, "fastrecon+")


def test_an_older_file_without_pixels_where_no_copies_are_made(tmp_path):
    fitted, file = saved(tmp_path)
    part_file.save(fitted._replace(pixels=None), file)
    loaded, opened = load(file)
    assert loaded.stages and loaded.pixels is None
    assert fitting.extend(opened, loaded, [photo(9)]).part.limits.scores.count == 4
    part_file.save(fitted._replace(stages=()), file)
    with pytest.raises(InputError, match="missing, surplus"):
        load(file)


def test_the_header_is_json_and_nothing_is_pickled(tmp_path):
    _, file = saved(tmp_path)
    with safetensors.safe_open(file, framework="numpy") as opened:
        header = json.loads(opened.metadata()["fastrecon_jax"])
    assert header["format"] == part_file.FORMAT == 6
    assert header["recipe"]["encoder"] == "resnet18"
    assert header["recipe"]["weights_sha256"] == ""
    assert header.keys() == {"format", "name", "recipe", "good", "limits", "versions", "appearance", "sha256"}


def test_mutated_bytes_are_refused(tmp_path):
    """Every change of a byte is an error, none is a crash, a hang or a wrong part."""
    _, file = saved(tmp_path)
    whole, rng = file.read_bytes(), np.random.default_rng(0)
    (length,) = struct.unpack("<Q", whole[:8])
    for round_ in range(300):
        data = bytearray(whole)
        for _ in range(rng.integers(1, 4)):
            inside = 8 + length if round_ % 3 else len(data)  # the header more often than the arrays
            data[rng.integers(8 if round_ % 5 else 0, inside)] = rng.integers(256)
        if round_ % 7 == 0:
            data = data[: rng.integers(len(data))]
        if bytes(data) == whole:
            continue
        file.write_bytes(data)
        try:
            loaded, _ = load(file)
        except InputError as error:
            assert str(file) in str(error) or "--" in str(error)
        else:  # spaces of the header, or an unused key of safetensors
            file.write_bytes(whole)
            assert without_arrays(loaded) == without_arrays(load(file)[0])


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "damaged or no part"),
        (b"\x89PNG", "damaged or no part"),
        (b"\xff" * 64, "damaged or no part"),
        (struct.pack("<Q", 2**40) + b"{}", "damaged or no part"),
        (safetensors.numpy.save({"a": np.zeros(2)}), "no header of fastrecon_jax"),
        (safetensors.numpy.save({}, {"fastrecon_jax": "[" * 100_000}), "its header is no JSON"),
        (safetensors.numpy.save({}, {"fastrecon_jax": "[]"}), "expected a dict"),
        (safetensors.numpy.save({}, {"fastrecon_jax": '{"format": 7}'}), "has format 7, this version reads up to 6"),
    ],
)
def test_what_is_no_part(tmp_path, data, message):
    file = tmp_path / "x.safetensors"
    file.write_bytes(data)
    for read in (load, part_file.read_header):
        with pytest.raises(InputError, match=message):
            read(file)


def test_no_file_and_a_folder(tmp_path):
    for path in (tmp_path, tmp_path / "none.safetensors"):
        with pytest.raises(InputError, match="is not a file"):
            load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda header: header.update(format=7), "has format 7"),
        (lambda header: header.pop("limits"), "limits missing or unknown"),
        (lambda header: header["limits"].update(threshold=None), r"header.limits.threshold is 'None', expected float"),
        (lambda header: header["limits"].update(threshold="1"), "threshold is '1', expected float"),
        (lambda header: header["recipe"].update(crop_size=10**9), "sizes 1000000000 and 72"),
        (lambda header: header["recipe"].update(image_size=10**9, crop_size=10**9), "is damaged: sizes"),
        (lambda header: header["recipe"].update(image_score="top0p"), "is damaged: image score top0p"),
        (lambda header: header["recipe"].update(support_copies=["defective"]), "is damaged: copies defective"),
        (lambda header: header["recipe"]["settings"].update(lam=-1.0), "--lam=-1.0 is not allowed"),
        (lambda header: header.update(good=[]), "0 images"),
        (lambda header: header["appearance"].pop(), "appearance of 2 of 3 images"),
        (lambda header: header["appearance"][0].pop("contrast"), "header.appearance is"),
        (lambda header: [header[name].append(header[name][0]) for name in ("good", "appearance")], "of another shape"),
    ],
)
def test_headers_that_cannot_be(tmp_path, change, message):
    _, file = saved(tmp_path)
    rewrite(file, change)
    with pytest.raises(InputError, match=message):
        load(file)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (lambda tensors: tensors | {"more": np.zeros(3, np.float32)}, "more are missing, surplus"),
        (lambda tensors: {name: array for name, array in tensors.items() if name != "stages.1"}, "missing, surplus"),
        (lambda tensors: {name: array[None] for name, array in tensors.items()}, "another shape"),
        (lambda tensors: {name: array.astype(np.float64) for name, array in tensors.items()}, "of type F64"),
    ],
)
def test_arrays_that_do_not_fit(tmp_path, arrays, message):
    _, file = saved(tmp_path)
    rewrite(file, lambda header: None, arrays)
    with pytest.raises(InputError, match=message):
        load(file)


def test_other_weights_are_refused(tmp_path):
    _, file = saved(tmp_path)
    rewrite(file, lambda header: header["recipe"].update(weights_sha256="ab" * 32))
    with pytest.raises(InputError, match=r"are not those of the part: sha256 none..., expected abababab"):
        part_file.load(file, open_engine)
    with pytest.raises(InputError, match="unknown encoder"):
        open_engine(recipe(encoder="resnet7"))


def test_an_interrupt_while_writing_leaves_the_old_part(tmp_path, monkeypatch):
    fitted, file = saved(tmp_path)
    before = file.read_bytes()

    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr("os.fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        part_file.save(fitted._replace(name="other"), file)
    assert file.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_an_array_of_a_thousand_dimensions_is_refused(tmp_path):
    _, file = saved(tmp_path)
    data = file.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    name = next(name for name in header if name != "__metadata__")
    header[name]["shape"] = [1] * 998 + header[name]["shape"]
    changed = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(changed)) + changed + data[8 + length :])
    with pytest.raises(
        InputError, match=r"disc.safetensors is damaged: .* has \d{3,4} dimensions, no part has more than 32"
    ):
        load(file)
