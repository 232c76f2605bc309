"""The whole evaluation: every category scored and measured, and written as soon as it is finished."""

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

from fastrecon_jax import files, locks
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.data import samples, support_writing
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import cluster, figures, plots, results, setup, submission, support_file, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.figures import Measured
from fastrecon_jax.evaluation.results import Results
from fastrecon_jax.evaluation.setup import Setup
from fastrecon_jax.evaluation.shares import Share

Tell = Callable[[str], object]


def run(config: EvalConfig, *, tell: Tell) -> Path | None:
    """Evaluate, resuming what an interrupted run of the same settings left.

    Args:
        config: the settings.
        tell: takes lines for people: what it runs on, each category as it ends, the table.

    Returns:
        The directory that holds the results; None in processes other than the first of several.

    Raises:
        InputError: something that the user gave cannot be used; what was computed before is in the directory.
    """
    if cluster.several(config):
        if config.submission:
            raise InputError(f"--submission={config.submission} is written by one process: pass --distributed=off")
        from fastrecon_jax.evaluation import hosts  # one process alone needs none of it

        return hosts.run(config, tell=tell)
    opened = setup.open_setup(config)
    with ExitStack() as end:
        directory, finished = begin(opened, end)
        submission.check(opened, results.finished(finished))
        introduce(opened, directory, finished, tell)
        for category in unfinished(opened, finished):
            share = score(opened, category)
            measured = figures.measure(opened, category, share)
            if config.submission:
                submission.write(opened, category, share, tell)
            finished = record(directory, finished, measured, tell)
        if config.submission:
            submission.conclude(opened, tell)
        return conclude(directory, finished, tell)


def begin(opened: Setup, end: ExitStack) -> tuple[Path, Results]:
    """The output directory, locked until the end, and the results that an interrupted run left there."""
    settings = setup.settings(opened)
    directory = Path(opened.config.output_dir or setup.default_directory(settings))
    files.make_directory(directory, f"output directory {directory}")
    end.enter_context(locks.directory(directory))
    finished = results.start(directory, settings)
    support_file.write(directory, opened.dataset.name, opened.categories, opened.draws)
    return directory, finished


def introduce(opened: Setup, directory: Path, finished: Results, tell: Tell, *, processes: int = 1) -> None:
    """Tell what the run works on, and what of it is finished; write the support, if that is asked for."""
    if opened.config.write_support:
        drawn = [
            support_writing.Drawn(
                category.name, [sample.name for sample in category.train], opened.draws[category.name]
            )
            for category in opened.categories
        ]
        support_writing.write(Path(opened.config.write_support), opened.dataset.name, drawn)
    tell(setup.introduction(opened, directory, processes=processes))
    for category in opened.categories:
        if category.name in results.finished(finished):
            tell(f"{shown(category.name)}: taken from {shown(directory)}\n")


def unfinished(opened: Setup, finished: Results) -> list[samples.Category]:
    """The categories that are still to be evaluated."""
    return [category for category in opened.categories if category.name not in results.finished(finished)]


def score(opened: Setup, category: samples.Category, part: slice = slice(None), *, progress: bool = True) -> Share:
    """The scores of the test images of a category, or of a part of them."""
    draws = opened.draws[category.name]
    config, cache = setup.of_category(opened, category)
    programs = setup.programs_of(opened, category)
    return scoring.score(programs, category, draws, config, cache, part=part, progress=progress)


def record(directory: Path, finished: Results, measured: Measured, tell: Tell) -> Results:
    """The results with one more category, written to the directory."""
    save_sheets(directory, measured)
    finished = results.add(finished, measured.rows, measured.scores)
    results.write(directory, finished)
    tell(figures.lines(measured.rows) + measured.doubts)
    return finished


def save_sheets(directory: Path, measured: Measured) -> None:
    """Write the contact sheets of a category, if there are any."""
    for name, png in measured.sheets.items():
        files.make_directory(directory / "maps", f"directory {directory / 'maps'} of the contact sheets")
        files.write(directory / "maps" / name, png)


def conclude(directory: Path, finished: Results, tell: Tell) -> Path:
    """Draw the plot and tell the table, once every category is finished."""
    description = finished.config["description"]
    if len(finished.config["shots"]) > 1:
        plots.save(plots.shots(finished.rows, description.split(", encoder")[0]), directory / "shots.png")
    tell(f"\n{_conclusion(finished.rows)}\n{shown(description)}\nresults are in {shown(directory)}\n")
    results.clear_shares(directory)
    return directory


def _conclusion(rows: Sequence[results.Row]) -> str:
    """One method by category; several beside each other, with their paired differences."""
    if len({row["method"] for row in rows}) == 1:
        return tables.plain(tables.by_category(rows))
    pairs = tables.paired(rows, baseline=results.BASELINE)
    return "\n".join(
        tables.plain(lines) for lines in (tables.by_method(rows), tables.of_pairs(pairs)) if len(lines) > 1
    )
