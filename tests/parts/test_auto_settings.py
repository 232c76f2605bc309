import dataclasses

import numpy as np
import pytest

from fastrecon_jax import FastRecon
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon
from fastrecon_jax.parts import auto_settings, fitting, part_file
from fastrecon_jax.parts.engine import open_engine
from tests.parts.helpers import engine, photo, picture, recipe

AUTO = fastrecon.Settings(lam="auto", coreset_ratio="auto")


def test_numbers_stand_for_auto_and_the_file_holds_them(tmp_path):
    photos = [photo(seed) for seed in range(3)]
    settled = auto_settings.resolve(open_engine(recipe(settings=AUTO)), photos)
    chosen = settled.recipe.settings
    assert isinstance(chosen.lam, float)
    assert chosen.coreset_rows > 0
    assert chosen.coreset_ratio == fastrecon.RATIO
    assert f"coreset {chosen.coreset_rows} rows" in settled.method.note
    fitted = fitting.fit(settled, photos, name="disc", rate=0.05).part
    part_file.save(fitted, tmp_path / "disc.safetensors")
    loaded, _ = part_file.load(tmp_path / "disc.safetensors", open_engine)
    assert loaded.recipe.settings == chosen
    more = fitting.extend(settled, fitted, [photo(9)]).part
    assert more.state.coreset.shape == fitted.state.coreset.shape  # rows, not a share


def test_copies_count_once_and_the_choice_is_repeated():
    photos = [photo(seed) for seed in range(3)]
    asked = open_engine(recipe(settings=AUTO))
    assert auto_settings.resolve(asked, photos).recipe == auto_settings.resolve(asked, [*photos, photos[0]]).recipe


def test_a_given_setting_is_kept():
    settled = auto_settings.resolve(
        open_engine(recipe(settings=fastrecon.Settings(lam="auto", coreset_ratio=0.2))), [photo(0)]
    )
    assert settled.recipe.settings == fastrecon.Settings(lam=0.0, coreset_ratio=0.2)


def test_an_engine_without_auto_is_left_alone():
    assert auto_settings.resolve(engine(), []) is engine()


def test_without_photographs():
    with pytest.raises(InputError, match="there is no image to fit"):
        auto_settings.resolve(open_engine(recipe(settings=AUTO)), [])


def test_from_python_the_default_is_the_preset():
    images = [np.asarray(picture(seed)) for seed in range(3)]
    known = {"encoder": "resnet18", "weights": "random", "image_size": 72, "crop_size": 64, "resize": "crop"}
    fitted = FastRecon.fit(images, **known)
    assert (fitted.part.recipe.method, fitted.part.recipe.stages) == ("fastrecon+", ("layer1", "layer2", "layer3"))
    tuned = FastRecon.fit(images, method="fastrecon", settings=AUTO, **known)
    assert dataclasses.replace(tuned.part.recipe.settings, lam=2.0, coreset_rows=0) == fastrecon.Settings()
    defective = [np.asarray(picture(7, defective=True))]
    for one in (fitted, tuned):
        assert one.score(defective) > one.score(images).max()
