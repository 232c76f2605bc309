"""The settings of the commands for parts; `flags` turns each field into a flag."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrecon_jax import encoders, methods
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import require, setting
from fastrecon_jax.core.scoring import IMAGE_SCORES
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.errors import InputError
from fastrecon_jax.exporting import FORMATS
from fastrecon_jax.methods import settings as method_settings

_IMAGES = "image files: a path, a pattern in quotes such as 'parts/good/*.png', or a folder; several with commas"
_MODEL = "the part's file, .safetensors"
_WEIGHTS = "where the encoder's weights are, if not where they were at the fit"
ALL, SUSPICIOUS, NONE = OVERLAYS = ("all", "suspicious", "none")
PNG, JPG = PICTURES = ("png", "jpg")
AUTO = "auto"
_MAX_PIXELS = "width times height of an image up to which it is decoded"


def check_path(settings: object, name: str, what: str) -> None:
    """Refuse a path that is missing.

    Args:
        settings: the dataclass that holds it.
        name: of the field.
        what: is meant by it.

    Raises:
        InputError: it is empty.
    """
    if not getattr(settings, name):
        raise InputError(f"--{name} is missing: pass {what}")


def check_model(settings: object, name: str = "model") -> None:
    """Refuse a file name that is missing or ends in something else than .safetensors.

    Args:
        settings: the dataclass that holds it.
        name: of the field.

    Raises:
        InputError: it is one of these.
    """
    check_path(settings, name, _MODEL)
    right = Path(getattr(settings, name)).suffix == ".safetensors"
    require(settings, name, right, "it must end in .safetensors")


@dataclasses.dataclass(frozen=True)
class FitConfig:
    """Settings of `python -m fastrecon_jax.fit`."""

    images: str = setting("", f"good {_IMAGES}")
    model: str = setting("", f"{_MODEL}, to be written; one that is there is replaced")
    name: str = setting("", "of the part; by default that of the file")
    method: str = setting("fastrecon+", lambda: f"method, one of {', '.join(methods.names())}")
    target_fpr: float = setting(0.01, "share of good parts that may be judged defective, above 0 and below 1")
    encoder: str = setting("efficientnet_lite0", lambda: f"encoder, one of {', '.join(encoders.names())}")
    weights: str = setting(
        "",
        "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
        "by default the encoder's pretrained ones",
    )
    stages: tuple[str, ...] = setting(
        (), "encoder stages; by default those of the method's strides: 8 and 16, for fastrecon+ 4, 8 and 16"
    )
    dtype: str = setting("float32", "of the encoder: float32, tfloat32 (TF32 on GPUs) or bfloat16")
    image_size: int = setting(256, "side in pixels to which images are resized")
    crop_size: int = setting(224, "side in pixels of the centre that is inspected")
    image_score: str = setting(
        "", "max of the patch scores, or top1p, the mean of the largest 1 %; by default the method's"
    )
    extendable: bool = setting(True, "keep the images' features in the file, so that more images can be added")
    max_images: int = setting(100, "at most this many images")
    max_pixels: int = setting(MAX_PIXELS, _MAX_PIXELS)
    settings: Mapping[str, Any] = method_settings.field()
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        plugins.load_all(self.plugin)
        check_path(self, "images", "the good images, such as --images='parts/good/*.png'")
        check_model(self)
        require(self, "method", self.method in methods.names(), f"allowed are {', '.join(methods.names())}")
        self.method_settings()  # refuses what the method does not have
        require(self, "target_fpr", 0 < self.target_fpr < 1, "it must be above 0 and below 1")
        allowed = 32 <= self.image_size <= 4096
        require(self, "image_size", allowed, "it must be from 32 to 4096")
        allowed = 32 <= self.crop_size <= self.image_size
        require(self, "crop_size", allowed, f"it must be from 32 to --image_size={self.image_size}")
        require(self, "image_score", self.image_score in ("", *IMAGE_SCORES), f"allowed are {', '.join(IMAGE_SCORES)}")
        for name in ("max_images", "max_pixels"):
            require(self, name, getattr(self, name) >= 1, "it must be at least 1")

    def method_settings(self) -> Any:
        """The settings of the method, an instance of its dataclass."""
        return method_settings.bind((self.method,), self.settings)[self.method]


@dataclasses.dataclass(frozen=True)
class ExtendConfig:
    """Settings of `python -m fastrecon_jax.extend`."""

    model: str = setting("", f"{_MODEL}; it is replaced when all is done")
    images: str = setting("", f"more good {_IMAGES}")
    output: str = setting("", "where the extended part goes, if not into the same file")
    weights: str = setting("", _WEIGHTS)
    max_images: int = setting(100, "at most this many images in all")
    max_pixels: int = setting(MAX_PIXELS, _MAX_PIXELS)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        plugins.load_all(self.plugin)
        check_model(self)
        if self.output:
            check_model(self, "output")
        check_path(self, "images", "more good images, such as --images='parts/more/*.png'")
        for name in ("max_images", "max_pixels"):
            require(self, name, getattr(self, name) >= 1, "it must be at least 1")


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Settings of `python -m fastrecon_jax.predict`."""

    model: str = setting("", "files of parts, .safetensors: a path or a pattern in quotes; several with commas")
    images: str = setting("", _IMAGES)
    output_dir: str = setting("", "where results go: results.csv, results.jsonl, index.html, overlays; new or empty")
    part: str = setting(
        AUTO, "of several parts the one to inspect by; auto picks one for each image, by name or likeness"
    )
    weights: str = setting("", _WEIGHTS)
    overlays: str = setting(ALL, "pictures with the map and the regions, of all images, of the suspicious, or none")
    overlay_format: str = setting(PNG, "of these pictures: png, or jpg, a sixth of the size and quicker")
    batch_size: int = setting(8, "images that are inspected at once")
    watch: bool = setting(False, "go on inspecting images as they arrive, until Ctrl-C")
    interval: float = setting(0.5, "seconds between two looks for new images")
    max_pixels: int = setting(MAX_PIXELS, _MAX_PIXELS)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        plugins.load_all(self.plugin)
        check_path(self, "model", "the files of one or more parts; python -m fastrecon_jax.fit makes them")
        check_path(self, "images", "the images to inspect, such as --images='line3/*.png'")
        check_path(self, "output_dir", "a directory for the results")
        check_path(self, "part", "the name of a part, or auto")
        for name, allowed in (("overlays", OVERLAYS), ("overlay_format", PICTURES)):
            require(self, name, getattr(self, name) in allowed, f"allowed are {', '.join(allowed)}")
        require(self, "batch_size", 1 <= self.batch_size <= 4096, "it must be from 1 to 4096")
        require(self, "interval", 0 < self.interval <= 3600, "it must be above 0 and at most 3600")
        require(self, "max_pixels", self.max_pixels >= 1, "it must be at least 1")


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Settings of `python -m fastrecon_jax.export`."""

    model: str = setting("", _MODEL)
    format: str = setting("onnx", f"of the file: {' or '.join(FORMATS)}")
    output: str = setting("", "the file to be written; one that is there is replaced")
    width: int = setting(0, "of the images, in pixels; by default that of the good images")
    height: int = setting(0, "likewise")
    images: str = setting("", f"{_IMAGES}, to check on; by default the good images where they still are")
    weights: str = setting("", _WEIGHTS)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        check_model(self)
        plugins.load_all(self.plugin)
        require(self, "format", self.format in FORMATS, f"allowed are {', '.join(FORMATS)}")
        check_path(self, "output", f"the file to be written, such as --output=part.{self.format}")
        for name in ("width", "height"):
            require(
                self, name, 0 <= getattr(self, name) <= 32768, "it must be from 1 to 32768, or 0 for the images' own"
            )
        require(self, "width", bool(self.width) == bool(self.height), "--width and --height go together")


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """Settings of `python -m fastrecon_jax.demo`."""

    host: str = setting("127.0.0.1", "address to listen on; with another one, everyone who reaches it can use the demo")
    port: int = setting(7860, "to listen on; 0 for any that is free")
    model: str = setting("", f"{_MODEL}, to open with; by default a part of the built-in data is fitted")
    method: str = setting(
        "fastrecon+", lambda: f"method for parts that are fitted here, one of {', '.join(methods.names())}"
    )
    target_fpr: float = setting(0.01, "share of good parts that may be judged defective, above 0 and below 1")
    encoder: str = setting("efficientnet_lite0", lambda: f"encoder, one of {', '.join(encoders.names())}")
    weights: str = setting(
        "",
        "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
        "by default the encoder's pretrained ones",
    )
    image_size: int = setting(256, "side in pixels to which images are resized")
    crop_size: int = setting(224, "side in pixels of the centre that is inspected")
    max_images: int = setting(32, "at most this many good images")
    max_upload_mb: int = setting(50, "size in MB of an upload")
    max_pixels: int = setting(MAX_PIXELS, _MAX_PIXELS)
    open_browser: bool = setting(False, "open the page in the browser")
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        plugins.load_all(self.plugin)
        require(self, "host", bool(self.host), "pass an address, such as 127.0.0.1")
        require(self, "port", 0 <= self.port < 2**16, "it must be from 0 (any that is free) to 65535")
        if self.model:
            check_model(self)
        require(self, "method", self.method in methods.names(), f"allowed are {', '.join(methods.names())}")
        require(self, "target_fpr", 0 < self.target_fpr < 1, "it must be above 0 and below 1")
        require(self, "image_size", 32 <= self.image_size <= 4096, "it must be from 32 to 4096")
        allowed = 32 <= self.crop_size <= self.image_size
        require(self, "crop_size", allowed, f"it must be from 32 to --image_size={self.image_size}")
        for name in ("max_images", "max_upload_mb", "max_pixels"):
            require(self, name, getattr(self, name) >= 1, "it must be at least 1")
