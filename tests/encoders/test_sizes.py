"""Parameters as published, counted and by formula; speeds; the table of encoders."""

import pytest

from fastrecon_jax import encoders
from fastrecon_jax.command_line import commands
from fastrecon_jax.encoders import command, sizes
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_families, tiny_transformer

assert tiny_transformer.build


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("convnext_tiny", 27.82),
        ("dinov3_convnext_b", 87.57),
        ("dinov2_vits14", 22.06),
        ("dinov2_vitg14", 1136.48),
        ("dinov3_vits16", 21.60),
        ("resnet18", 11.18),
        ("efficientnet_lite0", 2.96),
    ],
)
def test_parameters_as_published(name, millions):
    assert sizes.parameters(encoders.registration(name)) / 1e6 == pytest.approx(millions, abs=0.02)


@pytest.mark.parametrize("name", [*tiny_families.names(), "dinov2_vits14_reg", "dinov3_vits16", "dinov3_vitsplus16"])
def test_registered_parameters_are_those_that_building_asks_for(name):
    entry = encoders.registration(name)
    assert entry.parameters == sizes.count(entry)


def test_images_per_second_are_measured(monkeypatch):
    monkeypatch.setattr(sizes, "_SECONDS", 0.0)
    entry = encoders.registration("tiny_transformer")
    assert sizes.measured_side(entry) == 224
    assert sizes.measured_side(encoders.registration("dinov3_vits16")) == 224
    assert sizes.images_per_second(entry) > 0


def test_the_table_and_the_speeds(monkeypatch):
    monkeypatch.setattr(sizes, "images_per_second", lambda entry: 12.34)
    names = ("efficientnet_lite0", "dinov3_convnext_t", "resnet50_v1")
    rows = [line.split() for line in command.table(names)]
    assert rows[0] == ["encoder", "parameters", "trained", "at", "licence", "weights"]
    assert rows[1] == ["efficientnet_lite0", "3.0", "M", "224", "px", "Apache-2.0", "here"]
    assert rows[2] == ["dinov3_convnext_t", "27.8", "M", "224", "px", "DINOv3", "License", "not", "here"]
    assert rows[3][-2:] == ["a", "file"]
    assert [line.split()[:2] for line in command.speeds(names)][1:] == [[name, "12.3"] for name in names]


def test_the_command(monkeypatch):
    told = []
    monkeypatch.setattr(commands, "tell", told.append)
    monkeypatch.setattr(command.flags, "read", lambda config: config(encoder=("dinov2_vits14",)))
    command.main()
    text = "".join(told)
    assert "resnet18" not in text and "images a second" not in text
    for part in (
        "22.1 M",
        "518 px",
        "block1 (14) to block12 (14); by default",
        "multiples of 14 pixels",
        "also     hf://timm",
    ):
        assert part in text
    with pytest.raises(InputError, match="unknown encoder 'no'"):
        command.EncodersConfig(encoder=("no",))


def test_where_the_same_weights_are_is_said_when_they_cannot_be_had(monkeypatch):
    def refuse(source):
        raise InputError(f"{source} cannot be downloaded: gated")

    monkeypatch.setattr(encoders.encoder.checkpoints, "load", refuse)
    with pytest.raises(
        InputError, match=r"gated; the same weights are published as hf://timm/convnext_tiny\.dinov3_lv"
    ):
        encoders.create("dinov3_convnext_t")
    with pytest.raises(InputError, match=r"hf://me/mine cannot be downloaded: gated$"):
        encoders.create("dinov3_convnext_t", weights="hf://me/mine")
