"""What the families of vision transformers register alike: blocks as stages, and which are taken for which stride."""

import functools
from collections.abc import Callable
from typing import Any

from flax import nnx

from fastrecon_jax.encoders import registry
from fastrecon_jax.encoders.transformer import stage_names
from fastrecon_jax.encoders.transformer.vision_transformer import Shape, parameters


def register(name: str, shape: Shape, build: Callable[..., nnx.Module], **facts: Any) -> None:
    """Register a transformer.

    Args:
        name: as `--encoder` has it.
        shape: its sizes.
        build: function (source, stages, shape=..., and options by their names) -> module.
        facts: further arguments of `registry.register`.
    """
    low, middle, high = (f"block{number}:{stage_names.NORMED}" for number in stage_names.thirds(shape.depth))
    registry.register(
        name,
        stages={f"block{number}": shape.patch for number in range(1, shape.depth + 1)},
        read_stage=functools.partial(stage_names.canonical, depth=shape.depth),
        of_stride={4: low, 8: middle, 16: high},
        multiple=shape.patch,
        at_once=1,
        products=True,
        parameters=parameters(shape),
        **facts,
    )(functools.partial(build, shape=shape))
