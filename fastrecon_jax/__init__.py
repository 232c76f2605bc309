"""Few-shot industrial anomaly detection in JAX: FastRecon and the methods it is compared with."""

from typing import TYPE_CHECKING, Any

from fastrecon_jax.version import __version__

if TYPE_CHECKING:
    from fastrecon_jax.api import FastRecon, Finding, Inspector

__all__ = ["FastRecon", "Finding", "Inspector", "__version__"]


def __getattr__(name: str) -> Any:
    """The classes of `api` are imported when they are asked for: the pure functions need none of what they need."""
    if name in ("FastRecon", "Finding", "Inspector"):
        from fastrecon_jax import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
