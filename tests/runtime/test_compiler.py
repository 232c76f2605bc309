"""Options of the compiler and memory."""

import dataclasses
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from fastrecon_jax import encoders
from fastrecon_jax.runtime import compiler


def square(x):
    """Sum of the squares."""
    return jnp.sum(x * x)


def test_a_program_composes_where_options_are_refused():
    program = compiler.jit(square)
    x = jnp.arange(4.0)
    assert program(x) == 14
    assert program.lower(x).compile()(x) == 14
    assert (jax.grad(program)(x) == 2 * x).all()
    assert (jax.vmap(program)(jnp.stack([x, x])) == 14).all()
    assert jax.jit(lambda y: program(y) + 1)(x) == 15
    assert (program.__name__, program.__doc__) == (square.__name__, square.__doc__)


def test_options_are_those_that_the_compiler_knows(monkeypatch):
    options = compiler.compiler_options()
    assert set(options) <= set(compiler._CPU_OPTIONS)
    monkeypatch.setattr(compiler, "_CPU_OPTIONS", {"xla_no_such_option": "", **compiler._CPU_OPTIONS})
    compiler.compiler_options.cache_clear()
    try:
        assert compiler.compiler_options() == options
    finally:
        compiler.compiler_options.cache_clear()


def test_an_accelerator_has_no_options_of_the_cpu(monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiler.compiler_options.cache_clear()
    try:
        assert compiler.compiler_options() == {}
    finally:
        compiler.compiler_options.cache_clear()


_FAULTS = """
import resource, sys
import numpy as np
from fastrecon_jax.runtime import compiler
if sys.argv[1] == "keep":
    compiler.keep_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
np.ones(50_000_000, np.uint8)
before = faults()
for _ in range(5):
    np.ones(50_000_000, np.uint8)
print(faults() - before)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="other systems' malloc has no such settings")
def test_memory_that_is_kept_is_not_cleared_again():
    found = [
        int(subprocess.run([sys.executable, "-c", _FAULTS, how], capture_output=True, text=True, check=True).stdout)
        for how in ("keep", "give")
    ]
    assert found[0] < found[1] / 10 or found[1] < 100  # another malloc than glibc's keeps it anyway


def test_memory_is_left_alone_elsewhere(monkeypatch):
    monkeypatch.setattr(sys, "platform", "darwin")
    monkeypatch.setattr(compiler.ctypes, "CDLL", lambda name: pytest.fail("must not be asked"))
    compiler.keep_memory()


def test_one_call_sets_up_a_notebook_as_the_commands_are(tmp_path):
    program = (
        "import fastrecon_jax, jax, threadpoolctl\n"
        "import scipy.linalg\n"
        "directory = fastrecon_jax.configure()\n"
        "assert str(directory) == jax.config.jax_compilation_cache_dir\n"
        "assert {x['num_threads'] for x in threadpoolctl.threadpool_info() if x['user_api'] == 'blas'} == {1}\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != "JAX_COMPILATION_CACHE_DIR"}
    environment["FASTRECON_COMPILATION_CACHE"] = str(tmp_path)
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120, env=environment)


def test_encoders_of_products_are_compiled_without_options():
    program = compiler.jit(lambda encoder, x: encoder(x))
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), jnp.uint8)
    for name, expected in (("resnet18", False), ("dinov2_vits14", True), ("tipsv2_b14", True), ("dinov3_vits16", True)):
        assert encoders.registration(name).products == expected
    encoder = encoders.create("resnet18", stages=("layer1",), weights="random")
    assert program._chosen((encoder, images)) is program._outside
    of_products = dataclasses.replace(encoder, registration=dataclasses.replace(encoder.registration, products=True))
    assert program._chosen((of_products, images)) is program._inside
