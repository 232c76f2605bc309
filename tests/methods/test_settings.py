import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import fastrecon, fastrecon_plus, nearest, padim, patchcore, settings, spade, subspace


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [
        (fastrecon, "lam", -1.0),
        (fastrecon, "lam", float("nan")),
        (fastrecon, "lam", float("inf")),
        (fastrecon, "lam", "much"),
        (fastrecon, "coreset_ratio", 0.0),
        (fastrecon, "coreset_ratio", 1.5),
        (fastrecon, "coreset_ratio", "much"),
        (fastrecon, "coreset_rows", -1),
        (fastrecon, "coreset_projection", -1),
        (fastrecon_plus, "soft_length", -1.0),
        (fastrecon_plus, "soft_length", 2000.0),
        (fastrecon_plus, "soft_spectrum", 0.0),
        (fastrecon_plus, "coreset_rows", 0),
        (fastrecon_plus, "coordinates", -1),
        (fastrecon_plus, "backward_coordinates", -1),
        (fastrecon_plus, "backward_margin", -0.1),
        (fastrecon_plus, "noise", -0.1),
        (fastrecon_plus, "noise", 1001.0),
        (fastrecon_plus, "coreset_ratio", 0.0),
        (fastrecon_plus, "coreset_ratio", 2.0),
        (nearest, "coreset_ratio", 0.0),
        (patchcore, "coreset_ratio", 0.0),
        (patchcore, "coreset_projection", -1),
        (patchcore, "reweighting", -1),
        (patchcore, "neighbours", 0),
        (padim, "channels", -1),
        (subspace, "explained_variance", 0.0),
        (spade, "neighbours", 0),
    ],
)
def test_settings_out_of_range(kind, name, value):
    with pytest.raises(InputError, match=f"--{name}={value} is not allowed: it must be a number"):
        kind.Settings(**{name: value})


def test_rows_stand_instead_of_a_ratio():
    assert fastrecon.Settings(coreset_rows=5).coreset_ratio == fastrecon.RATIO
    with pytest.raises(InputError, match=r"--coreset_rows=5 is not allowed: it stands instead of --coreset_ratio"):
        fastrecon.Settings(coreset_rows=5, coreset_ratio=0.1)
    assert fastrecon_plus.Settings(coreset_rows=5).coreset_ratio is None
    with pytest.raises(InputError, match=r"--coreset_rows=5 is not allowed: --coreset_ratio stands instead of it"):
        fastrecon_plus.Settings(coreset_rows=5, coreset_ratio=0.1)


def test_an_option_goes_to_every_chosen_method_that_has_it():
    bound = settings.bind(["fastrecon", "patchcore", "padim"], {"coreset_ratio": 0.2, "lam": 0.5})
    assert bound["fastrecon"] == fastrecon.Settings(lam=0.5, coreset_ratio=0.2)
    assert bound["patchcore"] == patchcore.Settings(coreset_ratio=0.2)
    assert bound["padim"] == padim.Settings()


def test_the_option_with_a_methods_name_is_for_that_method_alone_and_wins():
    given = {"coreset_ratio": 0.2, "patchcore_coreset_ratio": 0.3, "fastrecon_plus_coreset_ratio": 0.4}
    bound = settings.bind(["fastrecon", "fastrecon+", "patchcore"], given)
    ratios = {name: values.coreset_ratio for name, values in bound.items()}
    assert ratios == {"fastrecon": 0.2, "fastrecon+": 0.4, "patchcore": 0.3}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"lam": 0.0}, r"--lam=0\.0 is not allowed: it is a setting of fastrecon, not of padim, spade"),
        ({"patchcore_reweighting": 1}, r"--patchcore_reweighting=1 .* of patchcore, not of padim, spade"),
        (
            {"coreset_ratio": 0.5},
            "it is a setting of fastrecon and fastrecon[+] and nearest and patchcore, not of padim, spade",
        ),
        ({"colour": 1}, "unknown setting colour: the methods have .*coreset_ratio"),
    ],
)
def test_a_setting_that_no_chosen_method_has_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        settings.bind(["padim", "spade"], given)


@pytest.mark.parametrize("name", methods.names())
def test_every_setting_has_its_two_options(name):
    options = settings.options()
    for field in methods.registration(name).settings.__dataclass_fields__:
        assert name in options[field].owners
        assert options[f"{settings.prefix(name)}_{field}"].owners == (name,)


NOTES = {
    "fastrecon": ({"lam": 0.5, "coreset_ratio": 0.25, "coreset_projection": 16}, "lam 2, coreset 0.01"),
    "fastrecon+": (
        {
            "soft_length": 0.0,
            "soft_spectrum": 3.0,
            "coreset_ratio": 0.25,
            "coordinates": 64,
            "both_ways": False,
            "light": False,
            "turns": "auto",
        },
        f"length 0.7, spectrum 1, {fastrecon_plus.ROWS} rows",
    ),
    "patchcore": (
        {
            "coreset_ratio": 0.25,
            "approximate": False,
            "coreset_projection": 16,
            "neighbours": 5,
            "reweighting": 3,
        },
        "coreset 0.1",
    ),
    "padim": ({"channels": 7}, ""),
    "regad": ({}, "21 copies, not meta-trained"),
    "differnet": (
        {
            "trained_preset": "paper",
            "score": "likelihood",
            "side": 64,
            "hidden": 8,
            "blocks": 2,
            "steps": 3,
            "bank_rotations": 4,
            "score_rotations": 2,
            "standardise": "yes",
        },
        "preset small",
    ),
    "tdg": (
        {
            "trained_preset": "paper",
            "lowest": 0.1,
            "generator": False,
            "transformations": 16,
            "side": 96,
            "coarsest": 12,
            "finest": 48,
            "scales": 2,
            "width": 8,
            "steps": 5,
            "updates": 2,
            "step_images": 4,
        },
        "preset small",
    ),
    "spade": ({"neighbours": 5}, ""),
    "subspace": ({"explained_variance": 0.9}, "variance 0.99"),
    "nearest": ({"coreset_ratio": 0.25}, ""),
}
CHANGED = {
    "fastrecon": "lam 0.5, coreset 0.25, projection 16",
    "fastrecon+": "length 0, spectrum 3, coreset 0.25, 64 coordinates, one way, without light, turns",
    "patchcore": "coreset 0.25, exact, projection 16, mean of 5, re-weighted by 3",
    "padim": "7 channels",
    "regad": "21 copies, not meta-trained",
    "differnet": "preset paper, likelihood, side 64, hidden 8, blocks 2, steps 3, bank rotations 4, score rotations 2, "
    "standardise yes",
    "tdg": "preset paper, lowest 0.1, without generator, side 96, coarsest 12, finest 48, scales 2, width 8, steps 5, "
    "updates 2, step images 4, transformations 16",
    "spade": "5 images",
    "subspace": "variance 0.9",
    "nearest": "coreset 0.25",
}


@pytest.mark.parametrize("name", methods.names())
def test_a_note_tells_the_settings_in_use(name):
    given, plain = NOTES[name]
    assert methods.create(name).note == plain
    assert methods.create(name, given).note == CHANGED[name]


def test_what_is_chosen_is_named():
    chosen = methods.create("fastrecon", {"lam": "auto", "coreset_ratio": "auto"})
    assert chosen.note == "lam auto, coreset auto"
    assert chosen.choose is not None
    assert methods.create("fastrecon", {"coreset_rows": 7}).note == "lam 2, coreset 7 rows"
    for given, expected in (
        ({"backward_coordinates": 32}, "backward in 32 coordinates"),
        ({"backward_coordinates": 0, "backward_margin": 0.5}, "backward in all coordinates, margin 0.5"),
        ({"noise": 0.0}, "noise 0"),
    ):
        chosen = methods.create("fastrecon+", {"coreset_rows": 7, **given})
        assert chosen.note == f"length 0.7, spectrum 1, 7 rows, {expected}"


def test_settings_are_those_of_the_method():
    assert methods.create("spade", spade.Settings(3)).settings.neighbours == 3
    with pytest.raises(InputError, match=r"settings of spade must be a fastrecon_jax\.methods\.spade\.Settings or"):
        methods.create("spade", padim.Settings())
    with pytest.raises(InputError, match="padim has no setting lam: it has channels"):
        methods.create("padim", {"lam": 1.0})
