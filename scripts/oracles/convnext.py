"""Outputs of the transformers and timm libraries for reduced ConvNeXts with seeded weights: `tests/encoders/data`.

    python -m venv oracles && oracles/bin/pip install torch torchvision timm transformers
    oracles/bin/python scripts/oracles/convnext.py

writes the two files again. Every tensor is drawn from a generator seeded by its own name, so that the tests can make
the same checkpoint without these libraries. Stages are standardised by torch's own layer_norm, without scale and shift;
`normed` is the output behind DINOv3's final norm.
"""

import pathlib
import zlib

import numpy as np

BLOCKS, CHANNELS = (1, 2, 3, 1), (8, 12, 16, 24)
IMAGE = (70, 64)  # not a multiple of any stride along the height
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "encoders" / "data"


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The weights of a name: matrices and kernels by their inputs, scales around 1, LayerScale below 1."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("gamma"):
        values = rng.uniform(0.1, 1.0, shape)
    elif name.endswith("bias"):
        values = rng.standard_normal(shape) * 0.1
    elif len(shape) == 1:
        values = rng.uniform(0.5, 1.5, shape)
    else:
        values = rng.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return values.astype(np.float32)


def images() -> np.ndarray:
    """What the network is run on, normalised already, (1, H, W, 3)."""
    return np.random.default_rng(0).standard_normal((1, *IMAGE, 3)).astype(np.float32)


def main() -> None:
    """Run both libraries and write what they give."""
    import timm.models.convnext
    import torch
    from transformers import DINOv3ConvNextConfig, DINOv3ConvNextModel

    def seeded(model: torch.nn.Module) -> torch.nn.Module:
        shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
        model.load_state_dict({name: torch.from_numpy(tensor(name, shape)) for name, shape in shapes.items()})
        return model.eval()

    def standardised(x: torch.Tensor) -> np.ndarray:
        moved = torch.nn.functional.layer_norm(x.permute(0, 2, 3, 1), x.shape[1:2], eps=1e-6)
        return moved.numpy().astype(np.float16)

    pixels = torch.from_numpy(images().transpose(0, 3, 1, 2).copy())
    with torch.no_grad():
        model = seeded(DINOv3ConvNextModel(DINOv3ConvNextConfig(hidden_sizes=list(CHANNELS), depths=list(BLOCKS))))
        outputs = model(pixels, output_hidden_states=True)
        stages = [standardised(x) for x in outputs.hidden_states if x.ndim == 4 and x.shape[1] != 3]
        side = stages[-1].shape[1:3]
        normed = outputs.last_hidden_state[:, 1:].numpy().reshape(1, *side, -1).astype(np.float16)
        _save("dinov3_convnext", stages, normed=normed)
        network = seeded(timm.models.convnext.ConvNeXt(depths=BLOCKS, dims=CHANNELS, num_classes=5))
        stages, x = [], network.stem(pixels)
        for stage in network.stages:
            x = stage(x)
            stages.append(standardised(x))
        _save("convnext", stages)


def _save(name: str, stages: list[np.ndarray], **others: np.ndarray) -> None:
    OUTPUT.mkdir(exist_ok=True)
    named = {f"stage{i}": stage for i, stage in enumerate(stages, start=1)}
    np.savez_compressed(OUTPUT / f"{name}.npz", **named, **others)


if __name__ == "__main__":
    main()
