"""The methods by name: each fits a state to the support's features and scores the features of one query."""

from fastrecon_jax.methods.registry import Method, create, names

__all__ = ["Method", "create", "names"]
