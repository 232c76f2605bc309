"""Weights out of files: safetensors, and .pth without torch."""

from fastrecon_jax.encoders.checkpoints.checkpoint import HUB, PACKAGE, Checkpoint, is_here, load
from fastrecon_jax.encoders.checkpoints.hub import pinned, revision
from fastrecon_jax.encoders.checkpoints.prefixes import common, readings

__all__ = ["HUB", "PACKAGE", "Checkpoint", "common", "is_here", "load", "pinned", "readings", "revision"]
