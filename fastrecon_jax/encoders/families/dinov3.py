"""DINOv3's transformers: patches of 16 pixels, rotary positions in two axes, four storage tokens, keys without bias."""

import functools
from collections.abc import Sequence
from typing import Any, NamedTuple

import ml_dtypes
import numpy as np
from jaxtyping import Float

from fastrecon_jax.encoders import licences
from fastrecon_jax.encoders.transformer import naming, rotary, stage_names, variants
from fastrecon_jax.encoders.transformer.naming import HUGGING_FACE, NOTHING, ORIGINAL, TIMM, Renamed
from fastrecon_jax.encoders.transformer.vision_transformer import Shape, VisionTransformer
from fastrecon_jax.encoders.weights import Source

TIMM_BIASED = "timm_qkvb"  # timm's variants that keep the biases of queries and values
IN_MODEL = "huggingface_model"  # Hugging Face's, where a file has the blocks below `model.`
_HF_ATTENTION = "layer.{}.attention"
_TIMM: naming.Names = {
    "register_tokens": "reg_token",
    "blocks.{}.ls1.gamma": "blocks.{}.gamma_1",
    "blocks.{}.ls2.gamma": "blocks.{}.gamma_2",
    "blocks.{}.attn.qkv.bias": ("blocks.{}.attn.q_bias", NOTHING, "blocks.{}.attn.v_bias"),
    "blocks.{}.mlp.w12": ("blocks.{}.mlp.fc1_g", "blocks.{}.mlp.fc1_x"),
    "blocks.{}.mlp.w3": "blocks.{}.mlp.fc2",
}


def _below_model(name: str) -> str:
    return f"model.{name}" if name.startswith("layer.") else name


# By the names that DINOv2's program has for the same tensors; see `naming.Names`.
NAMES: dict[str, naming.Names] = {
    ORIGINAL: {
        "register_tokens": "storage_tokens",
        "blocks.{}.mlp.w12": ("blocks.{}.mlp.w1", "blocks.{}.mlp.w2"),
    },
    HUGGING_FACE: {
        "cls_token": "embeddings.cls_token",
        "register_tokens": "embeddings.register_tokens",
        "patch_embed.proj": "embeddings.patch_embeddings",
        "blocks.{}.norm1": "layer.{}.norm1",
        "blocks.{}.norm2": "layer.{}.norm2",
        "blocks.{}.attn.qkv.weight": tuple(f"{_HF_ATTENTION}.{part}_proj.weight" for part in "qkv"),
        "blocks.{}.attn.qkv.bias": (f"{_HF_ATTENTION}.q_proj.bias", NOTHING, f"{_HF_ATTENTION}.v_proj.bias"),
        "blocks.{}.attn.proj": f"{_HF_ATTENTION}.o_proj",
        "blocks.{}.ls1.gamma": "layer.{}.layer_scale1.lambda1",
        "blocks.{}.ls2.gamma": "layer.{}.layer_scale2.lambda1",
        "blocks.{}.mlp.fc1": "layer.{}.mlp.up_proj",
        "blocks.{}.mlp.fc2": "layer.{}.mlp.down_proj",
        "blocks.{}.mlp.w12": ("layer.{}.mlp.gate_proj", "layer.{}.mlp.up_proj"),
        "blocks.{}.mlp.w3": "layer.{}.mlp.down_proj",
    },
    TIMM: _TIMM,
    TIMM_BIASED: _TIMM,
}
NAMES[IN_MODEL] = {
    name: tuple(_below_model(part) for part in ([parts] if isinstance(parts, str) else parts))
    for name, parts in NAMES[HUGGING_FACE].items()
}
PERIODS = "rope_embed.periods"
# What nothing reads: the mask token of pre-training, the mask of the keys' bias, which is 0 whatever it says, a norm of
# small crops, and heads.
UNUSED = ("mask_token", "embeddings.mask_token", "local_cls_norm.", "projectors.")
CHECKPOINT, FLOAT32, BFLOAT16, STORED = "checkpoint", "float32", "bfloat16", "stored"
OPTIONS = {"periods": (CHECKPOINT, STORED, FLOAT32, BFLOAT16)}
_NOTE = (
    "the licence asks for a copy of itself beside weights, converted ones and exported files that hold them, and for a "
    "mention in publications"
)


class Variant(NamedTuple):
    """One of the family.

    Attributes:
        shape: sizes.
        meta: how its authors name it on the hub.
        timm: how timm does.
    """

    shape: Shape
    meta: str
    timm: str


_S = Shape(patch=16, width=384, depth=12, heads=6, hidden=1536, registers=4, epsilon=1e-5, key_bias=False)
VARIANTS = {
    "dinov3_vits16": Variant(_S, "vits16", "small"),
    "dinov3_vitsplus16": Variant(_S._replace(gated=True), "vits16plus", "small_plus"),
    "dinov3_vitb16": Variant(_S._replace(width=768, heads=12, hidden=3072), "vitb16", "base"),
    "dinov3_vitl16": Variant(_S._replace(width=1024, depth=24, heads=16, hidden=4096), "vitl16", "large"),
    "dinov3_vithplus16": Variant(
        _S._replace(width=1280, depth=32, heads=20, hidden=5120, gated=True), "vith16plus", "huge_plus"
    ),
}


def naming_of(source: Source) -> str:
    """How a source names its tensors, one of the keys of `NAMES`."""
    if source.has("storage_tokens"):
        return ORIGINAL
    if source.has("embeddings.register_tokens"):
        return IN_MODEL if source.has("model.layer.0.norm1.weight") else HUGGING_FACE
    if source.has("reg_token"):
        return TIMM_BIASED if source.has("blocks.0.attn.q_bias") else TIMM
    return ORIGINAL


def beyond(tensor: str, last_stage: str, *, depth: int) -> bool:
    """Whether a checkpoint may hold a tensor that nothing reads: `UNUSED`, periods, later blocks, last LayerNorm."""
    layers = stage_names.read(last_stage, depth)
    unused = tensor.startswith(UNUSED) or tensor.endswith("attn.qkv.bias_mask") or tensor == PERIODS
    return unused or (layers is not None and naming.beyond(tensor, layers.blocks[-1]))


def build(source: Source, stages: Sequence[str], *, shape: Shape, periods: str = CHECKPOINT) -> VisionTransformer:
    """A DINOv3 of a shape, see `registry.register`.

    Args:
        source: where weights come from.
        stages: names of stages.
        shape: sizes.
        periods: of the rotary positions: `stored` in the checkpoint, where the original's are rounded to bfloat16;
            computed in `float32`, as Hugging Face's and timm's programs do; computed and rounded to `bfloat16`; by
            default the first where the checkpoint holds them, otherwise the second.

    Returns:
        The module.
    """
    origin = naming_of(source)
    renamed = Renamed(source, NAMES[origin])
    if periods == CHECKPOINT:
        periods = STORED if source.has(PERIODS) else FLOAT32
    lengths = _periods(source, shape.width // shape.heads, periods)
    shape = shape._replace(bias=origin != TIMM)
    return VisionTransformer(renamed, shape, stages, periods=lengths, options=(f"periods={periods}",))


def _periods(source: Source, size: int, kind: str) -> Float[np.ndarray, " p"]:
    if kind == STORED:
        return source.tensor(PERIODS, (size // 4,), init="ones", minimum=0.01)
    exact = rotary.periods(size)
    return exact.astype(ml_dtypes.bfloat16).astype(np.float32) if kind == BFLOAT16 else exact


def register_variant(name: str, shape: Shape, **facts: Any) -> None:
    """Register a DINOv3 of any shape; further arguments as `registry.register` has them."""
    beyond_it = functools.partial(beyond, depth=shape.depth)
    variants.register(name, shape, build, options=OPTIONS, may_be_unread=beyond_it, **facts)


for _name, _variant in VARIANTS.items():
    register_variant(
        _name,
        _variant.shape,
        weights=f"hf://facebook/dinov3-{_variant.meta}-pretrain-lvd1689m",
        also=(f"hf://timm/vit_{_variant.timm}_patch16_dinov3.lvd1689m",),
        image_size=256,
        source="Siméoni et al., DINOv3, arXiv 2508.10104",
        licence=licences.DINOV3,
        note=_NOTE,
    )
