import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods.settings import MethodSettings, check_used


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("lam", -1.0),
        ("lam", float("nan")),
        ("lam", float("inf")),
        ("coreset_ratio", 0.0),
        ("coreset_ratio", 1.5),
        ("lam", "much"),
        ("coreset_ratio", "much"),
        ("soft_length", -1.0),
        ("soft_length", 2000.0),
        ("soft_spectrum", 0.0),
        ("coreset_rows", -1),
        ("coreset_projection", -1),
        ("explained_variance", 0.0),
        ("patchcore_reweighting", -1),
        ("padim_channels", -1),
        ("neighbours", -1),
    ],
)
def test_settings_out_of_range(name, value):
    with pytest.raises(InputError, match=f"--{name}={value} is not allowed: it must be"):
        MethodSettings(**{name: value})


def test_a_setting_that_no_method_has_is_refused():
    with pytest.raises(InputError, match=r"--lam=0\.0 is not allowed: it is a setting of fastrecon, not of"):
        check_used(MethodSettings(lam=0.0), ["padim", "spade"])
    check_used(MethodSettings(lam=0.0), ["padim", "fastrecon"])


@pytest.mark.parametrize("name", methods.names())
def test_a_note_tells_the_settings_in_use(name):
    plain, changed = (
        methods.create(name, settings).note
        for settings in (
            MethodSettings(),
            MethodSettings(
                lam=0.5,
                soft_length=0.0,
                soft_spectrum=3.0,
                coreset_ratio=0.25,
                coreset_projection=16,
                patchcore_approximate=False,
                patchcore_reweighting=3,
                padim_channels=7,
                explained_variance=0.9,
                neighbours=5,
            ),
        )
    )
    expected = {
        "fastrecon": ("lam 2, coreset 0.01", "lam 0.5, coreset 0.25, projection 16"),
        "fastrecon+": ("length 0.7, spectrum 1", "length 0, spectrum 3, coreset 0.25"),
        "patchcore": ("coreset 0.1", "coreset 0.25, exact, projection 16, mean of 5, re-weighted by 3"),
        "padim": ("", "7 channels"),
        "spade": ("", "5 images"),
        "subspace": ("variance 0.99", "variance 0.9"),
        "nearest": ("", ""),
    }
    assert (plain, changed) == expected[name]


def test_what_is_chosen_is_named_and_is_fastrecons_alone():
    chosen = methods.create("fastrecon", MethodSettings(lam="auto", coreset_ratio="auto"))
    assert (chosen.note, chosen.copies) == ("lam auto, coreset auto", True)
    assert methods.create("fastrecon", MethodSettings(coreset_rows=7)).note == "lam 2, coreset 7 rows"
    with pytest.raises(InputError, match=r"--coreset_ratio=auto is not allowed: fastrecon alone chooses it"):
        check_used(MethodSettings(coreset_ratio="auto"), ["fastrecon", "patchcore"])
    with pytest.raises(InputError, match=r"--coreset_rows=5 is not allowed: it stands instead of --coreset_ratio"):
        MethodSettings(coreset_rows=5, coreset_ratio=0.1)
    with pytest.raises(
        InputError, match=r"--coreset_ratio=auto is not allowed: fastrecon alone chooses it, not fastrecon\+"
    ):
        methods.create("fastrecon+", MethodSettings(coreset_ratio="auto"))
