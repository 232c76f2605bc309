"""Adversarial queries: within the budget, and on the other side of the verdict."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from tests.examples.conftest import SMALL


@pytest.fixture
def adversarial(examples):
    import adversarial

    return adversarial


def test_a_linear_score_is_pushed_to_the_corner_of_the_budget(adversarial):
    images = jnp.asarray([[[[0, 100, 255]]]], jnp.uint8)
    weights = jnp.asarray([-1.0, 0.5, 3.0])[None, None, None]
    attacked = adversarial.attack(
        lambda x: (weights * x).sum(), images, jax.random.key(0), budget=jnp.float32(3), steps=4
    )
    assert attacked.tolist() == [[[[0, 103, 255]]]]  # no grey level below 0 or above 255


def test_scores_turn_within_the_budget(adversarial, part, data):
    config = adversarial.AdversarialConfig(data_dir=str(data), budgets=(2,), steps=3, **SMALL)
    (clean, attacked), changed = adversarial.measure(part, config)
    bad, difference = part.images.defective, changed[2].astype(int) - part.images.test
    assert changed[2].dtype == np.uint8
    assert np.abs(difference).max() == 2
    assert (attacked.attacked[~bad] > clean.attacked[~bad]).all()
    assert (attacked.attacked[bad] < clean.attacked[bad]).all()
    assert (attacked.attacked[~bad] > attacked.noise[~bad]).all()
    assert adversarial.auroc(part, clean.attacked) == 100
    figure = adversarial.draw(part, [clean, attacked], changed[2], 2)
    assert len(figure.axes) == 11


def test_random_signs_are_of_the_size_of_the_budget(adversarial):
    images = np.full((2, 4, 4, 3), 128, np.uint8)
    assert set(np.unique(adversarial.random_signs(images, 5, 0))) == {123, 133}
    assert (adversarial.random_signs(images, 5, 0) == adversarial.random_signs(images, 5, 0)).all()


@pytest.mark.parametrize("budgets", [(0,), (2, 2), (256,), ()])
def test_budgets_out_of_range_are_refused(adversarial, budgets):
    with pytest.raises(ValueError, match=r"--budgets=.* is not allowed"):
        adversarial.AdversarialConfig(budgets=budgets)
