"""The command predict: images to verdicts, rows, pictures and a page; once, or as images arrive."""

import contextlib
import time
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line import console
from fastrecon_jax.data.picture_files import Skipped
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import drift, ledger, mirror, models, page, reading, routing, shards, summary, watching
from fastrecon_jax.inspection.ledger import Ledger
from fastrecon_jax.inspection.models import Model
from fastrecon_jax.inspection.pipeline import OVERLAYS, Outputs, Pipeline
from fastrecon_jax.inspection.predict_config import NONE, PredictConfig
from fastrecon_jax.inspection.reading import Job
from fastrecon_jax.inspection.routing import Router
from fastrecon_jax.inspection.rows import UNREADABLE, Counts, Row, kind
from fastrecon_jax.inspection.shards import Shard
from fastrecon_jax.inspection.watching import Watcher
from fastrecon_jax.runtime import devices

Tell = Callable[[str], object]
SOME_UNREADABLE = 3
_PAGE_EVERY = 10.0  # seconds between two versions of the page while watching, at least
_PAGE_SHARE = 20  # its writing takes at most one part in so many of the time


class _Task(NamedTuple):
    """What the steps of the command share."""

    config: PredictConfig
    directory: Path
    models: tuple[Model, ...]
    router: Router
    ledger: Ledger
    tell: Tell


class _Progress:
    """Hears of each row as it is handed to the writer.

    Attributes:
        counts: of the images that this call is about, those that were inspected before included.
        done: number of images that this call has inspected.
        skipped: what lies beside them and is not looked at.
        drift: what was said of drift, each with its part if there are several.
    """

    def __init__(self, task: _Task, resumed: Iterable[Row], bar: tqdm, watcher: Watcher | None):
        self.counts, self.done, self.skipped = Counts(resumed), 0, Skipped()
        self.drift: list[str] = []
        self._task, self._bar, self._watcher = task, bar, watcher
        self.look_beside()

    def look_beside(self) -> None:
        """Look what lies beside the images, and tell it where it has changed."""
        before, self.skipped = self.skipped, reading.skipped(self._task.config.images, results=self._task.directory)
        if self.skipped != before:
            self._task.tell(str(self.skipped))

    def __call__(self, row: Row) -> None:
        self.counts.add(row)
        self.done += 1
        self._bar.update()
        several = len(self._task.models) > 1
        if row.note:
            self.drift.append(f"drift: {row.part}: {row.note}\n" if several else f"drift: {row.note}\n")
        if self._watcher is not None:
            self._watcher.finish(row.path, (row.size, row.modified))
            self._task.tell(_verdict(row, several=several) + (self.drift[-1] if row.note else ""))


def predict(config: PredictConfig, *, tell: Tell) -> int:
    """Inspect images, and give the exit code: 0, or 3 if some could not be read or are of formats that are not.

    `tell` takes lines for people. InputError if something that the user gave cannot be used, or if results cannot be
    written any more; the rows that were written are complete. KeyboardInterrupt after Ctrl-C, without --watch; what was
    done is in the files.
    """
    place, shard = files.place(config.output_dir, "output_dir"), shards.parse(config.shard)
    with mirror.directory(place / shard.folder if shard else place, tell) as (directory, tell_of_it):
        every = _images(config, place if isinstance(place, Path) else directory)
        return _predict(config, directory, every, shard, tell_of_it)


def _predict(config: PredictConfig, directory: Path, every: list[Place], shard: Shard | None, tell: Tell) -> int:
    paths = shards.share(shard, every) if shard else every
    mesh = None if config.watch else devices.mesh("auto")  # images that arrive one by one are not split
    loaded = models.load(models.find(config.model), weights=config.weights, mesh=mesh)
    loaded = models.judging(loaded, rate=config.target_fpr, threshold=config.threshold)
    router = routing.create([model.inspector for model in loaded], config.part)
    _check_choices(router, loaded, paths)
    facts = _facts(config, loaded)
    if shard:
        of_shard = shards.facts(shard, list(map(reading.path_text, every)))
        facts = facts | {"same": facts["same"] | of_shard, "own": len(paths)}
    results = ledger.open_ledger(directory, facts)
    try:
        return _inspect(_Task(config, directory, loaded, router, results, tell), paths)
    finally:
        results.close()


def _images(config: PredictConfig, directory: Path) -> list[Place]:
    outside = watching.outside(directory, config.output_dir)
    if config.watch:  # folders that are empty or missing may fill
        return [path for path in dict.fromkeys(reading.listed(config.images)) if outside(path)]
    paths = [path for path in reading.find(config.images) if outside(path)]
    if not paths:
        raise InputError(f"--images={config.images} names only files in --output_dir={directory}, which are no images")
    return paths


def _check_choices(router: Router, loaded: Sequence[Model], paths: Sequence[Place]) -> None:
    """Parts that see images differently can be told apart by name alone: checked before the work."""
    if router.fixed or routing.comparable([model.inspector for model in loaded]):
        return
    for path in paths:
        if routing.by_name(router, path) is None:
            raise routing.refusal(router, path)


def _facts(config: PredictConfig, loaded: Sequence[Model]) -> dict:
    sha256 = {model.name: model.sha256 for model in sorted(loaded, key=lambda model: model.name)}
    thresholds = {model.name: model.inspector.part.limits.threshold for model in loaded}
    same = {"format": ledger.FORMAT, "part": config.part, "parts": sha256} | config.judging
    return {"same": same, "thresholds": thresholds, "files": {model.name: str(model.file) for model in loaded}}


def _inspect(task: _Task, paths: Sequence[Place]) -> int:
    start, config = time.perf_counter(), task.config
    if config.overlays != NONE:
        files.make_directory(task.directory / OVERLAYS)
    jobs, resumed = _jobs(task, paths)
    task.tell(_introduction(task, len(jobs), len(resumed)))
    watcher = _watcher(task, resumed) if config.watch else None
    with tqdm(total=len(jobs), unit="image", disable=config.watch or None, leave=False) as bar:
        progress = _Progress(task, resumed, bar, watcher)
        outputs = Outputs(task.directory, task.ledger, config.overlays, config.overlay_format, progress)
        pipeline = Pipeline(task.models, task.router, outputs)
        try:
            interrupt = _until_interrupted(task, pipeline, jobs, progress, watcher)
            pipeline.close()
        except InputError as error:
            raise _give_up(task, pipeline, error) from None
    seconds = time.perf_counter() - start - pipeline.preparation
    write_page(task)
    progress.look_beside()
    task.tell(_summary(task, progress, seconds, pipeline.preparation))
    if interrupt and not config.watch:
        raise interrupt
    return SOME_UNREADABLE if progress.counts[UNREADABLE] or progress.skipped.number else 0


def _until_interrupted(
    task: _Task, pipeline: Pipeline, jobs: Sequence[Job], progress: _Progress, watcher: Watcher | None
) -> KeyboardInterrupt | None:
    try:
        _once(task, pipeline, jobs)
        if watcher is not None:
            _watch(task, pipeline, progress, watcher)
    except KeyboardInterrupt as error:
        return error
    return None


def _jobs(task: _Task, paths: Iterable[Place]) -> tuple[list[Job], list[Row]]:
    """Images to be inspected, and the rows of those that an earlier run has inspected as they are."""
    earlier = task.ledger.latest([reading.path_text(path) for path in paths])
    jobs, resumed = [], []
    for path in paths:
        row = earlier.get(reading.path_text(path))
        if row is not None and row.verdict and (row.size, row.modified) == reading.stamp(path):
            resumed.append(row)
        else:
            jobs.append(_job(task, path))
    return jobs, resumed


def _job(task: _Task, path: Place) -> Job:
    choice = routing.by_name(task.router, path)
    recipe = task.models[choice.index if choice else 0].inspector.part.recipe
    return Job(path, choice, recipe.preprocessing._replace(max_pixels=task.config.max_pixels))


def _once(task: _Task, pipeline: Pipeline, jobs: Sequence[Job]) -> None:
    """All that is there now, in batches."""
    if task.config.watch:  # what was written a moment ago may not be complete
        now = time.time_ns()
        jobs = [job for job in jobs if now - reading.stamp(job.path)[1] > 1e9 * watching.PATIENCE]
    batch_size = min(task.config.batch_size, max(1, len(jobs)))
    images = reading.stream(jobs, small=task.config.overlays != NONE, buffer_size=2 * batch_size + 8)
    with contextlib.closing(images):
        for image in images:
            pipeline.take(image, batch_size=batch_size)
    pipeline.flush(batch_size=batch_size)


def _watcher(task: _Task, resumed: Iterable[Row]) -> Watcher:
    done = {row.path: (row.size, row.modified) for row in resumed}
    return Watcher(task.config.images, wanted=watching.outside(task.directory), done=done)


def _watch(task: _Task, pipeline: Pipeline, progress: _Progress, watcher: Watcher) -> None:
    """Images as they arrive, each by itself, for ever; the page is written anew now and then, a 20th of the time."""
    pipeline.warm_up(batch_size=1)
    task.tell(f"watching {console.shown(task.config.images)}; Ctrl-C ends it\n")
    on_page, due = 0, time.monotonic() + _PAGE_EVERY
    looked = time.monotonic()
    while True:
        for path in watcher.look():
            _arrived(task, pipeline, watcher, path)
        if time.monotonic() > looked + _PAGE_EVERY:
            progress.look_beside()
            looked = time.monotonic()
        if progress.done > on_page and time.monotonic() > due:
            on_page, start = progress.done, time.monotonic()
            write_page(task)
            due = time.monotonic() + max(_PAGE_EVERY, _PAGE_SHARE * (time.monotonic() - start))
        time.sleep(task.config.interval)


def _arrived(task: _Task, pipeline: Pipeline, watcher: Watcher, path: Path) -> None:
    image = reading.read(_job(task, path), small=task.config.overlays != NONE)
    if reading.stamp(path) != (image.size, image.modified) or (image.error and not watcher.is_hopeless(path)):
        return  # it is gone, still being written, or may be
    pipeline.take(image, batch_size=1)


def _give_up(task: _Task, pipeline: Pipeline, error: InputError) -> InputError:
    """Keep what can be kept when results cannot be written any more, and say so."""
    with contextlib.suppress(InputError):
        pipeline.close(cancel=True)
        write_page(task)
    return InputError(f"{error}; {task.ledger.count} rows are complete, and the same command resumes after them")


def write_page(task: _Task) -> None:
    """Write the page of the last 20,000 images in the directory; InputError if it cannot be written."""
    page.write(task.directory, [model.inspector.part for model in task.models], task.ledger.recent())


def _verdict(row: Row, *, several: bool) -> str:
    now = datetime.now().strftime("%H:%M:%S")
    score = console.shown(row.error) or f"{row.score:.4g} (threshold {row.threshold:.4g})"
    reason = f", {console.shown(row.reason)}" if row.reason else ""
    part = f" {console.shown(row.part)}" if several else ""
    return f"{now} {kind(row):10s}{part} {console.shown(row.path)}: {score}{reason}, {row.milliseconds:.0f} ms\n"


def _introduction(task: _Task, new: int, resumed: int) -> str:
    engines = [summary.introduction(model.inspector.engine).splitlines() for model in task.models]
    lines = [
        *dict.fromkeys(text for introduction in engines for text in introduction),
        *(_threshold(model, task.config.threshold is not None) for model in task.models),
    ]
    already = f", {resumed} more were inspected before" if resumed else ""
    return "\n".join([*lines, f"{console.count(new, 'image')} to inspect{already}"]) + "\n"


def _threshold(model: Model, given: bool) -> str:
    part = model.inspector.part
    by = "given, which is" if given else "for"
    unknown = "" if part.appearance else f"\npart {console.shown(part.name)}: {drift.UNKNOWN}"
    return (
        f"part {console.shown(part.name)}: threshold {part.limits.threshold:.4g} {by} {100 * part.limits.rate:.4g} % "
        f"false positives, from {len(part.good)} good images, {console.shown(model.file)}{unknown}"
    )


def _summary(task: _Task, progress: _Progress, seconds: float, preparation: float) -> str:
    done = progress.done
    rate = (
        f"{done} images in {seconds:.1f} s, {done / seconds:.1f} images/s, after {preparation:.1f} s of compilation\n"
        if done and not task.config.watch
        else ""
    )
    directory = console.shown(task.directory)
    places = f"results are in {directory}/{ledger.TABLE} and {directory}/{page.NAME}\n"
    told = f"{progress.counts.warnings()}{progress.skipped}{''.join(progress.drift)}"
    return f"{rate}{progress.counts}\n{told}{places}"
