"""Frozen pretrained encoders by name: images in, feature stages out.

An encoder is one file, of the folder `families` or of a user's, that registers itself.
"""

import importlib
import pkgutil

from fastrecon_jax.encoders import families
from fastrecon_jax.encoders.encoder import Encoder, create, none, portable, single_operations, tiled
from fastrecon_jax.encoders.registry import OPTIONS_HELP, Registration, names, register, registration, stages_of
from fastrecon_jax.encoders.tiles import HELP as TILE_HELP

__all__ = [
    "OPTIONS_HELP",
    "TILE_HELP",
    "Encoder",
    "Registration",
    "create",
    "names",
    "none",
    "portable",
    "register",
    "registration",
    "single_operations",
    "stages_of",
    "tiled",
]

for _module in pkgutil.iter_modules(families.__path__):
    importlib.import_module(f"{families.__name__}.{_module.name}")  # the file registers its variants
