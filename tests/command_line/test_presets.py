"""Presets fill in the flags that the command line leaves open, and each is a set-up that the commands can open."""

import math
from typing import get_args, get_type_hints

import pytest
from absl import flags

from fastrecon_jax import encoders
from fastrecon_jax.command_line import presets
from fastrecon_jax.command_line.presets import Preset
from fastrecon_jax.encoders import tiles
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.inspection.config import FitConfig
from fastrecon_jax.methods import presets as published

KNOWN = {
    "theirs": Preset(
        "nearest", {"encoder": "vit", "image_size": "672", "crop_size": "{image_size}"}, {"pooling": "false"}, "Them"
    )
}


@pytest.fixture
def parsed(monkeypatch):
    """A function from the words of a command line to the flags, in which the preset is filled in, and what is told."""

    def parse(*words):
        values = flags.FlagValues()
        monkeypatch.setattr(presets.flags, "FLAGS", values)
        for name in ("preset", "encoder"):
            flags.DEFINE_string(name, "", "", flag_values=values)
        flags.DEFINE_list("method", ["fastrecon"], "", flag_values=values)
        for name in ("image_size", "crop_size"):
            flags.DEFINE_integer(name, 224, "", flag_values=values)
        for name in ("pooling", "nearest_pooling"):
            flags.DEFINE_boolean(name, None, "", flag_values=values)
        values(["command", *words])
        return values, presets.fill_in(KNOWN)

    return parse


def test_flags_that_are_not_given_have_the_values_of_the_preset(parsed):
    values, told = parsed("--preset=theirs")
    assert (values.method, values.encoder, values.image_size, values.crop_size) == (["nearest"], "vit", 672, 672)
    assert values.nearest_pooling is False
    assert values["nearest_pooling"].present
    assert told == (
        "preset theirs (Them): "
        "--method=nearest --encoder=vit --image_size=672 --crop_size=672 --nearest_pooling=false\n"
    )


def test_flags_that_are_given_win(parsed):
    values, told = parsed("--preset=theirs", "--image_size=448", "--encoder=other", "--pooling=true")
    assert (values.encoder, values.image_size, values.crop_size) == ("other", 448, 448)
    assert values.nearest_pooling is None
    assert "--encoder=other --image_size=448 --crop_size=448\n" in told
    assert parsed("--preset=theirs", "--crop_size=224")[0].image_size == 672


@pytest.mark.parametrize("method", ["fastrecon", "nearest+", "a,b"])
def test_settings_of_a_method_that_is_not_asked_for_are_left_out(parsed, method):
    values, told = parsed("--preset=theirs", f"--method={method}")
    assert values.nearest_pooling is None
    assert values.encoder == "vit"
    assert told.endswith("preset theirs: without --nearest_pooling=false\n")


@pytest.mark.parametrize("method", ["all", "fastrecon,nearest"])
def test_settings_of_a_method_among_others_are_used(parsed, method):
    assert parsed("--preset=theirs", f"--method={method}")[0].nearest_pooling is False


def test_without_a_preset_nothing_changes(parsed):
    values, told = parsed("--image_size=448")
    assert (values.method, values.image_size, told) == (["fastrecon"], 448, "")


def test_an_unknown_preset_is_refused(parsed):
    with pytest.raises(InputError, match=r"^--preset=ours is not allowed: it must be one of theirs$"):
        parsed("--preset=ours")


@pytest.mark.parametrize(("kind", "needed"), [(EvalConfig, {}), (FitConfig, {"images": "a", "model": "m.safetensors"})])
@pytest.mark.parametrize("name", published.EVAL)
def test_every_preset_can_be_opened(kind, needed, name):
    preset = (published.EVAL if kind is EvalConfig else published.FIT)[name]
    kinds = get_type_hints(kind)
    config = kind(
        **needed,
        method=(preset.method,) if kind is EvalConfig else preset.method,
        settings={f"{preset.method}_{setting}": value == "true" for setting, value in preset.settings.items()},
        **{flag: _value(value.format(**preset.flags), kinds[flag]) for flag, value in preset.flags.items()},
    )
    entry = encoders.registration(config.encoder)
    assert all(stage in entry.stages or entry.read_stage(stage) for stage in config.stages)
    side = config.crop_size or config.image_size
    assert side % math.lcm(entry.multiple, 16 if config.tile else 1) == 0
    tiling = tiles.read(config.tile, entry, config.stages)
    if tiling:
        tiles.check_images(tiling, entry, config.stages, side, side)


def _value(text, kind):
    members = get_args(kind)
    if members:
        return tuple(members[0](part) for part in text.split(","))
    return kind(text)
