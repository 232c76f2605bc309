"""Fields of settings, and what they refuse."""

from types import SimpleNamespace

import pytest

from fastrecon_jax.command_line import fields
from fastrecon_jax.errors import InputError


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (0.5, {"above": 0}),
        (0, {"at_least": 0}),
        (1, {"above": 0, "at_most": 1}),
        (None, {"above": 0, "also": (None,)}),
        ("auto", {"at_least": 0, "also": ("auto",)}),
    ],
)
def test_numbers_of_a_range_and_named_values_are_allowed(value, options):
    fields.require_number(SimpleNamespace(x=value), "x", **options)


@pytest.mark.parametrize(
    ("value", "options", "rule"),
    [
        (0, {"above": 0}, "a number above 0"),
        (-1, {"at_least": 0}, "a number at least 0"),
        (1.5, {"above": 0, "at_most": 1}, "a number above 0 and at most 1"),
        ("auto", {"above": 0, "at_most": 1}, "a number above 0 and at most 1"),
        ("much", {"at_least": 0, "also": ("auto",)}, "a number at least 0, or auto"),
        (float("nan"), {"at_least": 0}, "a number at least 0"),
        (float("inf"), {"at_least": 0}, "a number at least 0"),
        (True, {"at_least": 0}, "a number at least 0"),
        (None, {"at_least": 0}, "a number at least 0"),
    ],
)
def test_everything_else_is_refused_with_the_rule(value, options, rule):
    with pytest.raises(InputError, match=f"--x={value} is not allowed: it must be {rule}$"):
        fields.require_number(SimpleNamespace(x=value), "x", **options)


@pytest.mark.parametrize(
    ("values", "rule"),
    [((), "it must name at least one"), (("a", "a"), "nothing may be named twice"), (("all", "a"), "all stands alone")],
)
def test_lists(values, rule):
    with pytest.raises(InputError, match=rule):
        fields.check_list(SimpleNamespace(x=values), "x")
