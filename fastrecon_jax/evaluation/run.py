"""The whole evaluation: every category scored and measured, by one process or several, written as each of them ends."""

import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import samples
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import category as experiment
from fastrecon_jax.evaluation import figures, plots, processes, shares, tables
from fastrecon_jax.evaluation import results as report
from fastrecon_jax.evaluation import setup as contexts
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.figures import Measured
from fastrecon_jax.evaluation.processes import Group
from fastrecon_jax.evaluation.setup import Context

Tell = Callable[[str], object]
_Work = list[tuple[samples.Category, tuple[int, ...]]]  # categories that are not finished, and the processes of each


def run(config: EvalConfig, *, tell: Tell) -> Path | None:
    """Evaluate, taking up what an interrupted run of the same settings left.

    Args:
        config: the settings.
        tell: takes lines for people: what it runs on, each category as it ends, the table.

    Returns:
        The directory that holds the results; None in processes other than the first, which write nothing.

    Raises:
        InputError: something that the user gave cannot be used; what was computed before is in the directory.
    """
    with processes.joined(config.coordinator, config.num_processes, config.process_index, tell=tell) as group:
        context = contexts.open_context(config)
        processes.agree(group, contexts.agreed(context))
        return _help(context, group) if group.index else _lead(context, group, tell)


def _lead(context: Context, group: Group, tell: Tell) -> Path:
    """Process 0: its part of the work, and all that is written."""
    settings = contexts.settings(context)
    directory = Path(context.config.output_dir or contexts.default_directory(settings))
    results = report.start(directory, settings)
    tell(contexts.introduction(context, directory, processes=group.count))
    finished = {row["category"] for row in results.rows}
    processes.broadcast(group, "finished", lambda: json.dumps(sorted(finished)))
    for name in (category.name for category in context.categories if category.name in finished):
        tell(f"{name}: taken from {directory}\n")
    for measured in _figures(context, group, _work(context, group, finished)):
        results = _record(context, directory, results, measured)
        tell(figures.lines(measured.rows))
    if len(context.config.shots) > 1:
        plots.save(plots.shots(results.rows, settings["description"].split(", encoder")[0]), directory / "shots.png")
    tell(f"\n{_conclusion(results.rows)}\n{settings['description']}\nresults are in {directory}\n")
    return directory


def _help(context: Context, group: Group) -> None:
    """Any other process: its part of the work."""
    finished = set(json.loads(processes.broadcast(group, "finished", str)))
    for category, team in _work(context, group, finished):
        if group.index in team and (measured := _category(context, category, group, team)):
            processes.send(group, f"figures/{category.name}", figures.pack(measured))


def _work(context: Context, group: Group, finished: set[str]) -> _Work:
    left = [category for category in context.categories if category.name not in finished]
    sizes = [len(samples.subset(category.test, context.config.max_queries)) for category in left]
    return list(zip(left, shares.teams(sizes, group.count), strict=True))


def _figures(context: Context, group: Group, work: _Work) -> Iterator[Measured]:
    """Each category's figures as they come, this process's and those of others that have ended meanwhile."""
    elsewhere = [category.name for category, team in work if team[0] != group.index]
    for category, team in work:
        if group.index in team:
            yield _category(context, category, group, team)
        for name in tuple(elsewhere):
            if data := processes.receive(group, f"figures/{name}", wait=False):
                elsewhere.remove(name)
                yield figures.unpack(data)
    for name in elsewhere:
        yield figures.unpack(processes.receive(group, f"figures/{name}"))


def _category(context: Context, category: samples.Category, group: Group, team: tuple[int, ...]) -> Measured | None:
    """Score this process's part of a category; the first of the team puts the parts together and measures."""
    what = (context.programs, category, context.draws[category.name], context.config)
    member = team.index(group.index)
    share = experiment.score(*what, context.cache, member=member, members=len(team), progress=group.index == 0)
    if member:
        processes.send(group, f"share/{category.name}/{group.index}", shares.pack(share) if share else b"")
        return None
    others = [processes.receive(group, f"share/{category.name}/{index}") for index in team[1:]]
    evaluated = experiment.together(*what, [share, *(shares.unpack(data) if data else None for data in others)])
    return figures.measure(context, category, evaluated)


def _record(context: Context, directory: Path, results: report.Results, measured: Measured) -> report.Results:
    """The results with a category more, in the order of the categories, and on the disk."""
    place = {category.name: i for i, category in enumerate(context.categories)}
    rows, scores = (
        sorted([*known, *new], key=lambda row: place[row["category"]])
        for known, new in ((results.rows, measured.rows), (results.scores, measured.scores))
    )
    for name, png in measured.sheets.items():
        _save(directory / "maps" / name, png)
    results = results._replace(rows=rows, scores=scores)
    report.write(directory, results)
    return results


def _save(file: Path, png: bytes) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"contact sheet {file} cannot be written: {files.reason(error)}") from None
    files.write(file, png)


def _conclusion(rows: Sequence[report.Row]) -> str:
    """One method by category; several beside each other, with their paired differences."""
    if len({row["method"] for row in rows}) == 1:
        return tables.plain(tables.by_category(rows))
    pairs = tables.paired(rows, baseline=report.BASELINE)
    return "\n".join(
        tables.plain(lines) for lines in (tables.by_method(rows), tables.of_pairs(pairs)) if len(lines) > 1
    )
