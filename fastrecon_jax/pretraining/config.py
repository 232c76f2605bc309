"""The settings of `pretrain`: a frozen dataclass whose fields `command_line.flags` turns into flags one to one."""

import dataclasses
from typing import Any, NamedTuple

from fastrecon_jax import files
from fastrecon_jax.command_line.fields import (
    BATCHES,
    PIXELS,
    SIDES,
    require,
    require_between,
    require_number,
    setting,
)
from fastrecon_jax.data.bit_depth import CONTAINER
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.encoders.meta_training import CATEGORY

ALL = "all"
METHODS = ("regad",)
DTYPES = ("float32", "tfloat32")
STRIDE = 16  # of the last stage, of which sides must be multiples
_MOST = 10_000


class Preset(NamedTuple):
    """Sizes that belong together.

    Attributes:
        image_size: side to which images are resized, in pixels.
        crop_size: side of the centre that is kept, in pixels.
        batch_size: images of a step.
        epochs: how often each image is seen.
        learning_rate: that of the first epoch, of the encoder.
        head_learning_rate: the same of the Siamese head.
        clip: largest norm of the gradient of either; 0 for any.
    """

    image_size: int
    crop_size: int
    batch_size: int
    epochs: int
    learning_rate: float
    head_learning_rate: float
    clip: float


# The head's 0.05 is SimSiam's; with the encoder's 0.003 it learns nothing in a hundred steps.
PRESETS = {"small": Preset(128, 112, 16, 10, 3e-3, 5e-2, 1.0), "paper": Preset(224, 224, 32, 50, 1e-4, 1e-4, 0.0)}


@dataclasses.dataclass(frozen=True)
class PretrainConfig:
    """Settings of `python -m fastrecon_jax.pretrain`."""

    leave_out: str = setting(
        "", "the category that will be tested; or all, to train one file for each category of the data set"
    )
    output: str = setting(
        f"regad_{CATEGORY}.safetensors",
        f"file of the weights, in whose name {CATEGORY} stands for the category left out",
    )
    method: str = setting("regad", "method to meta-train for: regad")
    dataset: str = setting("", "as of eval: demo (built in), folder (MVTec layout), or a published set")
    data_dir: str = setting("", "as of eval: directory that holds the categories")
    weights: str = setting(
        "", "weights of resnet18 to begin with: a file, package://NAME, hf://OWNER/REPOSITORY or random (tests)"
    )
    trained_preset: str = setting(
        "small", "sizes that are not given: small, a few minutes a category on two cores; or paper, the authors'"
    )
    shots: int = setting(2, "other images over which the support of each image is averaged, at least 1")
    image_size: int = setting(0, "side in pixels to which images are resized; 0 by preset: 128, or 224")
    crop_size: int = setting(0, "side in pixels of the centre that is kept; 0 by preset: 112, or 224")
    batch_size: int = setting(0, "images of a step, all of one category; 0 by preset: 16, or 32")
    epochs: int = setting(0, "how often each image is seen; 0 by preset: 10, or 50")
    learning_rate: float = setting(0.0, "that of the first epoch, of the encoder; 0 by preset: 0.003, or 0.0001")
    head_learning_rate: float = setting(0.0, "the same of the Siamese head; 0 by preset: 0.05, or 0.0001")
    clip: float = setting(0.0, "largest norm of the gradients of encoder and head, each; 0 by preset: 1, or none")
    seed: int = setting(0, "seed of the batches")
    dtype: str = setting("float32", "type of the computation: float32, or tfloat32 (TF32 on GPUs)")
    max_pixels: int = setting(MAX_PIXELS, "width times height of an image up to which it is decoded")

    def __post_init__(self):
        """Refuse values out of their range, naming the flag, and fill in what the preset says."""
        require(self, "method", self.method in METHODS, f"allowed is {', '.join(METHODS)}")
        require(self, "leave_out", bool(self.leave_out), f"it must be a category, or {ALL}")
        allowed = self.leave_out != ALL or CATEGORY in self.output
        require(self, "output", allowed, f"--leave_out={ALL} needs {CATEGORY} in it, since it writes several files")
        require(self, "output", self.output.endswith(".safetensors"), "it must end in .safetensors")
        require(self, "trained_preset", self.trained_preset in PRESETS, f"it must be one of {', '.join(PRESETS)}")
        require(self, "dtype", self.dtype in DTYPES, f"it must be one of {', '.join(DTYPES)}")
        for name, value in PRESETS[self.trained_preset]._asdict().items():
            if not getattr(self, name):
                object.__setattr__(self, name, value)
        for name, bounds in (("image_size", SIDES), ("batch_size", BATCHES), ("epochs", (1, _MOST))):
            require_between(self, name, bounds)
        require_between(self, "max_pixels", PIXELS)
        require_between(self, "seed", (0, 2**32 - 1))
        for name in ("learning_rate", "head_learning_rate"):
            require_number(self, name, above=0, at_most=1e3)
        require_number(self, "clip", at_least=0, at_most=1e6)
        allowed = 32 <= self.crop_size <= self.image_size
        require(self, "crop_size", allowed, f"it must be from 32 to --image_size={self.image_size}")
        require(self, "crop_size", self.crop_size % STRIDE == 0, f"it must be a multiple of {STRIDE}")
        allowed = 1 <= self.shots < self.batch_size
        require(self, "shots", allowed, f"it must be from 1 to {self.batch_size - 1}, one less than --batch_size")
        for name in ("data_dir", "output"):
            if path := getattr(self, name):
                object.__setattr__(self, name, str(files.expanded(path, name)))

    def preprocessing(self, depth: int = CONTAINER) -> Preprocessing:
        """How images are decoded, resized and cropped, with so many bits filled of pixels of more than 8."""
        return Preprocessing(self.image_size, self.crop_size, self.max_pixels, bit_depth=depth)

    def deciding(self) -> dict[str, Any]:
        """What decides the weights beside the images and the weights that training begins with."""
        names = ("shots", *Preset._fields, "seed", "dtype")
        return {"preset": self.trained_preset} | {name: getattr(self, name) for name in names}
