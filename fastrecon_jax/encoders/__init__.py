"""Frozen pretrained encoders by name: images in, feature stages out.

An encoder is one file, of the folder `families` or of a user's, that registers itself.
"""

from fastrecon_jax.encoders.encoder import Encoder, none, portable, single_operations, tiled
from fastrecon_jax.encoders.kept import create, is_own
from fastrecon_jax.encoders.registry import OPTIONS_HELP, Registration, names, register, registration, stages_of
from fastrecon_jax.encoders.tiles import HELP as TILE_HELP

__all__ = [
    "OPTIONS_HELP",
    "TILE_HELP",
    "Encoder",
    "Registration",
    "create",
    "is_own",
    "names",
    "none",
    "portable",
    "register",
    "registration",
    "single_operations",
    "stages_of",
    "tiled",
]
