"""Every kind of transformer that the families hold, at a size that tests can afford, under names of their own."""

from fastrecon_jax.encoders.families import dinov2, dinov3
from fastrecon_jax.encoders.transformer.vision_transformer import Shape

_TINY = Shape(patch=14, width=24, depth=6, heads=3, hidden=32, table=5)
_ROTARY = Shape(patch=16, width=24, depth=6, heads=3, hidden=32, registers=4, epsilon=1e-5, key_bias=False)
DINOV2 = {
    "tiny_dinov2": _TINY,
    "tiny_dinov2_reg": _TINY._replace(registers=4),
    "tiny_dinov2_swiglu": _TINY._replace(gated=True),
}
TIPSV2 = {"tiny_tipsv2": _TINY._replace(registers=1)}
DINOV3 = {"tiny_dinov3": _ROTARY, "tiny_dinov3_swiglu": _ROTARY._replace(gated=True)}
SHAPES = DINOV2 | TIPSV2 | DINOV3

for _name, _shape in DINOV2.items():
    dinov2.register_variant(_name, _shape)
for _name, _shape in TIPSV2.items():
    dinov2.register_variant(_name, _shape, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
for _name, _shape in DINOV3.items():
    dinov3.register_variant(_name, _shape)


def names():
    """The names that are registered."""
    return tuple(SHAPES)
