"""Few-shot industrial anomaly detection in JAX: FastRecon and the methods it is compared with."""

from typing import Any

from fastrecon_jax.version import __version__

__all__ = ["FastRecon", "__version__"]


def __getattr__(name: str) -> Any:
    """`FastRecon` is imported when it is asked for: the pure functions need none of what it needs."""
    if name == "FastRecon":
        from fastrecon_jax.api import FastRecon

        return FastRecon
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
