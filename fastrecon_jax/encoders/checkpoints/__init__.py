"""Weights out of files: safetensors, and .pth without torch."""

from fastrecon_jax.encoders.checkpoints.checkpoint import Checkpoint, load

__all__ = ["Checkpoint", "load"]
