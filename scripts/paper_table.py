"""The paper's table for a data set: published figures, every method of this project, differences, and what each costs.

    python scripts/paper_table.py --dataset=mvtec_ad --data_dir=DATA --encoder=wide_resnet50_2
    python scripts/paper_table.py --dataset=mvtec_ad --data_dir=DATA --category=bottle --regad_data_dir=PARTS
    python scripts/paper_table.py --results=results/mvtec_ad,results/demo --reference=patchcore

The first takes the flags of `python -m fastrecon_jax.eval`, which it runs (or resumes, or finds finished); by default
all methods, 2, 4 and 8 shots, five random draws. RegAD's encoder is meta-trained before, on the other categories of the
data set or of another directory. The last makes one table of the parts of several finished runs. Under the table of
means stand the differences between each method and the reference on the same parts and draws, with intervals and
p-values, then what each method took. The published figures and their sources are in published.csv beside it.
"""

import json
from collections.abc import Sequence
from pathlib import Path

import published_figures
from absl import flags
from tabulating import joining, meta_trained, significance, systems
from tabulating.joining import Joined

from fastrecon_jax import files
from fastrecon_jax.command_line import commands, console
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, run, setup, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.tables import Row

_RESULTS = flags.DEFINE_list(
    "results", [], "directories of finished runs, whose parts enter one table; by default the evaluation is run here"
)
_REFERENCE = flags.DEFINE_string(
    "reference", "", "method that the others are compared with; by default fastrecon, or the first without it"
)
_REGAD_DATA_DIR = flags.DEFINE_string(
    "regad_data_dir",
    "",
    "directory that holds the categories on which regad is meta-trained, without the one that is tested; by default "
    "those of the data set; none: regad takes --encoder as it is",
)
_REGAD_WEIGHTS = flags.DEFINE_string(
    "regad_weights", "", "weights of resnet18 that the meta-training begins with, as --weights has them"
)


def published(dataset: str) -> list[Row]:
    """The published figures of a data set; InputError where there are none."""
    known = published_figures.by_dataset()
    if dataset not in known:
        raise InputError(f"--dataset={dataset} has no published figures: allowed are {', '.join(known)}")
    return known[dataset]


def reference_of(methods: Sequence[str], asked: str) -> str:
    """The method that the others are compared with; InputError where the one asked for is not among them."""
    if asked and asked not in methods:
        raise InputError(f"--reference={asked} is not among the methods: they are {', '.join(methods)}")
    return asked or (results.BASELINE if results.BASELINE in methods else methods[0])


def texts(joined: Joined, known: Sequence[Row], *, reference: str = "") -> tuple[str, str]:
    """The tables with their notes, for a terminal and in Markdown."""
    rows = joined.rows
    methods, shots, parts, seeds = (
        list(dict.fromkeys(row[key] for row in rows)) for key in ("method", "shots", "category", "seed")
    )
    reference = reference_of(methods, reference)
    found = systems.accuracy(known, tables.means(rows), shots)
    note = "AUROC and AUPRO in percent. Ours: the categories that were evaluated, mean ± deviation over the draws."
    sources = "".join(f"- {source}\n" for source in dict.fromkeys(row["source"] for row in known))
    tables_and_notes = [(found, f"{note}\n", f"{note} Published:\n\n{sources}" if sources else f"{note}\n")]
    if len(methods) > 1 and len(parts) * len(seeds) > 1:  # one pair says nothing about others
        note = (
            "Percentage points by which a method is above the reference, with 95 % intervals: "
            f"{significance.RESAMPLES} bootstrap resamples of {len(parts)} part(s), and of {len(seeds)} draw(s) within "
            "each. p: share of resamples in which the method is not above the reference.\n"
        )
        tables_and_notes.append((significance.lines(significance.significance(rows, reference)), note, note))
    note = "Means over parts and draws; the encoder is in both times, and a method's own training in that of the fit.\n"
    tables_and_notes.append((systems.cost(rows, joined.training, shots), note, note))
    plain = "\n".join(f"{tables.plain(cells)}{short}" for cells, short, _ in tables_and_notes)
    markdown = "\n".join(f"{tables.markdown(cells)}\n{long}" for cells, _, long in tables_and_notes)
    return plain, markdown


def numbers(joined: Joined) -> str:
    """The means and the costs as JSON: metrics as fractions of 1, seconds."""
    values = {"means": tables.means(joined.rows), "costs": systems.costs(joined.rows, joined.training)}
    by_part = [
        mean | {"part": part}
        for (part,), of_part in tables.grouped(joined.rows, "category").items()
        for mean in tables.means(of_part)
    ]
    return json.dumps(values | {"parts": by_part}, indent=1)


def evaluated() -> tuple[Path | None, Joined, list[Row]]:
    """Evaluate: the output directory, the rows, and what is published; no directory in processes after the first."""
    unseeded = {"seeds": ()} if command_line.given("support") and not command_line.given("seeds") else {}
    config = command_line.read(EvalConfig, **unseeded)
    known = published(config.dataset)
    reference_of(config.method_names(), _REFERENCE.value)  # refused before hours of work
    setup.divide_cpu(config)
    others, regad = meta_trained.split(config, _REGAD_DATA_DIR.value)
    if regad is not None:
        meta_trained.prepare(config, _REGAD_DATA_DIR.value, _REGAD_WEIGHTS.value, commands.tell)
    directories = [run.run(part, tell=commands.tell) for part in (others, regad) if part is not None]
    if directories[0] is None:
        return None, Joined([], {}), known
    return directories[0], joining.read(directories), known


def finished() -> tuple[Path | None, Joined, list[Row]]:
    """The same of runs that are there: the directory is that of --output_dir, if it is given."""
    names = (commands.flags_of("eval") | {"regad_data_dir", "regad_weights"}) - {"output_dir", "preset"}
    surplus = sorted(name for name in names if command_line.given(name))
    if surplus:
        raise InputError(f"--{surplus[0]} is not allowed with --results: nothing is evaluated")
    joined = joining.read([Path(files.expanded(directory, "results")) for directory in _RESULTS.value])
    try:
        known = published(joined.rows[0]["dataset"])
    except InputError:  # several data sets, or one without
        known = []
    output = flags.FLAGS["output_dir"].value
    directory = Path(files.expanded(output, "output_dir")) if output else None
    if directory is not None:
        files.make_directory(directory, f"output directory {directory}")
    return directory, joined, known


def main() -> None:
    """Evaluate, or read what was evaluated, then write the table into the output directory."""
    directory, joined, known = finished() if _RESULTS.value else evaluated()
    if not joined.rows:  # one of several processes, of which the first writes
        return
    plain, markdown = texts(joined, known, reference=_REFERENCE.value)
    commands.tell(f"\n{plain}")
    if directory is not None:
        files.write_text(directory / "paper_table.md", markdown)
        files.write_text(directory / "paper_table.json", numbers(joined))
        commands.tell(f"the table is in {console.shown(directory)}/paper_table.md, as numbers in paper_table.json\n")


if __name__ == "__main__":
    command_line.define(EvalConfig, dataset="mvtec_ad", method=("all",), shots=(2, 4, 8), seeds=(0, 1, 2, 3, 4))
    command_line.run(main)
