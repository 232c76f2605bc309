"""Settings in files of all formats."""

import dataclasses

import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts import part_file, part_settings
from fastrecon_jax.parts.records import MalformedError
from tests.parts.helpers import settings

SHARED_SETTINGS = {  # what format 2 held, whatever the method
    "lam": 2.0,
    "coreset_ratio": None,
    "coreset_rows": 0,
    "coreset_projection": None,
    "soft_length": 0.7,
    "soft_spectrum": 1.0,
    "patchcore_approximate": True,
    "patchcore_reweighting": 0,
    "padim_channels": 0,
    "explained_variance": 0.99,
    "neighbours": 0,
}
LATER_THAN_FORMAT_1 = ("soft_length", "soft_spectrum", "coreset_rows")
# Where a method has got settings since, those at which it does what it did then.
BEFORE = {
    "fastrecon+": {
        "coreset_rows": 8192,
        "coordinates": 0,
        "both_ways": False,
        "backward_coordinates": 0,
        "backward_margin": 0.03,
        "light": False,
        "turns": "never",
        "noise": 0.0,
    }
}
WITHOUT_ROWS = {key: value for key, value in BEFORE["fastrecon+"].items() if key != "coreset_rows"}


@pytest.mark.parametrize("method", methods.names())
def test_settings_come_back_as_they_were(method):
    own = settings(method)
    assert part_settings.read(method, dataclasses.asdict(own), part_file.FORMAT) == own


@pytest.mark.parametrize("method", ["fastrecon+", "fastrecon", "patchcore", "padim", "spade", "subspace", "nearest"])
def test_what_said_default_is_the_default(method):
    first = {name: value for name, value in SHARED_SETTINGS.items() if name not in LATER_THAN_FORMAT_1}
    expected = settings(method, **BEFORE.get(method, {}))
    assert part_settings.read(method, SHARED_SETTINGS, 2) == expected
    assert part_settings.read(method, first, 1) == expected


@pytest.mark.parametrize(
    ("method", "changes", "expected"),
    [
        ("fastrecon", {"lam": 0.5, "coreset_rows": 40}, {"lam": 0.5, "coreset_rows": 40}),
        (
            "fastrecon",
            {"coreset_ratio": 0.3, "coreset_projection": 64},
            {"coreset_ratio": 0.3, "coreset_projection": 64},
        ),
        (
            "fastrecon+",
            {"coreset_ratio": 0.2, "soft_length": 0.0},
            {"coreset_ratio": 0.2, "soft_length": 0.0, **WITHOUT_ROWS},
        ),
        # The number of rows was a setting of other methods then.
        ("fastrecon+", {"coreset_rows": 40, "soft_spectrum": 3.0}, {"soft_spectrum": 3.0, **BEFORE["fastrecon+"]}),
        (
            "patchcore",
            {"patchcore_approximate": False, "patchcore_reweighting": 3, "coreset_projection": 0, "neighbours": 2},
            {"approximate": False, "reweighting": 3, "coreset_projection": 0, "neighbours": 2},
        ),
        ("padim", {"padim_channels": 20}, {"channels": 20}),
        ("spade", {"neighbours": 2}, {"neighbours": 2}),
        ("subspace", {"explained_variance": 0.9}, {"explained_variance": 0.9}),
        ("nearest", {"lam": 7.0, "neighbours": 3}, {}),
    ],
)
def test_older_names_are_those_of_the_method_today(method, changes, expected):
    assert part_settings.read(method, SHARED_SETTINGS | changes, 2) == settings(method, **expected)


@pytest.mark.parametrize("ratio", [None, 0.3])
def test_fastrecon_plus_of_format_3_does_what_it_did(ratio):
    """It had three settings. A share stands instead of a number of rows, then as now."""
    given = {"soft_length": 0.5, "soft_spectrum": 2.0, "coreset_ratio": ratio}
    before = BEFORE["fastrecon+"] if ratio is None else WITHOUT_ROWS
    assert part_settings.read("fastrecon+", given, 3) == settings("fastrecon+", **given, **before)
    with pytest.raises(MalformedError, match="magic missing or unknown"):
        part_settings.read("fastrecon+", given | {"magic": 1}, 3)


def test_fastrecon_plus_of_format_4_looks_backward_in_the_directions_of_the_search_forward():
    given = {"coordinates": 128, "both_ways": True, "light": True, "turns": "auto"}
    expected = settings("fastrecon+", **given, backward_coordinates=0, backward_margin=0.03, noise=0.0)
    assert part_settings.read("fastrecon+", given, 4) == expected


def test_fastrecon_plus_of_format_5_adds_no_noise():
    given = {"backward_coordinates": 32, "backward_margin": 0.05}
    assert part_settings.read("fastrecon+", given, 5) == settings("fastrecon+", **given, noise=0.0)
    whole = dataclasses.asdict(settings("fastrecon+"))
    assert part_settings.read("fastrecon+", {k: v for k, v in whole.items() if k != "noise"}, 5).noise == 0
    assert methods.create("fastrecon+", {"noise": 0.0}).export_tolerance > methods.create("fastrecon+").export_tolerance


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (SHARED_SETTINGS | {"magic": 1}, "header.recipe.settings: magic unknown"),
        (SHARED_SETTINGS | {"lam": "much"}, "much"),
        (SHARED_SETTINGS | {"lam": None, "coreset_rows": "3"}, "coreset_rows is '3', expected int"),
        ([1], r"header.recipe.settings is '\[1\]', expected a dict"),
    ],
)
def test_older_settings_that_cannot_be(version, value, message):
    with pytest.raises((MalformedError, InputError), match=message):
        part_settings.read("fastrecon", value, version)
