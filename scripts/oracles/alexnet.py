"""Outputs of torchvision's AlexNet with seeded weights: `tests/encoders/data/alexnet.npz`.

    python -m venv oracles && oracles/bin/pip install torch torchvision
    oracles/bin/python scripts/oracles/alexnet.py

writes the file again. Every tensor is drawn from a generator seeded by its own name, so that the tests can make the
same checkpoint without torch.
"""

import pathlib
import zlib

import numpy as np

IMAGE = (67, 80)  # no multiples of any stride
STAGES = {"pool1": 2, "pool2": 5, "conv5": 11, "pool5": 12}  # index among torchvision's `features` whose output it is
CONVOLUTIONS = {0: (64, 3, 11, 11), 3: (192, 64, 5, 5), 6: (384, 192, 3, 3), 8: (256, 384, 3, 3), 10: (256, 256, 3, 3)}
OUTPUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "encoders" / "data" / "alexnet.npz"


def tensor(name: str, shape: tuple[int, ...]) -> np.ndarray:
    """The values of a name: kernels that keep the variance before a ReLU, small biases."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    scale = 0.1 if name.endswith("bias") else np.sqrt(2 / np.prod(shape[1:]))
    return (scale * rng.standard_normal(shape, np.float32)).astype(np.float32)


def checkpoint() -> dict[str, np.ndarray]:
    """The tensors of the convolutions, by torchvision's names."""
    named = {}
    for index, shape in CONVOLUTIONS.items():
        named[f"features.{index}.weight"] = tensor(f"features.{index}.weight", shape)
        named[f"features.{index}.bias"] = tensor(f"features.{index}.bias", shape[:1])
    return named


def images() -> np.ndarray:
    """What the network is run on, normalised already, (1, H, W, 3)."""
    return np.random.default_rng(0).standard_normal((1, *IMAGE, 3)).astype(np.float32)


def main() -> None:
    """Run torchvision's network and write what it gives."""
    import torch
    import torchvision

    network = torchvision.models.alexnet(weights=None).eval()
    tensors = {name: torch.from_numpy(values) for name, values in checkpoint().items()}
    missing, unexpected = network.load_state_dict(tensors, strict=False)
    assert not unexpected and all(name.startswith("classifier.") for name in missing), (missing, unexpected)
    outputs, x = {}, torch.from_numpy(images().transpose(0, 3, 1, 2).copy())
    names = {index: name for name, index in STAGES.items()}
    with torch.no_grad():
        for index, layer in enumerate(network.features):
            # A ReLU of torchvision's works in place, so what it gives is copied.
            x = layer(x).clone()
            if index in names:
                outputs[names[index]] = x.permute(0, 2, 3, 1).numpy().astype(np.float16)
    OUTPUT.parent.mkdir(exist_ok=True)
    np.savez_compressed(OUTPUT, **outputs)


if __name__ == "__main__":
    main()
