"""The settings of the command predict, and what others have in common with them; read without JAX, as by --help."""

import dataclasses
from pathlib import Path

from fastrecon_jax import patterns, remote
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import BATCHES, PIXELS, require, require_between, require_number, setting
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import shards
from fastrecon_jax.runtime import cpu

IMAGES = (
    "image files: a path, a pattern in quotes such as 'parts/good/*.png', a folder, an address of one of these such as "
    "s3://bucket/line3/, or demo:CATEGORY for built-in ones, such as demo:gear; several with commas"
)
MODEL = "the part's file, .safetensors"
OTHER_WEIGHTS = "where the encoder's weights are, if not where they were at the fit"
DECODED = "width times height of an image up to which it is decoded"
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
