"""The settings of the command demo; each field is a flag."""

import dataclasses

from fastrecon_jax import encoders, methods
from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import PIXELS, require, require_between, setting
from fastrecon_jax.data.geometry import KEEP
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.inspection.config import CROP_SIZE, DECODED, IMAGE_SIZE, MODEL, RESIZE, WEIGHTS, check_model
from fastrecon_jax.parts import area
from fastrecon_jax.serving import access


@dataclasses.dataclass(frozen=True)
class DemoConfig:
    """Settings of `python -m fastrecon_jax.demo`."""

    host: str = setting("127.0.0.1", "address to listen on; with another one, everyone who reaches it can use the demo")
    port: int = setting(7860, "port to listen on; 0 for any that is free")
    allowed_hosts: tuple[str, ...] = setting(
        (),
        "more names by which the demo may be called, with commas, beside localhost, --host and this computer's IP "
        "addresses where it listens on them; * for any, by which pages of other sites may reach it too",
    )
    model: str = setting("", f"{MODEL}, to open with; by default a part of the built-in data is fitted")
    method: str = setting(
        "fastrecon+", lambda: f"method for parts that are fitted here, one of {', '.join(methods.feature_names())}"
    )
    target_fpr: float = setting(0.01, "share of good parts that may be judged defective, above 0 and below 1")
    encoder: str = setting("efficientnet_lite0", lambda: f"encoder, one of {', '.join(encoders.names())}")
    weights: str = setting("", WEIGHTS)
    resize: str = setting(KEEP, RESIZE)
    image_size: int = setting(256, IMAGE_SIZE)
    crop_size: int = setting(0, CROP_SIZE)
    max_images: int = setting(32, "at most this many good images")
    max_upload_mb: int = setting(50, "size in MB of an upload")
    max_stored_mb: int = setting(4000, "size in MB of all uploads and parts kept at a time, each for an hour")
    max_pixels: int = setting(MAX_PIXELS, DECODED)
    open_browser: bool = setting(False, "open the page in the browser")
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse values out of their range, naming the flag."""
        plugins.load_all(self.plugin)
        require(self, "host", bool(self.host), "pass an address, such as 127.0.0.1")
        known = all(map(access.is_name, self.allowed_hosts))
        require(self, "allowed_hosts", known, "pass names such as demo.example, without http:// and without a port")
        require(self, "port", 0 <= self.port < 2**16, "it must be from 0 (any that is free) to 65535")
        if self.model:
            check_model(self)
        require(self, "method", self.method in methods.names(), f"allowed are {', '.join(methods.feature_names())}")
        methods.check_makes_parts(self.method)
        require(self, "target_fpr", 0 < self.target_fpr < 1, "it must be above 0 and below 1")
        area.crop_size(self.resize, self.image_size, self.crop_size)  # refuses what is not possible
        for name in ("max_images", "max_upload_mb", "max_stored_mb"):
            require(self, name, getattr(self, name) >= 1, "it must be at least 1")
        require_between(self, "max_pixels", PIXELS)
