"""The settings of the command export; each field is a flag."""

import dataclasses

from fastrecon_jax.command_line import plugins
from fastrecon_jax.command_line.fields import require, setting
from fastrecon_jax.exporting import FORMATS
from fastrecon_jax.inspection.config import IMAGES, MODEL, OTHER_WEIGHTS, check_model, check_path


@dataclasses.dataclass(frozen=True)
class ExportConfig:
    """Settings of `python -m fastrecon_jax.export`."""

    model: str = setting("", MODEL)
    format: str = setting("onnx", f"of the file: {' or '.join(FORMATS)}")
    output: str = setting("", "the file to be written; one that is there is replaced")
    width: int = setting(0, "of the images, in pixels; by default that of the good images")
    height: int = setting(0, "likewise")
    images: str = setting("", f"{IMAGES}, to check on; by default the good images where they still are")
    weights: str = setting("", OTHER_WEIGHTS)
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
