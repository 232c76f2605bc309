"""For notebooks: `FastRecon.fit(images).score(images)`."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.methods.settings import MethodSettings
from fastrecon_jax.parts import auto_settings, inspector, part_file, photos
from fastrecon_jax.parts import part as parts
from fastrecon_jax.parts.engine import Recipe, open_engine
from fastrecon_jax.parts.inspector import Finding, Inspector
from fastrecon_jax.parts.photos import Photo, Source


class FastRecon:
    """A part, fitted on a few good images.

    Images are paths, NumPy arrays (H, W), (H, W, 3) or (H, W, 4) of uint8 or uint16, or Pillow's images, in any mix; a
    single one of them, or an array (n, H, W, 3), does too.

    Attributes:
        warnings: what the good images gave cause to doubt, sentences; empty for a part from a file.
    """

    def __init__(self, fitted: Inspector, warnings: Sequence[str] = ()):
        self._inspector = fitted
        self.warnings = tuple(warnings)

    @classmethod
    def fit(
        cls,
        images: Source | Sequence[Source],
        *,
        name: str = "part",
        method: str = "fastrecon+",
        settings: MethodSettings | None = None,
        target_fpr: float = 0.01,
        encoder: str = "efficientnet_lite0",
        weights: str = "",
        stages: Sequence[str] = (),
        dtype: str = "float32",
        image_size: int = 256,
        crop_size: int = 224,
        image_score: str = "",
    ) -> "FastRecon":
        """Fit and calibrate a part.

        Args:
            images: good ones, at least one.
            name: of the part.
            method: fastrecon+, fastrecon, patchcore, padim, spade, subspace or nearest.
            settings: of the method; its authors' by default.
            target_fpr: share of good images that may be judged defective.
            encoder: its name.
            weights: a file, `package://NAME`, `hf://OWNER/REPOSITORY`; the encoder's pretrained ones by default.
            stages: of the encoder; those of the method's strides by default.
            dtype: of the encoder, float32, tfloat32 or bfloat16.
            image_size: side in pixels to which images are resized.
            crop_size: side in pixels of the centre that is inspected.
            image_score: `max` or `top1p`; the method's own by default.

        Returns:
            The part.

        Raises:
            InputError: an image or a setting cannot be used; it is a ValueError.
        """
        recipe = Recipe(
            encoder=encoder,
            stages=tuple(stages),
            weights=weights,
            weights_sha256=None,
            dtype=dtype,
            image_size=image_size,
            crop_size=crop_size,
            method=method,
            settings=settings or MethodSettings(),
            image_score=image_score,
        )
        read = _read(images, recipe)
        engine = auto_settings.settle(open_engine(recipe), read)
        fitted = parts.fit(engine, read, name=name, rate=target_fpr)
        return cls(inspector.create(fitted.part, engine), fitted.warnings)

    @classmethod
    def load(cls, path: str | Path, *, weights: str = "") -> "FastRecon":
        """A part from its file.

        Args:
            path: that `save` or `python -m fastrecon_jax.fit` wrote.
            weights: where the encoder's weights are, if not where they were at the fit.

        Returns:
            The part.

        Raises:
            InputError: the file is missing, damaged or too new, or the weights are others.
        """
        part, engine = part_file.load(files.expanded(str(path)), lambda recipe: open_engine(recipe, weights=weights))
        return cls(inspector.create(part, engine))

    def save(self, path: str | Path) -> None:
        """Write the part into one file.

        Args:
            path: ends in .safetensors.

        Raises:
            InputError: it cannot be written.
        """
        part_file.save(self.part, files.expanded(str(path)))

    def extend(self, images: Source | Sequence[Source]) -> "FastRecon":
        """The part with more good images.

        Args:
            images: at least one that is new.

        Returns:
            Another part, the same as one fitted on all images.

        Raises:
            InputError: an image cannot be used, or none is new.
        """
        engine = self._inspector.engine
        fitted = parts.extend(engine, self.part, _read(images, self.part.recipe, after=len(self.part.good)))
        return FastRecon(inspector.create(fitted.part, engine), fitted.warnings)

    def score(self, images: Source | Sequence[Source]) -> Float[np.ndarray, " n"]:
        """One number for each image, the higher the more anomalous.

        Args:
            images: to score.

        Returns:
            (n,), float32.

        Raises:
            InputError: an image cannot be used.
        """
        return np.array([finding.score for finding in self.inspect(images)], np.float32)

    def inspect(self, images: Source | Sequence[Source]) -> list[Finding]:
        """Scores with p-values, verdicts, regions and maps.

        Args:
            images: to inspect.

        Returns:
            A finding for each.

        Raises:
            InputError: an image cannot be used.
        """
        read = _read(images, self.part.recipe)
        return inspector.inspect(self._inspector, read) if read else []

    @property
    def part(self) -> parts.Part:
        """All that is known of the part: recipe, state, good images, limits."""
        return self._inspector.part

    @property
    def threshold(self) -> float:
        """The score above which an image is defective."""
        return self.part.limits.threshold

    def __repr__(self) -> str:
        recipe, limits = self.part.recipe, self.part.limits
        return (
            f"FastRecon({self.part.name!r}, {recipe.method}, {recipe.encoder}, {len(self.part.good)} good images, "
            f"threshold {limits.threshold:.4g} for {100 * limits.rate:g} % false positives)"
        )


def _read(images: Source | Sequence[Source], recipe: Recipe, *, after: int = 0) -> list[Photo]:
    single = images.ndim < 4 if isinstance(images, np.ndarray) else isinstance(images, str | Path | Image.Image)
    if single:
        images = [images]
    preprocessing = Preprocessing(recipe.image_size, recipe.crop_size)
    return [
        photos.load(image, preprocessing, name="" if isinstance(image, str | Path) else f"image {i}")
        for i, image in enumerate(images, after)
    ]
