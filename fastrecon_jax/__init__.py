"""Few-shot industrial anomaly detection in JAX: FastRecon and the methods it is compared with."""

from fastrecon_jax.version import __version__

__all__ = ["__version__"]
