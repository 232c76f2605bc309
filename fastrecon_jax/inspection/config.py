"""The settings of the commands fit, extend and predict; each field is a flag."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from fastrecon_jax import encoders, methods, patterns, remote
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import (
    BATCHES,
    PIXELS,
    require,
    require_between,
    require_number,
    require_once,
    setting,
)
from fastrecon_jax.data import bit_depth
from fastrecon_jax.data.geometry import KEEP
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import shards
from fastrecon_jax.methods import settings as method_settings
from fastrecon_jax.parts import area
from fastrecon_jax.runtime import cpu

IMAGES = (
    "image files: a path, a pattern in quotes such as 'parts/good/*.png', a folder, an address of one of these such as "
    "s3://bucket/line3/, or demo:CATEGORY for built-in ones, such as demo:gear; several with commas"
)
MODEL = "the part's file, .safetensors"
CALIBRATION_TIME = "seconds that the calibration may take, about; where that is too short, it holds out more at a time"
OTHER_WEIGHTS = "where the encoder's weights are, if not where they were at the fit"
WEIGHTS = (
    "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
    "by default the encoder's pretrained ones"
)
BIT_DEPTH = (
    "bits that the camera fills of pixels with more than 8: 8, 10, 12, 14 or 16; auto finds them from the good images"
)
DECODED = "width times height of an image up to which it is decoded"
RESIZE = (
    "keep: the whole image in its proportions; stretch: the whole image, as a square; crop: the centre of that square, "
    "as published"
)
IMAGE_SIZE = "side in pixels to which images are resized; the longer one with --resize=keep"
CROP_SIZE = "with --resize=crop, side in pixels of the centre that is inspected; by default 7/8 of image_size"
ALL, SUSPICIOUS, NONE = OVERLAYS = ("all", "suspicious", "none")
PNG, JPG = PICTURES = ("png", "jpg")
AUTO = "auto"
RAY = "ray"
CLUSTERS = (RAY,)
_INTERVAL = 0.5  # seconds


def check_path(settings: object, name: str, meant: str) -> None:
    """Refuse a field that is empty, where a path is meant."""
    if not getattr(settings, name):
        raise InputError(f"--{name} is missing: pass {meant}")


def check_model(settings: object, name: str = "model") -> None:
    """Refuse the name of a part's file that is empty or ends in something else than .safetensors."""
    check_path(settings, name, MODEL)
    right = Path(getattr(settings, name)).suffix == ".safetensors"
    require(settings, name, right, "it must end in .safetensors")


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


@dataclasses.dataclass(frozen=True)
class PredictConfig:
    """Settings of `python -m fastrecon_jax.predict`."""

    model: str = setting("", "files of parts, .safetensors: a path or a pattern in quotes; several with commas")
    images: str = setting("", IMAGES)
    output_dir: str = setting("", "where results go: results.csv, results.jsonl, index.html, overlays; new or empty")
    part: str = setting(
        AUTO, "which of several parts to inspect by; auto picks one for each image, by name or likeness"
    )
    target_fpr: float | None = setting(
        None, "share of good parts that may be judged defective, above 0 and below 1, instead of that of the fit"
    )
    threshold: float | None = setting(
        None,
        "image score above which an image is defective, above 0, instead of that of the fit, for each of the parts",
    )
    weights: str = setting("", OTHER_WEIGHTS)
    overlays: str | None = setting(
        None,
        "pictures with the map and the regions, of all images, of the suspicious, or none; by default all, with "
        "--engine_cluster none",
    )
    overlay_format: str | None = setting(
        None, "format of these pictures: png (the default), or jpg, a sixth of the size and quicker"
    )
    batch_size: int = setting(8, "images that are inspected at once")
    cpu_devices: str = setting(cpu.ONE, cpu.HELP)
    shard: str = setting(
        "", "i/n, from 1/n to n/n: the i-th of n shares of the images alone, into a folder of its own in output_dir"
    )
    engine_cluster: str = setting("", "ray: inspect by the workers of a Ray cluster, into Parquet files")
    cluster_address: str = setting(
        "", "of the cluster, such as auto or ray://head:10001; by default this machine is one"
    )
    workers: int = setting(0, "with --engine_cluster: at most so many; 0 for as many as it has room for")
    cpus_per_worker: int = setting(1, "with --engine_cluster: cores of each worker")
    gpus_per_worker: float = setting(0.0, "with --engine_cluster: GPUs of each worker, or a part of one")
    watch: bool = setting(False, "go on inspecting images as they arrive, until Ctrl-C")
    interval: float | None = setting(None, "with --watch: seconds between two looks for new images, by default 0.5")
    max_pixels: int = setting(MAX_PIXELS, DECODED)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        plugins.load_all(self.plugin)
        check_path(self, "model", "the files of one or more parts; python -m fastrecon_jax.fit makes them")
        check_path(self, "images", "the images to inspect, such as --images='line3/*.png'")
        check_path(self, "output_dir", "a directory for the results")
        check_path(self, "part", "the name of a part, or auto")
        if self.target_fpr is not None:
            require(self, "target_fpr", 0 < self.target_fpr < 1, "it must be above 0 and below 1")
            require(self, "target_fpr", self.threshold is None, "--threshold stands instead of it")
        if self.threshold is not None:
            require_number(self, "threshold", above=0)
        places = [*patterns.split(self.images), self.output_dir]
        here = not any(map(remote.is_remote, places))
        require(self, "watch", here or not self.watch, "it looks at folders of this machine, and writes there")
        if self.shard:
            shards.parse(self.shard)
            require(self, "watch", not self.watch, "--shard divides the images that are there at the start")
        self._check_cluster()
        require(self, "overlays", self.overlays in (None, *OVERLAYS), f"allowed are {', '.join(OVERLAYS)}")
        if self.overlays is None:
            object.__setattr__(self, "overlays", NONE if self.engine_cluster else ALL)
        for name, default, used, needs in (
            ("overlay_format", PNG, self.overlays != NONE, "--overlays=all or suspicious"),
            ("interval", _INTERVAL, self.watch, "--watch"),
        ):
            require(self, name, used or getattr(self, name) is None, f"it needs {needs}")
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)
        allowed = self.overlay_format in PICTURES
        require(self, "overlay_format", allowed, f"allowed are {', '.join(PICTURES)}")
        require_between(self, "batch_size", BATCHES)
        require(self, "cpu_devices", cpu.allowed(self.cpu_devices), cpu.RULE)
        require(self, "interval", 0 < self.interval <= 3600, "it must be above 0 and at most 3600")
        require_between(self, "max_pixels", PIXELS)

    @property
    def judging(self) -> dict[str, float]:
        """What parts judge by instead of their own limits, by the flag, where it is given."""
        given = {"target_fpr": self.target_fpr, "threshold": self.threshold}
        return {name: value for name, value in given.items() if value is not None}

    def _check_cluster(self) -> None:
        """Refuse the flags of a cluster without one, and with one those that it does not heed."""
        cluster = self.engine_cluster
        require(self, "engine_cluster", cluster in ("", *CLUSTERS), f"allowed are {', '.join(CLUSTERS)}")
        require(self, "workers", 0 <= self.workers <= 10**6, "it must be from 0 to 1000000")
        require(self, "cpus_per_worker", 1 <= self.cpus_per_worker <= 1024, "it must be from 1 to 1024")
        require_number(self, "gpus_per_worker", at_least=0, at_most=64)
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        for name in ("cluster_address", "workers", "cpus_per_worker", "gpus_per_worker"):
            require(self, name, bool(cluster) or getattr(self, name) == defaults[name], "it needs --engine_cluster")
        for name in ("part", "overlays", "shard", "watch", "cpu_devices"):
            same = getattr(self, name) in (defaults[name], NONE)
            require(self, name, not cluster or same, f"--engine_cluster={cluster} has no use for it")
