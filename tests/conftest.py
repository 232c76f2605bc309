"""Every test runs strictly: no implicit promotion, no warnings, shapes checked at run time."""

import os
import pathlib

import jax
import jaxtyping
import pytest

jax.config.update("jax_numpy_dtype_promotion", "strict")
jax.config.update("jax_numpy_rank_promotion", "raise")
jaxtyping.install_import_hook("fastrecon_jax", "beartype.beartype")

SHARED = pathlib.Path(os.environ.get("FASTRECON_SHARED") or pathlib.Path(__file__).resolve().parents[2] / "shared")


@pytest.fixture(scope="session")
def shared() -> pathlib.Path:
    """Real images, weights and reference results: FASTRECON_SHARED, or `shared` beside the checkout; else skips."""
    if not SHARED.is_dir():
        pytest.skip(f"needs the real images and weights in {SHARED}, which is missing")
    return SHARED
