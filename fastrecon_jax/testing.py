"""The contracts of methods and encoders as checks that run, for authors of new ones.

from fastrecon_jax import testing

def test_my_method():
testing.check_method("my_method")
"""

from fastrecon_jax import methods
from fastrecon_jax.encoders.checks import CHECKS as ENCODER_CHECKS
from fastrecon_jax.encoders.checks import check_encoder
from fastrecon_jax.methods import Method
from fastrecon_jax.methods.checks import CHECKS as METHOD_CHECKS

__all__ = ["ENCODER_CHECKS", "METHOD_CHECKS", "check_encoder", "check_method"]


def check_method(method: str | Method) -> None:
    """Run every check of the contract on a method; see `methods.registry.Method` for the contract.

    The checks cover settings, shapes, float32 and non-negative scores, jit against eager, vmap against a loop, finite
    gradients, determinism, the order of the shots, half-precision stages, the state through a file and back, the map's
    size, and that anomalies score higher. They are `METHOD_CHECKS`, for running each as a test of its own.

    Args:
        method: a registered name, which is made with its default settings, or a method.

    Raises:
        AssertionError: the first check that fails, in a sentence.
        InputError: the name is not registered.
    """
    made = methods.create(method) if isinstance(method, str) else method
    for check in METHOD_CHECKS:
        try:
            check(made)
        except AssertionError as error:
            raise AssertionError(f"{made.name}, {check.__name__}: {error}") from error
