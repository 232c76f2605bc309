"""Programs that are kept: a later start runs them without a trace, with the same results bit for bit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax.runtime import compiler, kept, kept_programs
from fastrecon_jax.runtime.kept_programs import KeptProgram


@pytest.fixture
def place(tmp_path):
    kept.use(tmp_path / "kept")
    yield tmp_path / "kept"
    kept.stop()


class Traced:
    """A function that counts its traces."""

    def __init__(self):
        self.number = 0

    def __call__(self, weights, x):
        self.number += 1
        return {"sum": (jnp.sin(weights["a"]) @ x).sum(), "none": None}


def arguments(n=5):
    rng = np.random.default_rng(0)
    return {"a": jnp.asarray(rng.standard_normal((3, n)).astype(np.float32))}, jnp.ones((n, 2))


def start(facts=("program",)):
    function = Traced()
    return function, KeptProgram(compiler.jit(function), facts)


def test_a_later_start_does_not_trace(place):
    first, program = start()
    expected = program(*arguments())
    assert first.number == 1
    again, program = start()
    found = program(*arguments())
    assert again.number == 0
    assert found["none"] is None
    assert np.asarray(found["sum"]).tobytes() == np.asarray(expected["sum"]).tobytes()
    np.testing.assert_allclose(found["sum"], compiler.jit(Traced())(*arguments())["sum"], rtol=1e-6)


def test_other_shapes_and_other_facts_are_other_programs(place):
    start()[1](*arguments())
    for facts, n in ((("program",), 6), (("other",), 5)):
        function, program = start(facts)
        program(*arguments(n))
        assert function.number == 1
    assert len(list(place.iterdir())) == 3


def test_what_cannot_be_loaded_is_compiled(place):
    function, program = start()
    leaves = jax.tree.leaves(arguments())
    shapes = tuple((leaf.shape, leaf.dtype, leaf.weak_type, leaf.sharding) for leaf in leaves)
    kept.write("program", (("program",), shapes), (b"junk", None, None))
    program(*arguments())
    assert function.number == 1
    assert start()[1](*arguments()) is not None


def test_what_would_not_give_the_same_results_is_not_kept(place, monkeypatch):
    monkeypatch.setattr(
        kept_programs, "_load", lambda stored, leaves: stored and (lambda leaves: {"sum": jnp.zeros(())})
    )
    start()[1](*arguments())
    assert not list(place.iterdir())


def test_inside_a_transformation_and_with_nothing_kept_it_is_the_program_itself(place):
    _, program = start()
    weights, x = arguments()
    jax.grad(lambda x: program(weights, x)["sum"])(x)
    assert not list(place.iterdir())
    kept.stop()
    program(weights, x)
    assert not list(place.iterdir())


def test_jax_keeps_programs_as_before_afterwards(place):
    before = jax.config.jax_persistent_cache_min_compile_time_secs
    start()[1](*arguments())
    assert jax.config.jax_persistent_cache_min_compile_time_secs == before
