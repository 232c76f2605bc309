"""The command predict: images to verdicts, rows, pictures and a page; once, or as images arrive."""

import contextlib
import functools
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line import console
from fastrecon_jax.data.images import Preprocessing
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import fit, models, page, reading, routing, watching
from fastrecon_jax.inspection import ledger as results
from fastrecon_jax.inspection import pipeline as runs
from fastrecon_jax.inspection.config import NONE, PredictConfig
from fastrecon_jax.inspection.ledger import Ledger, Row
from fastrecon_jax.inspection.models import Model
from fastrecon_jax.inspection.pipeline import Run
from fastrecon_jax.inspection.reading import Order
from fastrecon_jax.inspection.routing import Router
from fastrecon_jax.inspection.watching import Arrivals
from fastrecon_jax.parts import photos

Tell = Callable[[str], object]
SOME_UNREADABLE = 3
_PAGE_EVERY = 10.0  # seconds between two versions of the page while watching, at least
_ON_PAGE = 20_000


class _Work(NamedTuple):
    """What the parts of the command share."""

    config: PredictConfig
    directory: Path
    models: tuple[Model, ...]
    router: Router
    ledger: Ledger
    tell: Tell
    rows: list[Row]


def predict(config: PredictConfig, *, tell: Tell) -> int:
    """Inspect images.

    Args:
        config: the settings.
        tell: takes lines for people.

    Returns:
        0, or 3 if images could not be read.

    Raises:
        InputError: something that the user gave cannot be used, or results cannot be written any more; the rows that
            were written are complete.
        KeyboardInterrupt: of Ctrl-C, without --watch; what was done is in the files.
    """
    directory = files.expanded(config.output_dir)
    found = _images(config, directory)
    loaded = models.load(models.find(config.model), weights=config.weights)
    router = routing.create([model.inspector for model in loaded], config.part)
    _check_choices(router, loaded, found)
    ledger = results.open_ledger(directory, _facts(config, loaded))
    try:
        return _inspect(_Work(config, directory, loaded, router, ledger, tell, []), found)
    finally:
        ledger.close()


def _images(config: PredictConfig, directory: Path) -> list[Path]:
    outside = watching.outside(directory)
    if config.watch:
        return [path for path in dict.fromkeys(watching.listed(config.images)) if outside(path)]
    found = [path for path in photos.find(config.images) if outside(path)]
    if not found:
        raise InputError(f"--images={config.images} names only files in --output_dir={directory}, which are no images")
    return found


def _check_choices(router: Router, loaded: Sequence[Model], found: Sequence[Path]) -> None:
    """Parts that see images differently can be told apart by name alone: found out before the work."""
    if router.fixed or routing.comparable([model.inspector for model in loaded]):
        return
    for path in found:
        if routing.by_name(router, path) is None:
            raise routing.refusal(router, path)


def _facts(config: PredictConfig, loaded: Sequence[Model]) -> dict:
    sha256 = {model.name: model.sha256 for model in sorted(loaded, key=lambda model: model.name)}
    thresholds = {model.name: model.inspector.part.limits.threshold for model in loaded}
    same = {"format": results.FORMAT, "part": config.part, "parts": sha256}
    return {"same": same, "thresholds": thresholds, "files": {model.name: str(model.file) for model in loaded}}


def _inspect(work: _Work, found: Sequence[Path]) -> int:
    start = time.perf_counter()
    if work.config.overlays != NONE:
        files.make_directory(work.directory / runs.OVERLAYS)
    orders, taken_up = _orders(work, found)
    work.tell(_introduction(work, len(orders), len(taken_up)))
    with tqdm(total=len(orders), unit="image", disable=work.config.watch or None, leave=False) as progress:
        notify = functools.partial(_notify, work, progress)
        config = work.config
        run = Run(
            work.models,
            work.router,
            runs.Outputs(work.directory, work.ledger, config.overlays, config.overlay_format, notify),
        )
        try:
            interrupt = _until_interrupted(work, run, orders, taken_up)
            run.close()
        except InputError as error:
            raise _give_up(work, run, error) from None
    seconds = time.perf_counter() - start - run.preparation
    write_page(work)
    work.tell(_summary(work, taken_up, seconds, run.preparation))
    if interrupt and not config.watch:
        raise interrupt
    unreadable = any(row.error for row in _current(work, taken_up))
    return SOME_UNREADABLE if unreadable else 0


def _until_interrupted(
    work: _Work, run: Run, orders: Sequence[Order], taken_up: Sequence[Order]
) -> KeyboardInterrupt | None:
    try:
        _once(work, run, orders)
        if work.config.watch:
            _watch(work, run, taken_up)
    except KeyboardInterrupt as error:
        return error
    return None


def _orders(work: _Work, found: Iterable[Path]) -> tuple[list[Order], list[Order]]:
    """Images to be inspected, and those that an earlier run has inspected as they are."""
    known, new, old = work.ledger.latest(), [], []
    for path in found:
        row = known.get(photos.shown(path))
        done = row is not None and row.verdict and (row.size, row.modified) == reading.stamp(path)
        (old if done else new).append(_order(work, path))
    return new, old


def _order(work: _Work, path: Path) -> Order:
    choice = routing.by_name(work.router, path)
    recipe = work.models[choice.index if choice else 0].inspector.part.recipe
    return Order(path, choice, Preprocessing(recipe.image_size, recipe.crop_size, work.config.max_pixels))


def _once(work: _Work, run: Run, orders: Sequence[Order]) -> None:
    """All that is there now, in batches."""
    if work.config.watch:
        now = time.time_ns()
        orders = [order for order in orders if now - reading.stamp(order.path)[1] > 1e9 * watching.PATIENCE]
    batch_size = min(work.config.batch_size, max(1, len(orders)))
    read = functools.partial(reading.read, small=work.config.overlays != NONE)
    with contextlib.closing(reading.stream(orders, read, ahead=2 * batch_size + 8)) as stream:
        for shot in stream:
            run.take(shot, batch_size=batch_size)
    run.flush(batch_size=batch_size)


def _watch(work: _Work, run: Run, taken_up: Sequence[Order]) -> None:
    """Images as they arrive, each by itself, for ever."""
    run.warm_up(batch_size=1)
    arriving = Arrivals(work.config.images, wanted=watching.outside(work.directory), done=_seen(work, taken_up))
    work.tell(f"watching {work.config.images}; Ctrl-C ends it\n")
    written, due = 0, time.monotonic() + _PAGE_EVERY
    while True:
        complete = arriving.look()
        for path in complete:
            _arrived(work, run, arriving, path)
        if not complete and len(work.rows) > written and time.monotonic() > due:
            written, start = len(work.rows), time.monotonic()
            write_page(work)
            due = time.monotonic() + max(_PAGE_EVERY, 20 * (time.monotonic() - start))
        time.sleep(work.config.interval)


def _seen(work: _Work, taken_up: Sequence[Order]) -> dict[str, watching.Stamp]:
    """Images with rows, as they were then."""
    names = {photos.shown(order.path) for order in taken_up}
    rows = [*(row for row in work.ledger.latest().values() if row.path in names), *work.rows]
    return {row.path: (row.size, row.modified) for row in rows}


def _arrived(work: _Work, run: Run, arriving: Arrivals, path: Path) -> None:
    shot = reading.read(_order(work, path), small=work.config.overlays != NONE)
    stamp = (shot.size, shot.modified)
    if reading.stamp(path) != stamp or (shot.error and not arriving.is_hopeless(path)):
        return  # it is gone, still being written, or may be
    run.take(shot, batch_size=1)
    arriving.finish(path, stamp)


def _give_up(work: _Work, run: Run, error: InputError) -> InputError:
    """Keep what can be kept when results cannot be written any more, and say so."""
    with contextlib.suppress(InputError):
        run.close(cancel=True)
        write_page(work)
    rows = len(work.ledger.rows)
    return InputError(f"{error}; {rows} rows are complete, and the same command goes on behind them")


def write_page(work: _Work) -> None:
    """Write the page of the rows in the directory, of the last 20,000 if there are more.

    Args:
        work: in hand.

    Raises:
        InputError: it cannot be written.
    """
    rows = list(work.ledger.latest().values())[-_ON_PAGE:]
    page.write(work.directory, [model.inspector.part for model in work.models], rows)


def _notify(work: _Work, progress: tqdm, row: Row) -> None:
    work.rows.append(row)
    progress.update()
    if work.config.watch:
        now = datetime.now().strftime("%H:%M:%S")
        score = row.error or f"{row.score:.4g} (threshold {row.threshold:.4g})"
        part = f" {row.part}" if len(work.models) > 1 else ""
        work.tell(f"{now} {page.kind(row):10s}{part} {row.path}: {score}, {row.milliseconds:.0f} ms\n")


def _introduction(work: _Work, new: int, taken_up: int) -> str:
    of_engines = [fit.introduction(model.inspector.engine).splitlines() for model in work.models]
    lines = [*dict.fromkeys(line for text in of_engines for line in text), *map(_of, work.models)]
    already = f", {taken_up} more were inspected before" if taken_up else ""
    return "\n".join([*lines, f"{console.count(new, 'image')} to inspect{already}"]) + "\n"


def _of(model: Model) -> str:
    part = model.inspector.part
    return (
        f"part {part.name}: threshold {part.limits.threshold:.4g} for {100 * part.limits.rate:g} % false positives, "
        f"from {len(part.good)} good images, {model.file}"
    )


def _current(work: _Work, taken_up: Sequence[Order]) -> list[Row]:
    """The last row of each image that this call is about."""
    latest = work.ledger.latest()
    names = [*(photos.shown(order.path) for order in taken_up), *(row.path for row in work.rows)]
    return [latest[name] for name in dict.fromkeys(names) if name in latest]


def _summary(work: _Work, taken_up: Sequence[Order], seconds: float, preparation: float) -> str:
    numbers = page.counts(_current(work, taken_up))
    done = len(work.rows)
    rate = (
        f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s, after {preparation:.1f} s of compilation\n"
        if done and not work.config.watch
        else ""
    )
    counts = ", ".join(f"{number} {name}" for name, number in numbers.items())
    return f"{rate}{counts}\nresults are in {work.directory / results.TABLE} and {work.directory / page.NAME}\n"
