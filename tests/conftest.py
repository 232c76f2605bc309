"""Every test runs strictly: no implicit promotion, no warnings, shapes checked at run time."""

import pathlib

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("fastrecon_jax", "beartype.beartype")

SHARED = pathlib.Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """The folder of real images, real weights and reference results beside the checkout; skips where it is missing."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real images and weights in {SHARED}, which is missing")
    return SHARED
