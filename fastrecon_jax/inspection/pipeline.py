"""Photographs through their parts: batches, verdicts, pictures and rows, the latter by threads behind the computing."""

import collections
import functools
import hashlib
import math
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jaxtyping import UInt8

from fastrecon_jax.data import geometry
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import drift, reading, routing
from fastrecon_jax.inspection.ledger import Ledger
from fastrecon_jax.inspection.models import Model
from fastrecon_jax.inspection.predict_config import ALL, NONE
from fastrecon_jax.inspection.reading import ReadImage
from fastrecon_jax.inspection.routing import Choice, Router
from fastrecon_jax.inspection.rows import Row
from fastrecon_jax.parts import inspector, pictures, repeats, warnings
from fastrecon_jax.parts.inspector import DEFECTIVE, GOOD, Finding
from fastrecon_jax.parts.part import Part

OVERLAYS = "overlays"
_UNWRITTEN = 64  # rows that may wait for their pictures
_STEM = 100  # bytes of an image's name in that of its picture


class Outputs(NamedTuple):
    """Where findings go.

    Attributes:
        directory: directory of the results.
        ledger: takes the rows.
        overlays: which images get a picture: `all`, `suspicious` or `none`.
        picture: `png` or `jpg`.
        notify: called with each row as it is handed to the writer.
    """

    directory: Path
    ledger: Ledger
    overlays: str
    picture: str
    notify: Callable[[Row], object]


class _Waiting(NamedTuple):
    image: ReadImage
    choice: Choice
    seconds: float


class Pipeline:
    """Takes photographs that were read, and gives rows and pictures.

    Attributes:
        preparation: seconds that compilation took so far.
    """

    def __init__(self, models: Sequence[Model], router: Router, outputs: Outputs):
        self.preparation = 0.0
        self._models, self._router, self._out = models, router, outputs
        self._undecided: list[ReadImage] = []
        self._repeats = repeats.Repeats()
        self._queues: list[list[_Waiting]] = [[] for _ in models]
        self._compiled: set[tuple[int, int]] = set()
        self._drift = [drift.Monitor(drift.references(model.inspector.part)) for model in models]
        self._painters = ThreadPoolExecutor(os.cpu_count() or 1)
        self._writer = ThreadPoolExecutor(1)  # of its own, so that Ctrl-C never comes between two files of a row
        self._rows: collections.deque[Future[None]] = collections.deque()

    def take(self, image: ReadImage, *, batch_size: int) -> None:
        """Inspect a photograph, or keep it until a batch is full; InputError if a row or picture cannot be written."""
        if image.error:
            self._fail(image, image.error)
        elif image.job.choice is not None:
            self._queue(_Waiting(image, image.job.choice, image.seconds), batch_size)
        elif self._router.engine is None:
            self._fail(image, str(routing.refusal(self._router, image.job.path)))
        else:
            self._undecided.append(image)
            if len(self._undecided) >= batch_size:
                self._decide(batch_size)

    def flush(self, *, batch_size: int) -> None:
        """Inspect what is kept, in padded batches; the errors are those of `take`."""
        if self._undecided:
            self._decide(batch_size)
        for index, queue in enumerate(self._queues):
            if queue:
                self._inspect(index, batch_size)

    def warm_up(self, *, batch_size: int) -> None:
        """Compile everything now, which happens at first use otherwise."""
        if self._router.engine:
            self._compile_likeness(batch_size)
        for index in range(len(self._models)):
            if self._router.fixed in (None, self._router.fixed and self._router.fixed._replace(index=index)):
                self._compile(index, batch_size)

    def close(self, *, cancel: bool = False) -> None:
        """Wait until all rows are written, or drop those that have not begun; the errors are those of `take`."""
        self._painters.shutdown(cancel_futures=cancel)
        self._writer.shutdown(cancel_futures=cancel)
        while self._rows and not cancel:
            self._rows.popleft().result()

    def _decide(self, batch_size: int) -> None:
        """Route what is undecided, all at once."""
        self._compile_likeness(batch_size)
        undecided, self._undecided = self._undecided, []
        start = time.perf_counter()
        pixels = np.stack([image.photo.pixels for image in undecided])
        choices = routing.by_likeness(self._router, pixels, batch_size=batch_size)
        share = (time.perf_counter() - start) / len(undecided)
        for image, choice in zip(undecided, choices, strict=True):
            self._queue(_Waiting(image, choice, image.seconds + share), batch_size)

    def _queue(self, waiting: _Waiting, batch_size: int) -> None:
        queue = self._queues[waiting.choice.index]
        queue.append(waiting)
        if len(queue) >= batch_size:
            self._inspect(waiting.choice.index, batch_size)

    def _inspect(self, index: int, batch_size: int) -> None:
        self._compile(index, batch_size)
        batch, self._queues[index] = self._queues[index], []
        start = time.perf_counter()
        photos = [waiting.image.photo for waiting in batch]
        # Each folder is a camera of its own.
        folders = [waiting.image.job.path.parent for waiting in batch]
        before = [self._repeats.before(photo, (index, folder)) for photo, folder in zip(photos, folders, strict=True)]
        findings = inspector.inspect(self._models[index].inspector, photos, batch_size=batch_size, before=before)
        share = (time.perf_counter() - start) / len(batch)
        for waiting, finding in zip(batch, findings, strict=True):
            if math.isfinite(finding.score):
                self._report(waiting, finding, waiting.seconds + share)
            else:
                self._fail(waiting.image, f"{waiting.image.job.path}: its score is not finite")

    def _compile(self, index: int, batch_size: int) -> None:
        model = self._models[index].inspector
        score = functools.partial(inspector.score, model, self._black(index), batch_size=batch_size)
        self._once(index, batch_size, score)

    def _compile_likeness(self, batch_size: int) -> None:
        compare = functools.partial(routing.by_likeness, self._router, self._black(), batch_size=batch_size)
        self._once(-1, batch_size, compare)

    def _once(self, program: int, batch_size: int, use: Callable[[], object]) -> None:
        """Use a program for the first time, which compiles it, so that no image's time holds that."""
        if (program, batch_size) not in self._compiled:
            self._compiled.add((program, batch_size))
            start = time.perf_counter()
            use()
            self.preparation += time.perf_counter() - start

    def _black(self, index: int = 0) -> UInt8[np.ndarray, "1 H W 3"]:
        return np.zeros((1, *self._models[index].inspector.part.recipe.preprocessing.kept, 3), np.uint8)

    def _report(self, waiting: _Waiting, finding: Finding, seconds: float) -> None:
        image, part = waiting.image, self._models[waiting.choice.index].inspector.part
        wanted = self._out.overlays == ALL or (self._out.overlays != NONE and finding.verdict != GOOD)
        overlay = f"{OVERLAYS}/{picture_name(image.job.path)}.{self._out.picture}" if wanted else ""
        row = _blank(image)._replace(
            part=part.name,
            picked=waiting.choice.how,
            verdict=finding.verdict,
            score=finding.score,
            threshold=part.limits.threshold,
            p_value=finding.p_value,
            peak=float(finding.map.max()),
            regions=finding.regions,
            confidence=finding.confidence,
            reason=finding.reason,
            milliseconds=round(1000 * seconds, 2),
            overlay=overlay,
            note=self._note(waiting, finding),
            warning="; ".join(warnings.about_photo(image.photo, part.good)),
            inspected=_inspected(part, (image.photo.width, image.photo.height)),
        )
        self._record(row, self._painters.submit(self._paint, row, waiting, finding) if overlay else None)

    def _note(self, waiting: _Waiting, finding: Finding) -> str:
        if finding.verdict == DEFECTIVE:
            return ""
        return self._drift[waiting.choice.index].add(finding.score, waiting.image.photo.pixels)

    def _fail(self, image: ReadImage, error: str) -> None:
        choice = image.job.choice
        picked = {"part": self._router.names[choice.index], "picked": choice.how} if choice else {}
        self._record(_blank(image)._replace(error=error, **picked), None)

    def _paint(self, row: Row, waiting: _Waiting, finding: Finding) -> None:
        part, image = self._models[waiting.choice.index].inspector.part, waiting.image
        size, scale = (image.photo.width, image.photo.height), {"low": part.limits.floor, "high": part.limits.ceiling}
        picture = pictures.draw(image.small, finding, part.recipe, size, **scale, ignore=part.ignore)
        pictures.write(picture, self._out.directory / row.overlay)

    def _record(self, row: Row, picture: Future[None] | None) -> None:
        """Hand a row to the writer; if too many wait, wait for the first of them, whose error is raised here."""
        self._rows.append(self._writer.submit(self._append, row, picture))
        self._out.notify(row)
        while self._rows and (len(self._rows) > _UNWRITTEN or self._rows[0].done()):
            self._rows.popleft().result()

    def _append(self, row: Row, picture: Future[None] | None) -> None:
        if picture is not None:
            picture.result()  # a row never names a picture that is not there
        self._out.ledger.append(row)


def _inspected(part: Part, size: tuple[int, int]) -> tuple[int, int, int, int]:
    """x, y, width and height of the inspected area of a photograph of (width, height)."""
    left, top, right, bottom = geometry.frame(part.recipe.preprocessing, size).inspected
    return left, top, right - left, bottom - top


def _blank(image: ReadImage) -> Row:
    """A row without a verdict."""
    return Row(
        path=reading.path_text(image.job.path),
        part="",
        picked="",
        verdict="",
        score=None,
        threshold=None,
        p_value=None,
        peak=None,
        regions=(),
        milliseconds=round(1000 * image.seconds, 2),
        overlay="",
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        size=image.size,
        modified=image.modified,
        error="",
    )


def picture_name(path: Place) -> str:
    """A name for an image's picture, its own in all folders together: the image's and a hash of its path."""
    stem = os.fsencode(path.stem)[:_STEM].decode(errors="ignore")
    return f"{stem}-{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:10]}"
