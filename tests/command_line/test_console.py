import pytest

from fastrecon_jax.command_line import console


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((8, "image"), "8 images"),
        ((1, "category", "categories"), "1 category"),
        ((2, "category", "categories"), "2 categories"),
    ],
)
def test_counts_agree_with_their_noun(arguments, text):
    assert console.count(*arguments) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.01, "1 %"),
        (0.123, "12 %"),
        (0.00012, "0.012 %"),
        (0.0, "under 0.01 %"),
        (9e-5, "under 0.01 %"),
        (0.5, "50 %"),
    ],
)
def test_shares_in_percent(share, text):
    assert console.percent(share) == text
