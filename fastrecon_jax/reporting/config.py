"""The settings of the command report; each field is a flag."""

import dataclasses
from pathlib import Path

from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import BATCHES, PIXELS, require, require_between, setting
from fastrecon_jax.data.images import MAX_PIXELS
from fastrecon_jax.inspection.config import DECODED, IMAGES, MODEL, OTHER_WEIGHTS, check_model

SUFFIX = ".html"


@dataclasses.dataclass(frozen=True)
class ReportConfig:
    """Settings of `python -m fastrecon_jax.report`."""

    model: str = setting("", MODEL)
    output: str = setting("", "the page to be written, .html, and a .json beside it; by default beside the part's file")
    images: str = setting(
        "", f"good {IMAGES}; needed if the part's file does not hold the pixels of those that it was fitted on"
    )
    weights: str = setting("", OTHER_WEIGHTS)
    batch_size: int = setting(8, "images that are inspected at once")
    max_pixels: int = setting(MAX_PIXELS, DECODED)
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        plugins.load_all(self.plugin)
        check_model(self)
        right = not self.output or Path(self.output).suffix == SUFFIX
        require(self, "output", right, f"it must end in {SUFFIX}")
        require_between(self, "batch_size", BATCHES)
        require_between(self, "max_pixels", PIXELS)
