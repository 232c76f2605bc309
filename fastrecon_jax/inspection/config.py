"""The settings of the commands fit, extend and predict; each field is a flag."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fastrecon_jax import encoders, methods
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import PIXELS, require, require_between, require_once, setting
from fastrecon_jax.data import bit_depth
from fastrecon_jax.data.geometry import KEEP
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.inspection.predict_config import (
    DECODED,
    IMAGES,
    MODEL,
    OTHER_WEIGHTS,
    PredictConfig,
    check_model,
    check_path,
)
from fastrecon_jax.methods import settings as method_settings
from fastrecon_jax.parts import area

__all__ = (
    "DECODED",
    "IMAGES",
    "MODEL",
    "OTHER_WEIGHTS",
    "ExtendConfig",
    "FitConfig",
    "PredictConfig",
    "check_model",
    "check_path",
)
CALIBRATION_TIME = "seconds that the calibration may take, about; where that is too short, it holds out more at a time"
WEIGHTS = (
    "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
    "by default the encoder's pretrained ones"
)
BIT_DEPTH = (
    "bits that the camera fills of pixels with more than 8: 8, 10, 12, 14 or 16; auto finds them from the good images"
)
RESIZE = (
    "keep: the whole image in its proportions; stretch: the whole image, as a square; crop: the centre of that square, "
    "as published"
)
IMAGE_SIZE = "side in pixels to which images are resized; the longer one with --resize=keep"
CROP_SIZE = "with --resize=crop, side in pixels of the centre that is inspected; by default 7/8 of image_size"


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """Settings of `python -m fastrecon_jax.fit`."""

    images: str = setting("", f"good {IMAGES}")
    model: str = setting("", f"{MODEL}, to be written; one that is there is replaced")
    name: str = setting("", "name of the part; by default that of the file")
    method: str = setting("fastrecon+", lambda: f"method, one of {', '.join(methods.feature_names())}")
    target_fpr: float = setting(0.01, "share of good parts that may be judged defective, above 0 and below 1")
    encoder: str = setting("efficientnet_lite0", lambda: f"encoder, one of {', '.join(encoders.names())}")
    weights: str = setting("", WEIGHTS)
    stages: tuple[str, ...] = setting(
        (), "encoder stages; by default those of the method's strides: 8 and 16, for fastrecon+ 4, 8 and 16"
    )
    encoder_options: tuple[str, ...] = setting((), encoders.OPTIONS_HELP)
    dtype: str = setting("float32", "type in which the encoder computes: float32, tfloat32 (TF32 on GPUs) or bfloat16")
    resize: str = setting(KEEP, RESIZE)
    image_size: int = setting(256, IMAGE_SIZE)
    crop_size: int = setting(0, CROP_SIZE)
    tile: tuple[int, ...] = setting((), encoders.TILE_HELP)
    image_score: str = setting(
        "",
        "max of the patch scores, or the mean of the largest: top1p of 1 %, top0.2p of 0.2 %, and so on; by default "
        "the method's",
    )
    region: tuple[int, ...] = setting(
        (), "x,y,width,height in pixels of the good images: all that is inspected; by default the whole image"
    )
    ignore: str = setting(
        "", "an image of the same proportions as the good ones, white or opaque where they are never scored"
    )
    support_copies: tuple[str, ...] = setting((), method_settings.COPIES_HELP)
    extendable: bool = setting(True, "keep the images' features and pixels, so that more images can be added")
    bit_depth: str = setting(bit_depth.AUTO, BIT_DEPTH)
    max_seconds: float = setting(60.0, CALIBRATION_TIME)
    max_images: int = setting(1000, "at most this many images")
    max_pixels: int = setting(MAX_PIXELS, DECODED)
    settings: Mapping[str, Any] = method_settings.field()
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        plugins.load_all(self.plugin)
        check_path(self, "images", "the good images, such as --images='parts/good/*.png'")
        check_model(self)
        require(self, "method", self.method in methods.names(), f"allowed are {', '.join(methods.feature_names())}")
        methods.check_makes_parts(self.method)
        self.method_settings()  # refuses what the method does not have
        require(self, "target_fpr", 0 < self.target_fpr < 1, "it must be above 0 and below 1")
        for name in ("stages", "support_copies"):
            require_once(self, name)
        method_settings.check_support_copies(self)
        require(self, "tile", len(self.tile) in (0, 2), "it must be SIZE,OVERLAP, in pixels")
        area.crop_size(self.resize, self.image_size, self.crop_size)  # refuses what is not possible
        require(self, "region", len(self.region) in (0, 4), "it must be x,y,width,height")
        method_settings.check_image_score(self)
        allowed = self.bit_depth in bit_depth.CHOICES
        require(self, "bit_depth", allowed, f"allowed are {', '.join(bit_depth.CHOICES)}")
        require(self, "max_seconds", self.max_seconds > 0, "it must be above 0")
        require(self, "max_images", self.max_images >= 1, "it must be at least 1")
        require_between(self, "max_pixels", PIXELS)

    def method_settings(self) -> Any:
        """The settings of the method, an instance of its dataclass."""
        return method_settings.bind((self.method,), self.settings)[self.method]


@dataclasses.dataclass(frozen=True)
class ExtendConfig:
    """Settings of `python -m fastrecon_jax.extend`."""

    model: str = setting("", f"{MODEL}; it is replaced when all is done")
    images: str = setting("", f"more good {IMAGES}")
    output: str = setting("", "where the extended part goes, if not into the same file")
    weights: str = setting("", OTHER_WEIGHTS)
    max_seconds: float = setting(60.0, CALIBRATION_TIME)
    max_images: int = setting(1000, "at most this many images in all")
    max_pixels: int = setting(MAX_PIXELS, DECODED)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        plugins.load_all(self.plugin)
        check_model(self)
        if self.output:
            check_model(self, "output")
        check_path(self, "images", "more good images, such as --images='parts/more/*.png'")
        require(self, "max_seconds", self.max_seconds > 0, "it must be above 0")
        require(self, "max_images", self.max_images >= 1, "it must be at least 1")
        require_between(self, "max_pixels", PIXELS)
