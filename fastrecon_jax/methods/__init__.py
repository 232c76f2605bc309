"""The methods by name: each fits a state to the support's features and scores the features of one query."""

from fastrecon_jax.methods.registry import Method, create, names
from fastrecon_jax.methods.settings import MethodSettings

__all__ = ["Method", "MethodSettings", "create", "names"]
