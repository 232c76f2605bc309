"""The settings of `eval`: a frozen dataclass whose fields `command_line.flags` turns into flags one to one."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from fastrecon_jax import encoders, files, methods
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import (
    BATCHES,
    PIXELS,
    SIDES,
    check_list,
    require,
    require_between,
    require_once,
    setting,
)
from fastrecon_jax.data.bit_depth import AUTO, CHOICES, CONTAINER
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.data.support import FIRST, RANDOM
from fastrecon_jax.methods import settings as method_settings
from fastrecon_jax.methods.settings import COPIES_HELP
from fastrecon_jax.runtime import cpu, devices


@dataclasses.dataclass(frozen=True)
class EvalConfig:
    """Settings of `python -m fastrecon_jax.eval`."""

    dataset: str = setting(
        "",
        "demo (built in), folder (MVTec layout), or a published set: mvtec_ad, mvtec_ad_2, mvtec_loco, mpdd, visa, "
        "real_iad, real_iad_sv, btad, kolektor_sdd, magnetic_tile, elpv; by default folder with --data_dir, else demo",
    )
    data_dir: str = setting(
        "",
        "directory that holds the categories; of a published set, what scripts/prepare_data.py made or the publisher's "
        "folder or archive; for demo, where to keep it",
    )
    category: tuple[str, ...] = setting(("all",), "categories, or all")
    shots: tuple[int, ...] = setting((8,), "numbers of support images, each at least 1")
    support: str = setting(
        "",
        "first (by name), random (one draw a seed), or the path of a list, see docs/reference/protocol.md; by default "
        "first, or random where --seeds are given",
    )
    seeds: tuple[int, ...] = setting((), "seeds of the random draws; by default 0 with --support=random")
    write_support: str = setting(
        "",
        "file that gets the support that was drawn, which --support=FILE reads; without an ending, a directory in the "
        "form published with several methods",
    )
    method: tuple[str, ...] = setting(("fastrecon",), lambda: f"methods, of {', '.join(methods.names())}, or all")
    support_copies: tuple[str, ...] = setting((), COPIES_HELP)
    encoder: str = setting(
        "efficientnet_lite0",
        lambda: f"encoder, one of {', '.join(encoders.names())}; the paper's is wide_resnet50_2",
    )
    weights: str = setting(
        "",
        "a .safetensors or .pth file, package://NAME, hf://OWNER/REPOSITORY, or random (tests); "
        "by default the encoder's pretrained ones; {category} in a path stands for the category",
    )
    stages: tuple[str, ...] = setting(
        (), "encoder stages; by default those of the methods' strides: 8 and 16, for fastrecon+ 4, 8 and 16"
    )
    encoder_options: tuple[str, ...] = setting((), encoders.OPTIONS_HELP)
    image_size: int = setting(256, "side in pixels to which images are resized")
    crop_size: int = setting(224, "side in pixels of the centre that is kept")
    tile: tuple[int, ...] = setting((), encoders.TILE_HELP)
    image_score: str = setting(
        "",
        "image score: max of the patch scores, or the mean of the largest: top1p of 1 %, top0.2p of 0.2 %, and so on; "
        "by default the method's own",
    )
    batch_size: int = setting(8, "images in a batch of the encoder")
    max_pixels: int = setting(MAX_PIXELS, "width times height of an image up to which it is decoded")
    bit_depth: str = setting(
        AUTO,
        "bits that are filled of pixels with more than 8: 8, 10, 12, 14, 16; auto: by each category's training images",
    )
    dtype: str = setting("float32", "type in which the encoder computes: float32, tfloat32 (TF32 on GPUs) or bfloat16")
    feature_cache: str = setting("", "directory that keeps features, so that another method or setting encodes nothing")
    checkpoint_dir: str = setting(
        "", "directory that keeps the state of methods while they are trained, from which an interrupted run goes on"
    )
    output_dir: str = setting("", "where results go; by default results/DATASET_ENCODER_ID, the ID from the settings")
    save_maps: bool = setting(False, "write a contact sheet for each category and number of shots")
    submission: str = setting(
        "",
        "directory that gets the anomaly maps of the private test images, and their archive, as the publisher's "
        "evaluation server takes them (mvtec_ad_2)",
    )
    max_queries: int = setting(
        0, "at most this many test images a category, spread evenly; 0 for all, otherwise from 2"
    )
    mesh: str = setting("auto", "auto: each batch is split over all devices of this process; none: one device computes")
    cpu_devices: str = setting(cpu.ONE, cpu.HELP)
    distributed: str = setting(
        "auto",
        "auto: several processes where a cluster or --coordinator_address says so; off: this one alone, there too",
    )
    coordinator_address: str = setting(
        "", "with several processes and no cluster that jax knows: HOST:PORT of process 0, the same for all"
    )
    num_processes: int = setting(0, "number of processes, with --coordinator_address")
    process_id: int = setting(-1, "which of them this is, from 0; process 0 writes the results")

    settings: Mapping[str, Any] = method_settings.field()
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse values out of their range, naming the flag, and fill in what depends on other fields."""
        plugins.load_all(self.plugin)
        for name in ("category", "shots", "method"):
            check_list(self, name)
        allowed = set(self.method) <= {"all", *methods.names()}
        require(self, "method", allowed, f"allowed are {', '.join(methods.names())}, or all")
        self.method_settings()  # refuses what no method has
        require(self, "shots", min(self.shots) >= 1, "each must be at least 1")
        for name in ("support_copies", "seeds", "stages"):
            require_once(self, name)
        method_settings.check_support_copies(self)
        require(self, "tile", len(self.tile) in (0, 2), "it must be SIZE,OVERLAP, in pixels")
        allowed = all(0 <= seed < 2**32 for seed in self.seeds)
        require(self, "seeds", allowed, f"each must be from 0 to {2**32 - 1}")
        require(self, "seeds", not self.seeds or self.support in ("", RANDOM), "seeds belong to --support=random")
        for name, bounds in (("image_size", SIDES), ("batch_size", BATCHES), ("max_pixels", PIXELS)):
            require_between(self, name, bounds)
        allowed = 32 <= self.crop_size <= self.image_size
        require(self, "crop_size", allowed, f"it must be from 32 to --image_size={self.image_size}")
        method_settings.check_image_score(self)
        require(self, "max_queries", self.max_queries == 0 or self.max_queries > 1, "it must be 0 (all) or at least 2")
        require(self, "bit_depth", self.bit_depth in CHOICES, f"it must be one of {', '.join(CHOICES)}")
        require(self, "mesh", self.mesh in devices.CHOICES, f"it must be one of {', '.join(devices.CHOICES)}")
        require(self, "cpu_devices", cpu.allowed(self.cpu_devices), cpu.RULE)
        self._check_processes()
        support = self.support or (RANDOM if self.seeds else FIRST)
        object.__setattr__(self, "support", support)
        object.__setattr__(self, "seeds", self.seeds or ((0,) if support == RANDOM else ()))
        for name in ("data_dir", "feature_cache", "checkpoint_dir", "output_dir", "write_support", "submission"):
            if path := getattr(self, name):
                object.__setattr__(self, name, str(files.expanded(path, name)))

    def _check_processes(self) -> None:
        """The three flags that name the processes stand together or not at all."""
        require(self, "distributed", self.distributed in ("auto", "off"), "it must be one of auto, off")
        alone = self.distributed == "auto" or not self.coordinator_address
        require(self, "distributed", alone, "--coordinator_address names other processes")
        if not self.coordinator_address:
            for name, default in (("num_processes", 0), ("process_id", -1)):
                alone = getattr(self, name) == default
                require(self, name, alone, "it needs --coordinator_address=HOST:PORT of process 0")
            return
        host, _, port = self.coordinator_address.rpartition(":")
        allowed = bool(host) and port.isdecimal() and 0 < int(port) < 2**16
        require(self, "coordinator_address", allowed, "it must be HOST:PORT")
        require(self, "num_processes", self.num_processes >= 1, "--coordinator_address needs it, at least 1")
        allowed = 0 <= self.process_id < self.num_processes
        require(self, "process_id", allowed, f"it must be from 0 to {self.num_processes - 1}")

    @property
    def preprocessing(self) -> Preprocessing:
        """How images are decoded, resized and cropped for the encoder; `setup.of_category` says what `auto` means."""
        depth = CONTAINER if self.bit_depth == AUTO else int(self.bit_depth)
        return Preprocessing(self.image_size, self.crop_size, self.max_pixels, bit_depth=depth)

    def method_names(self) -> tuple[str, ...]:
        """The methods to run."""
        return methods.names() if self.method == ("all",) else self.method

    def method_settings(self) -> dict[str, Any]:
        """The settings of each method, instances of their dataclasses."""
        return method_settings.bind(self.method_names(), self.settings)
