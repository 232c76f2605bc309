"""Outputs of the transformers and timm libraries for seeded weights: `tests/encoders/data/vision_transformers.npz`.

    python -m venv oracles && oracles/bin/pip install torch torchvision timm transformers
    oracles/bin/python scripts/oracles/vision_transformers.py

writes the file again. Every tensor is drawn from a generator seeded by its own name, so that the tests can make the
same checkpoint without these libraries. `CASE/names` holds names and shapes of a checkpoint's tensors, `CASE/block`
the patches as they leave block `BLOCK`, and `CASE/normed` those behind the last norm, every `EVERY`th channel;
`positions/WAY_HxW` is a table of 7x7 positions, resampled by torch.
"""

import functools
import json
import pathlib
import tempfile
import zlib

import numpy as np

IMAGE = {14: (56, 42), 16: (64, 48)}  # by the patch: 4 rows and 3 columns
BLOCK, EVERY = 2, 3
SIZES = ((4, 3), (7, 7), (12, 16))
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "encoders" / "data" / "vision_transformers.npz"


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights of a name: matrices by their inputs, scales around 1, LayerScale below 1, all else small."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith(("lambda1", "gamma", "gamma_1", "gamma_2")):
        values = rng.uniform(0.1, 1.0, shape)
    elif "norm" in name and name.endswith("weight"):
        values = rng.uniform(0.5, 1.5, shape)
    elif len(shape) >= 2 and name.endswith("weight"):
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    else:
        values = rng.standard_normal(shape) * 0.1
    return values.astype(np.float32)


def images(patch: int) -> np.ndarray:
    """What a network is run on, normalised already, (1, H, W, 3)."""
    return np.random.default_rng(patch).standard_normal((1, *IMAGE[patch], 3)).astype(np.float32)


def table() -> np.ndarray:
    """A table of positions, (7, 7, 4)."""
    return np.random.default_rng(7).standard_normal((7, 7, 4)).astype(np.float32)


def main() -> None:
    """Run both libraries and write what they give."""
    import safetensors.numpy
    import timm.models.eva
    import timm.models.vision_transformer
    import torch
    import transformers
    from timm.layers import LayerNorm, SwiGLUPacked

    found: dict[str, np.ndarray] = {}

    def seed(case: str, model: torch.nn.Module) -> torch.nn.Module:
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        model.load_state_dict({name: torch.from_numpy(tensor(name, shape)) for name, shape in shapes.items()})
        found[f"{case}/names"] = np.array(json.dumps(shapes))
        return model.eval()

    def keep(case: str, block: torch.Tensor, normed: torch.Tensor) -> None:
        patches = IMAGE[14][0] // 14 * (IMAGE[14][1] // 14)
        for name, tokens in (("block", block), ("normed", normed)):
            found[f"{case}/{name}"] = tokens[0, -patches:, ::EVERY].numpy().astype(np.float16)

    def pixels(patch: int) -> torch.Tensor:
        return torch.from_numpy(images(patch).transpose(0, 3, 1, 2).copy())

    def hugging_face(case: str, model: transformers.PreTrainedModel, patch: int) -> None:
        # Through a file: its names are those of the hub, which the library's modules may have left.
        with tempfile.TemporaryDirectory() as folder:
            model.save_pretrained(folder)
            file = pathlib.Path(folder) / "model.safetensors"
            shapes = {name: value.shape for name, value in safetensors.numpy.load_file(file).items()}
            tensors = {name: tensor(name, shape) for name, shape in shapes.items()}
            safetensors.numpy.save_file(tensors, file, metadata={"format": "pt"})
            model = type(model).from_pretrained(folder)
        found[f"{case}/names"] = np.array(json.dumps(shapes))
        outputs = model.eval()(pixels(patch), output_hidden_states=True)
        keep(case, outputs.hidden_states[BLOCK], outputs.last_hidden_state)

    def from_timm(case: str, model: torch.nn.Module, patch: int) -> None:
        seen: list[torch.Tensor] = []
        model = seed(case, model)
        model.blocks[BLOCK - 1].register_forward_hook(lambda module, inputs, output: seen.append(output))
        normed = model.forward_features(pixels(patch))
        keep(case, seen[0], normed)

    # Three blocks of two heads.
    small = {"hidden_size": 96, "num_hidden_layers": 3, "num_attention_heads": 2}
    alike = {"embed_dim": 96, "depth": 3, "num_heads": 2, "num_classes": 0}
    v2 = alike | {"patch_size": 14, "img_size": 98, "init_values": 1.0, "dynamic_img_size": True}
    gated = {"mlp_layer": SwiGLUPacked, "act_layer": torch.nn.SiLU, "mlp_ratio": 2 * 256 / 96}
    v3 = {
        "patch_size": 16,
        "img_size": 64,
        "dynamic_img_size": True,
        "init_values": 1.0,
        "rope_type": "dinov3",
        "rope_temperature": 100,
        "rope_rotate_half": True,
        "use_rot_pos_emb": True,
        "use_abs_pos_emb": False,
        "num_reg_tokens": 4,
        "use_fc_norm": False,
        "norm_layer": functools.partial(LayerNorm, eps=1e-5),
    }
    of_v2, of_v3 = timm.models.vision_transformer.VisionTransformer, timm.models.eva.Eva
    config = transformers.DINOv3ViTConfig
    with torch.no_grad():
        giant = transformers.Dinov2Config(image_size=98, patch_size=14, use_swiglu_ffn=True, mlp_ratio=4, **small)
        hugging_face("dinov2_swiglu", transformers.Dinov2Model(giant), 14)
        from_timm("timm_dinov2", of_v2(**v2), 14)
        from_timm("timm_dinov2_reg", of_v2(reg_tokens=4, no_embed_class=True, **v2), 14)
        from_timm("timm_dinov2_swiglu", of_v2(**v2, **gated), 14)
        from_timm("timm_tipsv2", of_v2(reg_tokens=1, no_embed_class=True, **v2), 14)
        # The real sizes, as the library's own configuration has them.
        hugging_face("dinov3_small", transformers.DINOv3ViTModel(config(num_register_tokens=4)), 16)
        plus = config(num_register_tokens=4, use_gated_mlp=True, hidden_act="silu")
        hugging_face("dinov3_small_plus", transformers.DINOv3ViTModel(plus), 16)
        from_timm("timm_dinov3", of_v3(qkv_bias=False, **alike, **v3), 16)
        from_timm("timm_dinov3_qkvb", of_v3(qkv_bias=True, **alike, **v3), 16)
        plus = {"swiglu_mlp": True, "swiglu_align_to": 8}
        from_timm("timm_dinov3_swiglu", of_v3(qkv_bias=False, **alike, **v3, **plus), 16)
        _positions(found)
    np.savez_compressed(OUTPUT, **found)


def _positions(found: dict[str, np.ndarray]) -> None:
    import torch

    grid = torch.from_numpy(table().transpose(2, 0, 1)[None].copy())
    for h, w in SIZES:
        ways = {
            "offset": {"scale_factor": ((h + 0.1) / 7, (w + 0.1) / 7)},
            "plain": {"size": (h, w)},
            "antialias": {"size": (h, w), "antialias": True},
        }
        for way, arguments in ways.items():
            resized = torch.nn.functional.interpolate(grid, mode="bicubic", align_corners=False, **arguments)
            found[f"positions/{way}_{h}x{w}"] = resized[0].numpy().transpose(1, 2, 0).astype(np.float16)


if __name__ == "__main__":
    main()
