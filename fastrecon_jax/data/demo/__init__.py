"""The built-in data set: six categories of photographs, real and rendered, made on the spot from a seed."""

from fastrecon_jax.data.demo.layout import CATEGORIES, build, photograph

# Goes up with every change of a pixel, so that a set kept on disk is never taken for another.
VERSION = 1

__all__ = ["CATEGORIES", "VERSION", "build", "photograph"]
