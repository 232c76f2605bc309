"""DINOv2 and DINOv2 with registers: transformers with patches of 14 pixels and a table of positions for 518 pixels."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastrecon_jax.encoders.transformer import naming, stage_names, variants
from fastrecon_jax.encoders.transformer.naming import HUGGING_FACE, ORIGINAL, TIMM, Renamed
from fastrecon_jax.encoders.transformer.positions import ANTIALIAS, OFFSET, PLAIN, WAYS
from fastrecon_jax.encoders.transformer.vision_transformer import Shape, VisionTransformer
from fastrecon_jax.encoders.weights import Source

_HF_BLOCK = "encoder.layer.{}"
_HF_ATTENTION = f"{_HF_BLOCK}.attention.attention"

# By the names of the original; see `naming.Names`.
NAMES: dict[str, naming.Names] = {
    ORIGINAL: {},
    HUGGING_FACE: {
        "cls_token": "embeddings.cls_token",
        "register_tokens": "embeddings.register_tokens",
        "pos_embed": "embeddings.position_embeddings",
        "patch_embed.proj": "embeddings.patch_embeddings.projection",
        "blocks.{}.norm1": f"{_HF_BLOCK}.norm1",
        "blocks.{}.norm2": f"{_HF_BLOCK}.norm2",
        "blocks.{}.attn.qkv": tuple(f"{_HF_ATTENTION}.{part}" for part in ("query", "key", "value")),
        "blocks.{}.attn.proj": f"{_HF_BLOCK}.attention.output.dense",
        "blocks.{}.ls1.gamma": f"{_HF_BLOCK}.layer_scale1.lambda1",
        "blocks.{}.ls2.gamma": f"{_HF_BLOCK}.layer_scale2.lambda1",
        "blocks.{}.mlp.fc1": f"{_HF_BLOCK}.mlp.fc1",
        "blocks.{}.mlp.fc2": f"{_HF_BLOCK}.mlp.fc2",
        "blocks.{}.mlp.w12": f"{_HF_BLOCK}.mlp.weights_in",
        "blocks.{}.mlp.w3": f"{_HF_BLOCK}.mlp.weights_out",
        "norm": "layernorm",
    },
    TIMM: {
        "register_tokens": "reg_token",
        "blocks.{}.mlp.w12": "blocks.{}.mlp.fc1",
        "blocks.{}.mlp.w3": "blocks.{}.mlp.fc2",
    },
}
UNUSED = ("mask_token", "embeddings.mask_token")  # what pre-training put in place of hidden patches
_WAYS = {ORIGINAL: OFFSET, HUGGING_FACE: PLAIN, TIMM: ANTIALIAS}
CHECKPOINT = "checkpoint"  # as its origin does it
OPTIONS = {"positions": (CHECKPOINT, *WAYS)}


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        shape: sizes.
        size: how its authors name it.
    """

    shape: Shape
    size: str


_S = Shape(patch=14, width=384, depth=12, heads=6, hidden=1536, table=37)
_SIZES = {
    "s": Variant(_S, "small"),
    "b": Variant(_S._replace(width=768, heads=12, hidden=3072), "base"),
    "l": Variant(_S._replace(width=1024, depth=24, heads=16, hidden=4096), "large"),
    "g": Variant(_S._replace(width=1536, depth=40, heads=24, hidden=4096, gated=True), "giant"),
}
VARIANTS = {f"dinov2_vit{letter}14": variant for letter, variant in _SIZES.items()} | {
    f"dinov2_vit{letter}14_reg": variant._replace(shape=variant.shape._replace(registers=4))
    for letter, variant in _SIZES.items()
}


def naming_of(source: Source, *, registers: int) -> str:
    """How a source names its tensors, one of the keys of `NAMES`.

    Only the original has a mask token beside its own names: timm drops it, and renames registers and gated MLPs.
    """
    if any(source.has(name) for name in ("mask_token", "register_tokens", "blocks.0.mlp.w12.weight")):
        return ORIGINAL
    if source.has("embeddings.cls_token"):
        return HUGGING_FACE
    return TIMM if source.has("reg_token") or (not registers and source.has("cls_token")) else ORIGINAL


def beyond(tensor: str, last_stage: str, *, depth: int) -> bool:
    """Whether a checkpoint may hold a tensor that nothing reads: the mask token, later blocks, the last LayerNorm."""
    layers = stage_names.read(last_stage, depth)
    return tensor in UNUSED or (layers is not None and naming.beyond(tensor, layers.blocks[-1]))


def build(source: Source, stages: Sequence[str], *, shape: Shape, positions: str = CHECKPOINT) -> VisionTransformer:
    """A DINOv2 of a shape, see `registry.register`.

    Args:
        source: where weights come from.
        stages: names of stages.
        shape: sizes.
        positions: how the table of positions is resampled, one of `OPTIONS`.

    Returns:
        The module.
    """
    origin = naming_of(source, registers=shape.registers)
    renamed = Renamed(source, NAMES[origin])
    # timm adds the class token's position to the token where there are registers, and drops it from the table.
    folded = origin == TIMM and shape.registers > 0
    place = renamed.tensor("pos_embed", (1, shape.table**2 + (not folded), shape.width), init="small")
    # With registers all origins do the same.
    own = ANTIALIAS if shape.registers else _WAYS[origin]
    way = own if positions == CHECKPOINT else positions
    return VisionTransformer(renamed, shape, stages, place=place, way=way, options=(f"positions={way}",))


def register_variant(name: str, shape: Shape, **facts: Any) -> None:
    """Register a DINOv2 of any shape; further arguments as `registry.register` has them."""
    beyond_it = functools.partial(beyond, depth=shape.depth)
    variants.register(name, shape, build, options=OPTIONS, may_be_unread=beyond_it, **facts)


for _name, _variant in VARIANTS.items():
    _registers = "-with-registers" if _variant.shape.registers else ""
    _short = _name.removesuffix("_reg")
    register_variant(
        _name,
        _variant.shape,
        weights=f"hf://facebook/dinov2{_registers}-{_variant.size}",
        also=(
            f"hf://timm/vit_{_variant.size}_patch14{'_reg4' if _registers else ''}_dinov2.lvd142m",
            f"https://dl.fbaipublicfiles.com/dinov2/{_short}/{_short}{'_reg4' if _registers else ''}_pretrain.pth",
        ),
        image_size=518,
        source="Oquab et al., DINOv2, TMLR 2024" + ("; Darcet et al., ICLR 2024" if _registers else ""),
        licence="Apache-2.0",
    )
