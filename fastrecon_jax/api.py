"""For Python programs and notebooks: `Inspector.fit("good/*.png").predict("line3/")`."""

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeAlias

import jax
import numpy as np
from jaxtyping import Float
from PIL import Image

from fastrecon_jax import files, locks, methods
from fastrecon_jax.data.geometry import KEEP
from fastrecon_jax.inspection import reading
from fastrecon_jax.parts import area, auto_settings, fitting, inspector, part_file, photos, pictures, repeats, warnings
from fastrecon_jax.parts.engine import Recipe, open_engine
from fastrecon_jax.parts.inspector import PartInspector
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Source
from fastrecon_jax.parts.regions import Region

Images: TypeAlias = Source | Sequence[Source]
_BATCH = 8  # photographs that are decoded and inspected together


@dataclasses.dataclass(frozen=True)
class Finding:
    """What was found on one photograph.

    Attributes:
        name: the photograph's path, or `image N` for one that came as an array or a Pillow image.
        verdict: `good`, `borderline` or `defective`.
        score: image score, the higher the more anomalous, in the method's unit.
        threshold: score above which a photograph of this part is defective.
        p_value: probability that a good photograph scores at least as high, by the part's calibration, 0 to 1.
        reason: why the verdict is what it is, where the score alone does not say so: something is missing, the score is
            lower than that of any good photograph, or the picture is the same as another; empty otherwise.
        confidence: from 0, surely good, to 1, surely defective; it rises with the verdict, and is a half at the
            threshold.
        missing: what the photograph lacks of the good ones, a distance without unit; None where the method cannot tell.
        regions: defect regions in pixels of the photograph, the highest peak first.
        warnings: what is odd about the photograph, each `KIND: text`: pages not looked at, values above white, a
            picture that is nearly black, another shape than the good ones.
        map: anomaly map of the inspected area, (H, W), float32, in the unit of the patch scores.
        source: the photograph as it was given.
    """

    name: str
    verdict: str
    score: float
    threshold: float
    p_value: float
    reason: str
    confidence: float
    missing: float | None
    regions: tuple[Region, ...]
    warnings: tuple[str, ...]
    map: Float[np.ndarray, "H W"] = dataclasses.field(repr=False)
    source: Source = dataclasses.field(repr=False)
    _part: Part = dataclasses.field(repr=False)

    def overlay(self, *, side: int = pictures.SIDE) -> Image.Image:
        """Draw the anomaly map and the regions over the photograph, which is decoded again for it.

        Args:
            side: longest side of the picture in pixels, at least 1; photographs are never enlarged.

        Returns:
            An RGB image. Colours mean the same on all pictures of a part.

        Raises:
            InputError: the photograph's file cannot be read any more.
            ValueError: the side is below 1.
        """
        if side < 1:
            raise ValueError(f"side is {side}, expected at least 1 pixel")
        photograph = photos.decode(self.source, self.name, depth=self._part.recipe.bit_depth)
        small = photograph.copy()
        small.thumbnail((side, side), Image.Resampling.BILINEAR)
        limits = self._part.limits
        drawn = inspector.Finding(
            name=self.name,
            score=self.score,
            p_value=self.p_value,
            verdict=self.verdict,
            regions=self.regions,
            map=self.map,
            reason=self.reason,
            confidence=self.confidence,
            missing=self.missing,
        )
        scale = {"low": limits.floor, "high": limits.ceiling}
        return pictures.draw(small, drawn, self._part.recipe, photograph.size, **scale, ignore=self._part.ignore)

    def _repr_png_(self) -> bytes:
        """The overlay, which notebooks show."""
        png = io.BytesIO()
        self.overlay().save(png, "PNG")
        return png.getvalue()


class Inspector:
    """A part, fitted and calibrated on a few photographs of good ones.

    Wherever photographs are taken, they may be a path, a pattern such as `good/*.png`, a folder, `demo:gear` for
    built-in ones, an array (H, W), (H, W, 3) or (H, W, 4) of uint8, uint16 or bool (of NumPy, JAX, PyTorch or anything
    with `__array__`), a Pillow image, a sequence of any of these, or an array (n, H, W, 3).

    Attributes:
        warnings: what the good photographs leave in doubt, sentences; empty for a part from a file.
    """

    def __init__(self, fitted: PartInspector, warnings: Sequence[str] = ()):
        self._inspector = fitted
        self.warnings = tuple(warnings)

    @classmethod
    def fit(
        cls,
        images: Images,
        *,
        name: str = "part",
        method: str | methods.Method = "fastrecon+",
        settings: Mapping[str, Any] | Any = None,
        target_fpr: float = 0.01,
        encoder: str = "efficientnet_lite0",
        weights: str = "",
        stages: Sequence[str] = (),
        dtype: str = "float32",
        resize: str = KEEP,
        image_size: int = 256,
        crop_size: int = 0,
        image_score: str = "",
        bit_depth: int | str = "auto",
        region: Sequence[int] = (),
        ignore: Source | None = None,
        encoder_options: Sequence[str] = (),
        support_copies: Sequence[str] = (),
        tile: Sequence[int] = (),
    ) -> "Inspector":
        """Fit and calibrate a part.

        Args:
            images: photographs of good parts, at least one; exact copies count once.
            name: what the part is called in files and results.
            method: name of a registered method (`methods.names()`), or a method from `methods.create`, whose name and
                settings are taken.
            settings: for a method by name: a mapping of its settings to values, or an instance of its `Settings`; the
                method's defaults by default.
            target_fpr: share of good photographs that may be judged defective, above 0 and below 1.
            encoder: name of a registered encoder (`encoders.names()`).
            weights: path of a weights file, `package://NAME` or `hf://OWNER/REPOSITORY`; the encoder's pretrained ones
                by default.
            stages: names of encoder stages; those of the method's strides by default.
            dtype: float32, tfloat32 or bfloat16, for the encoder.
            resize: `keep` inspects the whole photograph in the proportions that most of them have, `stretch` the whole
                as a square, `crop` the centre of that square, as published.
            image_size: side in pixels to which photographs are resized, the longer one with `keep`, 32 to 4096.
            crop_size: with `crop`, side in pixels of the centre, 32 to image_size; 7/8 of image_size by default.
            image_score: `max` of the patch scores, or the mean of the largest of them: `top1p` of 1 %, `top0.2p` of
                0.2 %, and so on up to `top100p`; the method's own by default.
            bit_depth: bits that the camera fills of pixels with more than 8: 8, 10, 12, 14 or 16; `auto` takes the
                fewest that hold all values of the photographs. It holds for all photographs of the part.
            region: x, y, width and height of the only part that is inspected, in pixels of the good photographs; all
                of them by default.
            ignore: path, array (H, W) or Pillow image of the photographs' proportions, white or opaque where nothing is
                ever scored; None for nothing.
            encoder_options: `NAME=VALUE` for each option of the encoder that its weights are not to decide.
            support_copies: kinds of changed copies of the photographs from which the part learns, too, of
                `methods.SUPPORT_COPIES`: `light`, `turns`, `rot8`, `rot30`, `flip`; none by default.
            tile: side and overlap, in pixels, of the tiles that photographs are encoded in; by default each photograph
                is encoded as a whole.

        Returns:
            The part, ready to inspect.

        Raises:
            InputError: a photograph or a setting cannot be used; it is a ValueError.
        """
        if isinstance(method, methods.Method):
            settings, method = method.settings, method.name
        sources = _sources(images, reading.FIT)
        recipe = Recipe(
            encoder=encoder,
            stages=tuple(stages),
            weights=weights,
            weights_sha256=None,
            dtype=dtype,
            image_size=image_size,
            crop_size=area.crop_size(resize, image_size, crop_size),
            method=method,
            settings=methods.create(method, settings).settings,
            image_score=image_score,
            bit_depth=photos.find_bit_depth(sources, bit_depth),
            resize=resize,
            encoder_options=tuple(encoder_options),
            support_copies=tuple(support_copies),
            tile=tuple(tile),
        )
        usual = area.usual_size(sources)
        recipe = area.decide(recipe, usual, region)
        marked = None if ignore is None else area.read_ignore(ignore, recipe, usual)
        good = _load(sources, recipe)
        engine = auto_settings.resolve(open_engine(recipe, ignore=marked), good)
        fitted = fitting.fit(engine, good, name=name, rate=target_fpr)
        return cls(inspector.create(fitted.part, engine), fitted.warnings)

    @classmethod
    def load(cls, path: str | Path, *, weights: str = "") -> "Inspector":
        """Open a part's file.

        Args:
            path: file that `save` or `python -m fastrecon_jax.fit` wrote.
            weights: where the encoder's weights are, if not where they were at the fit.

        Returns:
            The part, ready to inspect.

        Raises:
            InputError: the file is missing, damaged or too new, or the weights are not those of the fit.
        """
        part, engine = part_file.load(files.place(str(path)), lambda recipe: open_engine(recipe, weights=weights))
        return cls(inspector.create(part, engine))

    def save(self, path: str | Path) -> None:
        """Write the part into one file.

        Args:
            path: ends in .safetensors; a file that is there is replaced.

        Raises:
            InputError: it cannot be written.
        """
        file = files.place(str(path))
        with locks.writing(file, tell=str):  # after another process that extends it
            part_file.save(self.part, file)

    def extend(self, images: Images) -> "Inspector":
        """Fit again with more good photographs.

        Args:
            images: photographs of good parts, at least one of them new.

        Returns:
            Another part, the same as one fitted on all photographs together.

        Raises:
            InputError: a photograph cannot be used, or none is new.
        """
        engine = self._inspector.engine
        more = _load(_sources(images, reading.EXTEND), self.part.recipe, first=len(self.part.good))
        fitted = fitting.extend(engine, self.part, more)
        return type(self)(inspector.create(fitted.part, engine), fitted.warnings)

    def predict(self, images: Images) -> list[Finding]:
        """Inspect photographs.

        Args:
            images: photographs to inspect; none gives an empty list.

        Returns:
            A finding for each: score, verdict, regions, anomaly map, and a picture by `finding.overlay()`.

        Raises:
            InputError: a photograph cannot be used.
        """
        sources = _sources(images, reading.PREDICT)
        findings: list[Finding] = []
        seen = repeats.Repeats()
        for start in range(0, len(sources), _BATCH):  # decoded by the batch, so that memory does not grow with them
            batch = sources[start : start + _BATCH]
            read = [_photo(source, self.part.recipe, start + i) for i, source in enumerate(batch)]
            before = [seen.before(photo) for photo in read]
            inspected = inspector.inspect(self._inspector, read, batch_size=min(_BATCH, len(sources)), before=before)
            findings += [self._finding(*each) for each in zip(inspected, read, batch, strict=True)]
        return findings

    inspect = predict  # an older name

    def score(self, images: Images) -> Float[np.ndarray, " n"]:
        """Image scores alone.

        Args:
            images: photographs to score.

        Returns:
            (n,), float32, the higher the more anomalous.

        Raises:
            InputError: a photograph cannot be used.
        """
        return np.array([finding.score for finding in self.predict(images)], np.float32)

    def _finding(self, found: inspector.Finding, photo: photos.Photo, source: Source) -> Finding:
        return Finding(
            name=found.name,
            verdict=found.verdict,
            score=found.score,
            threshold=self.threshold,
            p_value=found.p_value,
            reason=found.reason,
            confidence=found.confidence,
            missing=found.missing,
            regions=found.regions,
            warnings=warnings.about_photo(photo, self.part.good),
            map=found.map,
            source=source,
            _part=self.part,
        )

    @property
    def part(self) -> Part:
        """All that is known of the part: recipe, state, good photographs, limits."""
        return self._inspector.part

    @property
    def threshold(self) -> float:
        """The score above which a photograph is defective."""
        return self.part.limits.threshold

    def __repr__(self) -> str:
        recipe, limits = self.part.recipe, self.part.limits
        return (
            f"{type(self).__name__}({self.part.name!r}, {recipe.method}, {recipe.encoder}, {len(self.part.good)} good "
            f"images, threshold {limits.threshold:.4g} for {100 * limits.rate:g} % false positives)"
        )


FastRecon = Inspector  # by the name of the method that it began with


def _sources(images: Images, purpose: str) -> list[Source]:
    """The single photographs of what a caller gave; folders and patterns are listed."""
    if isinstance(images, str | os.PathLike):
        return list(reading.find(os.fspath(images), purpose=purpose))
    if isinstance(images, Image.Image):
        return [images]
    if isinstance(images, np.ndarray | jax.Array) or hasattr(images, "__array__"):
        array = np.asarray(images)
        return list(array) if array.ndim == 4 else [array]
    return [source for entry in images for source in _sources(entry, purpose)]


def _load(sources: Sequence[Source], recipe: Recipe, *, first: int = 0) -> list[photos.Photo]:
    return [_photo(source, recipe, first + i) for i, source in enumerate(sources)]


def _photo(source: Source, recipe: Recipe, number: int) -> photos.Photo:
    name = str(source) if isinstance(source, str | os.PathLike) else f"image {number}"
    return photos.load(source, recipe.preprocessing, name=name)
