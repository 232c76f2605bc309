"""A part that is loaded: pictures to rows, read by threads and inspected in batches of one shape."""

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from fastrecon_jax.batch.inspector import COLUMNS
from fastrecon_jax.command_line import plugins
from fastrecon_jax.data import images
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import models
from fastrecon_jax.parts import inspector, photos, warnings
from fastrecon_jax.parts.inspector import Finding, PartInspector
from fastrecon_jax.parts.photos import Photo
from fastrecon_jax.runtime import configure

Picture = tuple[str, Any]  # its name, and what it is read from
Read = tuple[str, Photo | None, str]  # its name, the photograph, and why there is none


class OpenedPart(NamedTuple):
    """A part ready for batches.

    Attributes:
        part: ready for inspection.
        preprocessing: of its pictures.
        batch_size: images that are inspected at once.
        threads: that read and decode; 0 for one a processor.
    """

    part: PartInspector
    preprocessing: Preprocessing
    batch_size: int
    threads: int

    def rows(self, pictures: Iterable[Picture]) -> Iterator[dict[str, Any]]:
        """A row of `COLUMNS` for each picture, in their order."""
        read = prefetch(self._read, pictures, buffer_size=2 * self.batch_size, threads=self.threads)
        while some := list(itertools.islice(read, self.batch_size)):
            yield from self._inspected(some)

    def _read(self, picture: Picture) -> Read:
        name, source = picture
        try:
            return name, _photo(source, name, self.preprocessing), ""
        except InputError as error:
            return name, None, str(error)
        except Exception as error:  # noqa: BLE001 (whatever one image brings about, the others go on)
            return name, None, f"{name} cannot be read: {error!r}"

    def _inspected(self, read: Sequence[Read]) -> Iterator[dict[str, Any]]:
        usable = [photo for _, photo, _ in read if photo is not None]
        found = iter(inspector.inspect(self.part, usable, batch_size=self.batch_size) if usable else ())
        for name, photo, error in read:
            finding = next(found) if photo is not None else None
            if finding is not None and not math.isfinite(finding.score):
                finding, error = None, f"{name}: its score is not finite"
            facts = self._facts(photo, finding) if finding is not None else {"regions": [], "error": error}
            yield dict.fromkeys(COLUMNS) | {"path": name} | facts

    def _facts(self, photo: Photo, finding: Finding) -> dict[str, Any]:
        part = self.part.part
        return {
            "verdict": finding.verdict,
            "score": finding.score,
            "threshold": part.limits.threshold,
            "p_value": finding.p_value,
            "confidence": finding.confidence,
            "reason": finding.reason,
            "warning": "; ".join(warnings.about_photo(photo, part.good)),
            "regions": [region._asdict() for region in finding.regions],
            "error": "",
        }


def open_part(
    *,
    model: str,
    weights: str,
    batch_size: int,
    target_fpr: float | None,
    threshold: float | None,
    max_pixels: int | None,
    threads: int,
    plugin: Sequence[str],
) -> OpenedPart:
    """Set up the process and load a part, see `Inspector`; InputError if it, or its weights, cannot be used."""
    configure()
    plugins.load([f"--{plugins.FLAG}={','.join(plugin)}"])
    found = models.find(model)
    if len(found) > 1:
        raise InputError(f"model={model} names {len(found)} parts: an Inspector has one, make one for each")
    (judging,) = models.judging(models.load(found, weights=weights), rate=target_fpr, threshold=threshold)
    preprocessing = judging.inspector.part.recipe.preprocessing
    if max_pixels is not None:
        preprocessing = preprocessing._replace(max_pixels=max_pixels)
    return OpenedPart(judging.inspector, preprocessing, batch_size, threads)


def _photo(source: Any, name: str, preprocessing: Preprocessing) -> Photo:
    if not isinstance(source, bytes):
        return photos.load(source, preprocessing, name=name)
    decoded = images.read(source, name, max_pixels=preprocessing.max_pixels, depth=preprocessing.bit_depth)
    return photos.prepare(decoded.image, preprocessing, name=name, notes=decoded.notes)
