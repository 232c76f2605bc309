"""The methods by name: each fits a state to the features of the support and scores the features of a query image.

A method is one file, in this folder or a user's own, that registers itself.
"""

import importlib
import pkgutil

from fastrecon_jax.methods.registry import (
    COPIES,
    SUPPORT_COPIES,
    Method,
    OnImages,
    Training,
    check_makes_parts,
    create,
    feature_names,
    meta_trained,
    names,
    number_of_copies,
    on_images,
    register,
    registration,
    with_copies,
)

__all__ = [
    "COPIES",
    "SUPPORT_COPIES",
    "Method",
    "OnImages",
    "Training",
    "check_makes_parts",
    "create",
    "feature_names",
    "meta_trained",
    "names",
    "number_of_copies",
    "on_images",
    "register",
    "registration",
    "with_copies",
]

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f"{__name__}.{_module.name}")  # the file registers its method
