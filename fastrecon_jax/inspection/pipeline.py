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

from fastrecon_jax.inspection import routing
from fastrecon_jax.inspection.config import ALL, NONE
from fastrecon_jax.inspection.ledger import Ledger, Row
from fastrecon_jax.inspection.models import Model
from fastrecon_jax.inspection.reading import Shot
from fastrecon_jax.inspection.routing import Choice, Router
from fastrecon_jax.parts import inspector, photos, pictures
from fastrecon_jax.parts.inspector import GOOD, Finding

OVERLAYS = "overlays"
_BEHIND = 64  # rows whose pictures may be unfinished
_STEM = 100  # bytes of an image's name in that of its picture


class Outputs(NamedTuple):
    """Where findings go.

    Attributes:
        directory: of the results.
        ledger: of the rows.
        overlays: `all`, `suspicious` or `none`.
        picture: `png` or `jpg`.
        notify: called with each row, which is being written.
    """

    directory: Path
    ledger: Ledger
    overlays: str
    picture: str
    notify: Callable[[Row], object]


class _Waiting(NamedTuple):
    shot: Shot
    choice: Choice
    seconds: float


class Run:
    """The way of photographs to their rows.

    Attributes:
        preparation: seconds that compilation took so far.
    """

    def __init__(self, models: Sequence[Model], router: Router, outputs: Outputs):
        self.preparation = 0.0
        self._models, self._router, self._out = models, router, outputs
        self._undecided: list[Shot] = []
        self._queues: list[list[_Waiting]] = [[] for _ in models]
        self._warm: set[tuple[int, int]] = set()
        self._painters = ThreadPoolExecutor(os.cpu_count() or 1)
        self._writer = ThreadPoolExecutor(1)  # of its own, so that Ctrl-C never comes between two files of a row
        self._rows: collections.deque[Future[None]] = collections.deque()

    def take(self, shot: Shot, *, batch_size: int) -> None:
        """Inspect a photograph, or keep it until a batch is full.

        Args:
            shot: that was read, or not.
            batch_size: photographs of a part at a time.

        Raises:
            InputError: a row or a picture cannot be written.
        """
        if shot.error:
            self._fail(shot, shot.error)
        elif shot.order.choice is not None:
            self._queue(_Waiting(shot, shot.order.choice, shot.seconds), batch_size)
        elif self._router.engine is None:
            self._fail(shot, str(routing.refusal(self._router, shot.order.path)))
        else:
            self._undecided.append(shot)
            if len(self._undecided) >= batch_size:
                self._decide(batch_size)

    def flush(self, *, batch_size: int) -> None:
        """Inspect what is kept.

        Args:
            batch_size: photographs at a time; the last ones are padded.

        Raises:
            InputError: a row or a picture cannot be written.
        """
        if self._undecided:
            self._decide(batch_size)
        for index, queue in enumerate(self._queues):
            if queue:
                self._inspect(index, batch_size)

    def warm_up(self, *, batch_size: int) -> None:
        """Compile everything, which happens at first use otherwise.

        Args:
            batch_size: photographs at a time.
        """
        if self._router.engine:
            self._compile_likeness(batch_size)
        for index in range(len(self._models)):
            if self._router.fixed in (None, self._router.fixed and self._router.fixed._replace(index=index)):
                self._compile(index, batch_size)

    def close(self, *, cancel: bool = False) -> None:
        """Wait until all rows are written.

        Args:
            cancel: give up those that have not begun.

        Raises:
            InputError: a row or a picture cannot be written.
        """
        self._painters.shutdown(cancel_futures=cancel)
        self._writer.shutdown(cancel_futures=cancel)
        while self._rows and not cancel:
            self._rows.popleft().result()

    def _decide(self, batch_size: int) -> None:
        self._compile_likeness(batch_size)
        taken, self._undecided = self._undecided, []
        start = time.perf_counter()
        choices = routing.by_likeness(
            self._router, np.stack([shot.photo.pixels for shot in taken]), batch_size=batch_size
        )
        share = (time.perf_counter() - start) / len(taken)
        for shot, choice in zip(taken, choices, strict=True):
            self._queue(_Waiting(shot, choice, shot.seconds + share), batch_size)

    def _queue(self, waiting: _Waiting, batch_size: int) -> None:
        queue = self._queues[waiting.choice.index]
        queue.append(waiting)
        if len(queue) >= batch_size:
            self._inspect(waiting.choice.index, batch_size)

    def _inspect(self, index: int, batch_size: int) -> None:
        self._compile(index, batch_size)
        taken, self._queues[index] = self._queues[index], []
        start = time.perf_counter()
        found = inspector.inspect(
            self._models[index].inspector, [one.shot.photo for one in taken], batch_size=batch_size
        )
        share = (time.perf_counter() - start) / len(taken)
        for waiting, finding in zip(taken, found, strict=True):
            if math.isfinite(finding.score):
                self._report(waiting, finding, waiting.seconds + share)
            else:
                self._fail(waiting.shot, f"{waiting.shot.order.path}: its score is not finite")

    def _compile(self, index: int, batch_size: int) -> None:
        model = self._models[index].inspector
        self._once(
            index, batch_size, functools.partial(inspector.score, model, self._black(index), batch_size=batch_size)
        )

    def _compile_likeness(self, batch_size: int) -> None:
        compare = functools.partial(routing.by_likeness, self._router, self._black(), batch_size=batch_size)
        self._once(-1, batch_size, compare)

    def _once(self, program: int, batch_size: int, use: Callable[[], object]) -> None:
        """Use a program for the first time, which compiles it, so that no image's time holds that."""
        if (program, batch_size) not in self._warm:
            self._warm.add((program, batch_size))
            start = time.perf_counter()
            use()
            self.preparation += time.perf_counter() - start

    def _black(self, index: int = 0) -> UInt8[np.ndarray, "1 H W 3"]:
        size = self._models[index].inspector.part.recipe.crop_size
        return np.zeros((1, size, size, 3), np.uint8)

    def _report(self, waiting: _Waiting, finding: Finding, seconds: float) -> None:
        shot, part = waiting.shot, self._models[waiting.choice.index].inspector.part
        wanted = self._out.overlays == ALL or (self._out.overlays != NONE and finding.verdict != GOOD)
        overlay = f"{OVERLAYS}/{picture_name(shot.order.path)}.{self._out.picture}" if wanted else ""
        row = _blank(shot)._replace(
            part=part.name,
            picked=waiting.choice.how,
            verdict=finding.verdict,
            score=finding.score,
            threshold=part.limits.threshold,
            p_value=finding.p_value,
            peak=float(finding.map.max()),
            regions=finding.regions,
            milliseconds=round(1000 * seconds, 2),
            overlay=overlay,
        )
        self._record(row, self._painters.submit(self._paint, row, waiting, finding) if overlay else None)

    def _fail(self, shot: Shot, error: str) -> None:
        choice = shot.order.choice
        picked = {"part": self._router.names[choice.index], "picked": choice.how} if choice else {}
        self._record(_blank(shot)._replace(error=error, **picked), None)

    def _paint(self, row: Row, waiting: _Waiting, finding: Finding) -> None:
        part, photo = self._models[waiting.choice.index].inspector.part, waiting.shot.photo
        drawn = pictures.draw(
            waiting.shot.small,
            finding,
            part.recipe,
            (photo.width, photo.height),
            low=part.limits.floor,
            high=part.limits.ceiling,
        )
        pictures.write(drawn, self._out.directory / row.overlay)

    def _record(self, row: Row, picture: Future[None] | None) -> None:
        self._rows.append(self._writer.submit(self._append, row, picture))
        self._out.notify(row)
        while self._rows and (len(self._rows) > _BEHIND or self._rows[0].done()):
            self._rows.popleft().result()

    def _append(self, row: Row, picture: Future[None] | None) -> None:
        if picture is not None:
            picture.result()
        self._out.ledger.append(row)


def _blank(shot: Shot) -> Row:
    """A row without a verdict."""
    return Row(
        path=photos.shown(shot.order.path),
        part="",
        picked="",
        verdict="",
        score=None,
        threshold=None,
        p_value=None,
        peak=None,
        regions=(),
        milliseconds=round(1000 * shot.seconds, 2),
        overlay="",
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        size=shot.size,
        modified=shot.modified,
        error="",
    )


def picture_name(path: Path) -> str:
    """A name for an image's picture, its own in all folders together.

    Args:
        path: of the image.

    Returns:
        The image's name and a hash of its path, without an ending.
    """
    stem = os.fsencode(path.stem)[:_STEM].decode(errors="ignore")
    return f"{stem}-{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:10]}"
