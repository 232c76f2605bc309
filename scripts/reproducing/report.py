"""The report of all runs: Markdown for people, CSV for programs."""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import published_figures

from fastrecon_jax import files
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, tables
from fastrecon_jax.evaluation.tables import Row
from reproducing import claims, plan
from reproducing.plan import Run

TITLES = {"image_auroc": "Image AUROC", "pixel_auroc": "Pixel AUROC", "aupro": "AUPRO"}
COLUMNS = (
    *("dataset", "encoder", "weights", "size", "categories", "missing_categories", "draws"),
    *("method", "shots", "metric", "mean", "standard_error", "worst_category", "worst"),
)


def read(run: Run) -> Row | None:
    """The results of a run so far; None where there are none."""
    try:
        summary = results.read(run.directory)
    except InputError:
        return None
    return summary if summary["rows"] else None


def comparable(known: Sequence[Row], summary: Row) -> list[Row]:
    """The published figures that a run's may stand beside: of as many, whole categories, and trained weights."""
    config = summary["config"]
    if is_random(summary) or config["partial"] or config["max_queries"]:
        return []
    return [row for row in known if int(row["categories"]) == len(plan.done(summary["rows"]))]


def is_random(summary: Row) -> bool:
    """Whether the weights of a run are random, which says nothing of its encoder."""
    return summary["config"]["weights"] == RANDOM


def markdown(runs: Sequence[Run], missing: Mapping[str, str], command: str) -> str:
    """The report: what is missing, then for each data set and encoder the tables and the claims.

    `missing` has the reason of what could not be run by its name.
    """
    parts = [
        "# Reproduction\n",
        f"```bash\n{command}\n```\n",
        "Percent: mean over categories and random draws of the support ± its standard error over the draws, which says "
        "nothing of other categories. Below our figures stand published ones where all categories were evaluated. A "
        "difference is claimed where the 95 % interval of the paired differences over the draws excludes 0.\n",
    ]
    lines = [f"- {name}: {reason}\n" for name, reason in missing.items()]
    read_runs = [(run, summary) for run in runs if (summary := read(run))]
    started = {run.name for run, _ in read_runs}
    lines += [f"- {run.name}: not run yet\n" for run in runs if run.name not in started | set(missing)]
    lines += [_unfinished(run, summary) for run, summary in read_runs if run.name not in missing]
    if "".join(lines):
        parts.append(f"## Missing\n\n{''.join(lines)}")
    for dataset in dict.fromkeys(run.data.name for run, _ in read_runs):
        parts.append(f"## {dataset}\n")
        parts += [_of_run(run, summary) for run, summary in read_runs if run.data.name == dataset]
    return "\n".join(parts)


def _unfinished(run: Run, summary: Row) -> str:
    left = [name for name in run.config.category if name not in plan.done(summary["rows"])]
    return f"- {run.name}: {', '.join(left)} not evaluated yet\n" if left else ""


def _of_run(run: Run, summary: Row) -> str:
    rows, config = summary["rows"], summary["config"]
    compared = comparable(published_figures.by_dataset().get(run.data.name, []), summary)
    title = f"### {config['encoder']}{': RANDOM WEIGHTS' if is_random(summary) else ''}\n"
    note = f"{config['crop_size']} pixels, {config['draws']} draw(s), categories: {', '.join(plan.done(rows))}."
    if config["partial"]:
        note += f" Not complete: {', '.join(config['partial'])}; the figures are not those of the published set."
    if config["max_queries"]:
        note += f" At most {config['max_queries']} test images a category."
    if is_random(summary):
        note += " The weights are random: the figures show that the program runs, and nothing of this encoder."
    parts = [title, f"{note}\n"]
    for metric, name in TITLES.items():
        if any(row[metric] is not None for row in rows):
            known = [row for row in compared if row["metric"] == metric]
            parts += [f"{name}:\n", tables.markdown(of_metric(rows, metric, known, random=is_random(summary)))]
    parts += ["Worst category by image AUROC:\n", tables.markdown(of_worst(rows, random=is_random(summary)))]
    if found := [] if is_random(summary) else claims.claims(rows, compared):
        parts += ["Claims, image AUROC:\n", "".join(f"- {claim}\n" for claim in found)]
    if compared:
        sources = dict.fromkeys(row["source"] for row in compared)
        parts += ["Published:\n", "".join(f"- {source}\n" for source in sources)]
    return "\n".join(parts)


def of_metric(rows: Sequence[Row], metric: str, known: Sequence[Row], *, random: bool) -> list[list[str]]:
    """Cells of a table of methods against shots, published figures below ours."""
    lines = _by_method(rows, metric, lambda figure: tables.percent(figure.mean, figure.error), random=random)
    shots = [int(k) for k in lines[0][1:]]
    for (method, encoder), same in tables.grouped(known, "method", "encoder").items():
        cells = {int(row["shots"]): row["percent"] for row in same}
        if cells.keys() & set(shots):
            name = f"{method}, published{f', {encoder}' if encoder else ''}"
            lines.append([name, *(cells.get(k, "-") for k in shots)])
    return lines


def of_worst(rows: Sequence[Row], *, random: bool) -> list[list[str]]:
    """Cells of a table of the worst category of each method and number of shots, by image AUROC."""
    return _by_method(rows, "image_auroc", lambda f: f"{f.worst[0]} {100 * f.worst[1]:.1f}", random=random)


def _by_method(
    rows: Sequence[Row], metric: str, cell: Callable[[claims.Figure], str], *, random: bool
) -> list[list[str]]:
    groups = tables.grouped(rows, "method", "shots")
    shots = list(dict.fromkeys(k for _, k in groups))
    lines = [["method", *map(str, shots)]]
    for method in dict.fromkeys(method for method, _ in groups):
        figures = [claims.figure(groups[method, k], metric) for k in shots]
        name = f"{method}, random weights" if random else method
        lines.append([name, *(cell(figure) if figure else "-" for figure in figures)])
    return lines


def table(runs: Sequence[Run]) -> str:
    """The same figures as CSV, as fractions."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for run in runs:
        summary = read(run)
        for (method, shots), rows in tables.grouped(summary["rows"], "method", "shots").items() if summary else ():
            config, there = summary["config"], plan.done(rows)
            common = {"dataset": run.data.name, "encoder": config["encoder"], "weights": config["weights"]}
            common |= {"size": config["crop_size"], "categories": len(there), "draws": config["draws"]}
            common |= {"missing_categories": len(run.config.category) - len(there), "method": method, "shots": shots}
            for metric in TITLES:
                found = claims.figure(rows, metric)
                if found:
                    facts = {"mean": found.mean, "standard_error": found.error, "worst": found.worst[1]}
                    writer.writerow(common | {"metric": metric, "worst_category": found.worst[0]} | facts)
    return text.getvalue()


def write(directory: Path, runs: Sequence[Run], missing: Mapping[str, str], command: str) -> None:
    """Write report.md and report.csv, each whole or not at all."""
    files.write_text(directory / "report.csv", table(runs))
    files.write_text(directory / "report.md", markdown(runs, missing, command))
