"""Millions of images: a part that Ray, Beam and other engines carry to their workers."""

from fastrecon_jax.batch.inspector import COLUMNS, Inspector

__all__ = ["COLUMNS", "Inspector"]
