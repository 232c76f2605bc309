"""The methods by name: each fits a state to the support's features and scores the features of one query.

A method is one file of this folder, or of a user's, that registers itself.
"""

import importlib
import pkgutil

from fastrecon_jax.methods.registry import Method, create, names, register, registration

__all__ = ["Method", "create", "names", "register", "registration"]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")  # the file registers its method
