"""The paper's table for a data set: the published figures, every method of this project, and their differences.

    python scripts/paper_table.py --dataset=mvtec_ad --data_dir=DATA --encoder=wide_resnet50_2
    python scripts/paper_table.py --results=results/mvtec_ad,results/demo --reference=patchcore

The first takes the flags of `python -m fastrecon_jax.eval`, which it runs (or resumes, or finds finished); by default
all methods, 2, 4 and 8 shots, five random draws. The second makes one table of the parts of several finished runs.
Under the table of means stand the differences between each method and the reference on the same parts and draws, with
intervals and p-values. The published figures and their sources are in published.csv beside it.
"""

import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import published_figures
from absl import flags

from fastrecon_jax import files
from fastrecon_jax.command_line import commands, console
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, run, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.tables import Row

METRICS = {"image": "image_auroc", "pixel": "pixel_auroc"}
RESAMPLES = 10_000
# Settings that the runs of one table have in common, beside those of their methods.
_SAME = (
    *("encoder", "weights", "weights_sha256", "dtype", "image_size", "crop_size"),
    *("support", "max_queries", "image_score"),
)

_RESULTS = flags.DEFINE_list(
    "results", [], "directories of finished runs, whose parts enter one table; by default the evaluation is run here"
)
_REFERENCE = flags.DEFINE_string(
    "reference", "", "method that the others are compared with; by default fastrecon, or the first without it"
)


def published(dataset: str) -> list[Row]:
    """The published figures of a data set; InputError where there are none."""
    known = published_figures.by_dataset()
    if dataset not in known:
        raise InputError(f"--dataset={dataset} has no published figures: allowed are {', '.join(known)}")
    return known[dataset]


def table(known: Sequence[Row], means: Sequence[Row], shots: Sequence[int]) -> list[list[str]]:
    """Cells of the table: published figures above ours, AUROC in percent.

    Takes rows of the file, means of our results from `tables.means`, and the numbers of shots that are the columns.
    """
    lines = [["method", "encoder", "categories", *(f"{name} {k}" for name in METRICS for k in shots)]]
    for method in dict.fromkeys(row["method"] for row in known):
        of_method = [row for row in known if row["method"] == method]
        cells = {(row["metric"], int(row["shots"])): row["percent"] for row in of_method}
        figures = [cells.get((metric, k), "-") for metric in METRICS.values() for k in shots]
        if set(figures) != {"-"}:
            lines.append([f"{method}, published", of_method[0]["encoder"] or "-", of_method[0]["categories"], *figures])
    for method in dict.fromkeys(mean["method"] for mean in means):
        ours = {mean["shots"]: mean for mean in means if mean["method"] == method}
        first = next(iter(ours.values()))
        figures = [tables.percent(ours[k][m], ours[k][f"{m}_std"]) for m in METRICS.values() for k in shots]
        lines.append([f"{method}, ours", first["encoder"], str(first["categories"]), *figures])
    return lines


def read(directories: Sequence[Path]) -> list[Row]:
    """The rows of finished runs as those of one, each part with its data set before its name.

    InputError where a run is not finished, where two have other settings, or where draws do not pair up.
    """
    rows: list[Row] = []
    facts: Row = {}
    for directory in directories:
        summary = results.read(directory)
        config = summary["config"]
        left = set(config["category"]) - {row["category"] for row in summary["rows"]}
        if left:
            raise InputError(f"{directory} has no results of {', '.join(sorted(left))} yet: let the evaluation finish")
        settings = {f"settings of {method}": values for method, values in config["settings"].items()}
        for name, value in ({name: config[name] for name in _SAME} | settings).items():
            if facts.setdefault(name, value) != value:
                raise InputError(f"{directory} cannot join the table: {name} was {facts[name]!r} and is {value!r}")
        rows += [row | {"category": f"{row['dataset']}/{row['category']}"} for row in summary["rows"]]
    datasets = ", ".join(dict.fromkeys(row["dataset"] for row in rows))
    rows = [row | {"dataset": datasets} for row in rows]  # `tables.means` keeps data sets apart
    require_pairs(rows)
    return rows


def require_pairs(rows: Sequence[Row]) -> None:
    """InputError unless every method has every part with every number of shots and every draw, once."""
    keys = ("method", "shots", "category", "seed")
    there = tables.grouped(rows, *keys)
    twice = [key for key, same in there.items() if len(same) > 1]
    wanted = itertools.product(*(dict.fromkeys(row[key] for row in rows) for key in keys))
    missing = [key for key in wanted if key not in there]
    for found, words in ((twice, "there twice"), (missing, "missing")):
        if found:
            method, shots, category, seed = found[0]
            more = f", and {len(found) - 1} more" if len(found) > 1 else ""
            raise InputError(
                f"results do not pair up: {method} on {category} with {shots} shots, draw {seed}, is {words}{more}; "
                "every method needs the same parts, shots and draws"
            )


def significance(rows: Sequence[Row], reference: str) -> list[Row]:
    """What `tables.paired` tells of the pairs (part, draw), with intervals and p-values over both parts and draws.

    Each row has, for each metric of `tables.SUMMARY`, the mean difference to the reference method, as `METRIC_interval`
    its 95 % interval, and as `METRIC_p` the share of resamples in which it is 0 or less; None where the metric is
    undefined. Takes rows that pair up.
    """
    found = []
    for difference in tables.paired(rows, baseline=reference):
        of_shots = [row for row in rows if row["shots"] == difference["shots"]]
        for metric in tables.SUMMARY.values():
            means = None
            if difference[metric] is not None:
                ours, theirs = (_grid(of_shots, method, metric) for method in (difference["method"], reference))
                means = resampled(ours - theirs)
                low, high = np.percentile(means, [2.5, 97.5])
                difference |= {f"{metric}_interval": [float(low), float(high)]}
            difference |= {f"{metric}_p": None if means is None else float((means <= 0).mean())}
        found.append(difference)
    return found


def _grid(rows: Sequence[Row], method: str, metric: str) -> np.ndarray:
    """The metric by part and draw, (p, d)."""
    parts, seeds = (dict.fromkeys(row[key] for row in rows) for key in ("category", "seed"))
    cells = {(row["category"], row["seed"]): row[metric] for row in rows if row["method"] == method}
    return np.array([[cells[part, seed] for seed in seeds] for part in parts])


def resampled(values: np.ndarray) -> np.ndarray:
    """Means of hierarchical bootstrap resamples of values by part and draw, (p, d), with a fixed seed.

    The draws of a part share its test images and are no independent samples: parts are drawn with replacement first,
    then, for each part drawn, as many of its draws.
    """
    rng = np.random.default_rng(0)
    p, d = values.shape
    parts = rng.integers(p, size=(RESAMPLES, p, 1))
    draws = rng.integers(d, size=(RESAMPLES, p, d))
    return values[parts, draws].mean(axis=(1, 2))


def of_significance(differences: Sequence[Row]) -> list[list[str]]:
    """Cells of the table of differences: those of `tables.of_pairs`, then a column of p-values for each metric."""
    head, *lines = tables.of_pairs(differences)
    for row, line in zip(differences, lines, strict=True):
        ps = (row[f"{metric}_p"] for metric in tables.SUMMARY.values())
        line += ["-" if p is None else f"{p:.4f}" for p in ps]
    return [[*head, *(f"{name} p" for name in tables.SUMMARY)], *lines]


def reference_of(methods: Sequence[str], asked: str) -> str:
    """The method that the others are compared with; InputError where the one asked for is not among them."""
    if asked and asked not in methods:
        raise InputError(f"--reference={asked} is not among the methods: they are {', '.join(methods)}")
    return asked or (results.BASELINE if results.BASELINE in methods else methods[0])


def texts(rows: Sequence[Row], known: Sequence[Row], *, reference: str = "") -> tuple[str, str]:
    """Both tables with their notes, for a terminal and in Markdown."""
    methods, shots, parts, seeds = (
        list(dict.fromkeys(row[key] for row in rows)) for key in ("method", "shots", "category", "seed")
    )
    reference = reference_of(methods, reference)
    lines = table(known, tables.means(rows), shots)
    note = "AUROC in percent. Ours: the categories that were evaluated, mean ± deviation over the draws."
    sources = "".join(f"- {source}\n" for source in dict.fromkeys(row["source"] for row in known))
    notes = f"{note} Published:\n\n{sources}" if sources else f"{note}\n"
    plain, markdown = tables.plain(lines), f"{tables.markdown(lines)}\n{notes}"
    if len(methods) > 1 and len(parts) * len(seeds) > 1:  # one pair says nothing about others
        lines = of_significance(significance(rows, reference))
        note = (
            f"Percentage points by which a method is above the reference, with 95 % intervals: {RESAMPLES} bootstrap "
            f"resamples of {len(parts)} part(s), and of {len(seeds)} draw(s) within each. p: share of resamples in "
            "which the method is not above the reference.\n"
        )
        plain, markdown = f"{plain}\n{tables.plain(lines)}\n{note}", f"{markdown}\n{tables.markdown(lines)}\n{note}"
    return plain, markdown


def evaluated() -> tuple[Path | None, list[Row], list[Row]]:
    """Evaluate: the output directory, the rows, and what is published; no directory in processes after the first."""
    unseeded = {"seeds": ()} if command_line.given("support") and not command_line.given("seeds") else {}
    config = command_line.read(EvalConfig, **unseeded)
    known = published(config.dataset)
    reference_of(config.method_names(), _REFERENCE.value)  # refused before hours of work
    directory = run.run(config, tell=commands.tell)
    return directory, [] if directory is None else read([directory]), known


def finished() -> tuple[Path | None, list[Row], list[Row]]:
    """The same of runs that are there: the directory is that of --output_dir, if it is given."""
    surplus = sorted(name for name in commands.flags_of("eval") - {"output_dir", "preset"} if command_line.given(name))
    if surplus:
        raise InputError(f"--{surplus[0]} is not allowed with --results: nothing is evaluated")
    rows = read([Path(files.expanded(directory, "results")) for directory in _RESULTS.value])
    try:
        known = published(rows[0]["dataset"])
    except InputError:  # several data sets, or one without
        known = []
    output = flags.FLAGS["output_dir"].value
    directory = Path(files.expanded(output, "output_dir")) if output else None
    if directory is not None:
        files.make_directory(directory, f"output directory {directory}")
    return directory, rows, known


def main() -> None:
    """Evaluate, or read what was evaluated, then write the table into the output directory."""
    directory, rows, known = finished() if _RESULTS.value else evaluated()
    if not rows:  # one of several processes, of which the first writes
        return
    plain, markdown = texts(rows, known, reference=_REFERENCE.value)
    commands.tell(f"\n{plain}")
    if directory is not None:
        files.write_text(directory / "paper_table.md", markdown)
        commands.tell(f"the table is in {console.shown(directory)}/paper_table.md\n")


if __name__ == "__main__":
    command_line.define(EvalConfig, dataset="mvtec_ad", method=("all",), shots=(2, 4, 8), seeds=(0, 1, 2, 3, 4))
    command_line.run(main)
