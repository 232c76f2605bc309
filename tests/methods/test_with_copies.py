"""Changed copies of the support images for methods that ask for none: they count as more support images."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.methods import checks
from tests.helpers import assert_close

KEY = jax.random.key(0)
RIVALS = [name for name in methods.names() if not methods.create(name).copies]
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


def test_a_method_that_asks_for_copies_itself_is_refused():
    with pytest.raises(ValueError, match=r"fastrecon\+ asks for copies itself: light"):
        methods.with_copies(methods.create("fastrecon+"), ("light",))
    with pytest.raises(ValueError, match="fastrecon asks for copies itself: defective"):
        methods.with_copies(methods.create("fastrecon", {"lam": "auto"}), ("light",))
    assert not methods.create("fastrecon+", {"light": False}).copies
