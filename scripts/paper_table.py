"""The paper's table for a data set: the published figures, and under them every method of this project.

    python scripts/paper_table.py --dataset=mvtec_ad --data_dir=DATA --encoder=wide_resnet50_2

Takes the flags of `python -m fastrecon_jax.eval`, which it runs (or resumes, or finds finished); by default all
methods, 2, 4 and 8 shots, five random draws. The published figures and their sources are in published.csv beside it.
"""

import csv
import sys
from collections.abc import Sequence
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.command_line import flags
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, run, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.tables import Row

PUBLISHED = Path(__file__).with_name("published.csv")
METRICS = {"image": "image_auroc", "pixel": "pixel_auroc"}


def published(dataset: str) -> list[Row]:
    """The published figures of a data set; InputError where there are none."""
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    known = dict.fromkeys(row["dataset"] for row in rows)
    if dataset not in known:
        raise InputError(f"--dataset={dataset} has no published figures: allowed are {', '.join(known)}")
    return [row for row in rows if row["dataset"] == dataset]


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


def main() -> None:
    """Evaluate, then write the table into the output directory."""
    unseeded = {"seeds": ()} if flags.given("support") and not flags.given("seeds") else {}
    config = flags.read(EvalConfig, **unseeded)
    known = published(config.dataset)
    directory = run.run(config, tell=sys.stdout.write)
    if directory is None:  # one of several processes, of which the first writes
        return
    summary = results.read(directory)
    lines = table(known, summary["mean"], config.shots)
    sources = "".join(f"- {source}\n" for source in dict.fromkeys(row["source"] for row in known))
    note = "AUROC in percent. Ours: the categories that were evaluated, mean ± deviation over the draws. Published:\n"
    files.write_text(directory / "paper_table.md", f"{tables.markdown(lines)}\n{note}\n{sources}")
    sys.stdout.write(f"\n{tables.plain(lines)}\nthe table is in {directory / 'paper_table.md'}\n")


if __name__ == "__main__":
    flags.define(EvalConfig, dataset="mvtec_ad", method=("all",), shots=(2, 4, 8), seeds=(0, 1, 2, 3, 4))
    flags.run(main)
