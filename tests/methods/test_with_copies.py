"""Changed copies of the support images for methods that ask for none: they count as more support images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.methods import checks
from tests.helpers import assert_close

KEY = jax.random.key(0)
RIVALS = [name for name in methods.feature_names() if not methods.create(name).copies]
LIGHT, TURNS = methods.COPIES["light"], methods.COPIES["turns"]


def support_and_copies(method, k=2, count=LIGHT + TURNS):
    support, copies = checks.make_stages(method, 0, k), checks.make_stages(method, 1, k, count)
    return jax.vmap(method.embed)(support), jax.vmap(jax.vmap(method.embed))(copies)


@pytest.mark.parametrize("name", RIVALS)
def test_the_fit_is_that_of_images_and_copies_together(name):
    method = methods.create(name)
    support, copies = support_and_copies(method)
    state = methods.with_copies(method, ("light", "turns")).fit(support, KEY, copies)

    def behind(images, changed):
        return jnp.concatenate([images, *(changed[i] for i in range(images.shape[0]))])

    expected = method.fit(jax.tree.map(behind, support, copies), KEY)
    jax.tree.map(np.testing.assert_array_equal, state, expected)


def test_the_pool_grows():
    method = methods.create("nearest")
    support, copies = support_and_copies(method)
    more = methods.with_copies(method, ("light", "turns"))
    bank = more.fit(support, KEY, copies).bank
    pool = support.shape[0] * support.shape[1] * support.shape[2]
    assert bank.shape[0] == (1 + LIGHT + TURNS) * pool == more.rows(pool)
    # The images as they are come first: coresets begin with one of their rows.
    np.testing.assert_array_equal(bank[:pool], method.fit(support, KEY).bank)
    copy = copies[1, 2]
    assert_close(more.score(more.fit(support, KEY, copies), copy), np.zeros(copy.shape[:2]), 1e-6)
    assert method.score(method.fit(support, KEY), copy).max() > 1e-3


@pytest.mark.parametrize("name", RIVALS)
def test_rows_are_those_of_the_larger_pool(name):
    method = methods.create(name)
    more = methods.with_copies(method, ("turns",))
    assert more.rows(100) == method.rows(100 * (1 + TURNS))


def test_what_is_kept_and_what_is_told():
    method = methods.create("patchcore")
    more = methods.with_copies(method, ("light",))
    assert more.copies == ("light",)
    assert more.note == "coreset 0.1, copies light"
    assert methods.with_copies(methods.create("spade"), ("light", "turns")).note == "copies light+turns"
    assert (more.name, more.settings, more.score) == (method.name, method.settings, method.score)
    assert methods.with_copies(method, ()) is method


def test_a_method_gets_its_own_copies_first_and_the_further_ones_behind():
    method = methods.create("fastrecon+")
    assert methods.with_copies(method, ("light",)) is method
    more = methods.with_copies(method, ("flip", "light"))
    assert (more.copies, more.note.endswith("copies flip")) == (("light", "flip"), True)
    support, copies = support_and_copies(more, count=LIGHT + 2)
    state = more.fit(support, KEY, copies)
    # Further copies are as turned ones that help: variants of an image, in which nothing is looked for backward.
    _, plain = support_and_copies(method, count=LIGHT)
    for level, before, stage, changed in zip(
        state.levels, method.fit(support, KEY, plain).levels, support, copies, strict=True
    ):
        pool = stage.shape[0] * stage.shape[1] * stage.shape[2]
        assert level.bank.shape[0] == (1 + LIGHT + 2) * pool
        assert level.views.shape == before.views.shape
        del changed
    far = jax.tree.map(lambda x: x[0, LIGHT] + 0.0, copies)
    assert more.score(state, far).max() < method.score(method.fit(support, KEY, plain), far).max()
    assert more.rows(10) == (1 + LIGHT + 2) * 10


def test_the_choice_of_settings_does_not_see_further_copies():
    method = methods.create("fastrecon", {"lam": "auto"})
    more = methods.with_copies(method, ("turns",))
    assert more.copies == ("defective", "turns")
    support, copies = support_and_copies(more, k=3, count=4 + TURNS)
    choice = method.choose(support, copies[:, :4])
    plain = methods.create("fastrecon", {"lam": float(choice.lam)})
    expected = methods.with_copies(plain, ("turns",)).fit(support, KEY, copies[:, 4:])
    actual = more.fit(support, KEY, copies)
    jax.tree.map(lambda a, b: assert_close(a, b, 1e-5), actual, expected)
    assert more.rows(100) == plain.rows(100 * (1 + TURNS))


def test_what_cannot_be_asked_for():
    with pytest.raises(InputError, match="unknown copies defective, rot9: allowed are light, turns, rot8, rot30, flip"):
        methods.with_copies(methods.create("nearest"), ("defective", "light", "rot9"))
    closed = methods.create("nearest")._replace(copies=("light",))
    with pytest.raises(InputError, match="nearest asks for copies of the support images itself"):
        methods.with_copies(closed, ("flip",))
    assert not methods.create("fastrecon+", {"light": False}).copies
