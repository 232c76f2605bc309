"""TIPSv2: the shape of DINOv2 with one register, trained at 448 pixels on images that are not normalised."""

from fastrecon_jax.encoders.families import dinov2
from fastrecon_jax.encoders.transformer.vision_transformer import Shape

_B = Shape(patch=14, width=768, depth=12, heads=12, hidden=3072, registers=1, table=32)
VARIANTS = {
    "tipsv2_b14": ("base", _B),
    "tipsv2_l14": ("large", _B._replace(width=1024, depth=24, heads=16, hidden=4096)),
}

for _name, (_size, _shape) in VARIANTS.items():
    dinov2.register_variant(
        _name,
        _shape,
        mean=(0.0, 0.0, 0.0),
        std=(1.0, 1.0, 1.0),
        weights=f"hf://timm/vit_{_size}_patch14_reg1_tipsv2.webli",
        also=(f"hf://google/tipsv2-{_name[-3:]}",),
        image_size=448,
        source="Google, TIPSv2, arXiv 2604.12012",
        licence="Apache-2.0",
    )
