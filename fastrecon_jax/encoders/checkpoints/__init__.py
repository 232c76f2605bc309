"""Weights out of files: safetensors, and .pth without torch."""

from fastrecon_jax.encoders.checkpoints.checkpoint import HUB, PACKAGE, Checkpoint, is_here, load

__all__ = ["HUB", "PACKAGE", "Checkpoint", "is_here", "load"]
