"""Frozen pretrained encoders: images in, feature stages out, by name."""

from fastrecon_jax.encoders.registry import Encoder, create, names, stages_of

__all__ = ["Encoder", "create", "names", "stages_of"]
