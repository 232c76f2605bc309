"""Few-shot industrial anomaly detection in JAX: FastRecon and the methods it is compared with."""

from typing import TYPE_CHECKING, Any

from fastrecon_jax.version import __version__

if TYPE_CHECKING:
    from fastrecon_jax.api import FastRecon, Finding, Inspector
    from fastrecon_jax.runtime import configure

__all__ = ["FastRecon", "Finding", "Inspector", "__version__", "configure"]


def __getattr__(name: str) -> Any:
    """Names that users need are imported when they are asked for: the pure functions need none of what those need."""
    if name in ("FastRecon", "Finding", "Inspector"):
        from fastrecon_jax import api

        return getattr(api, name)
    if name == "configure":
        from fastrecon_jax.runtime import configure

        return configure
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
