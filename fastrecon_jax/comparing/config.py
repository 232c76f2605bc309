"""The settings of the command compare; each field is a flag, and the runs may stand without one."""

import dataclasses
from pathlib import Path

from fastrecon_jax.command_line.fields import require, require_between, require_once, setting
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables

SUFFIX = ".html"
RESAMPLES = (100, 100_000)


@dataclasses.dataclass(frozen=True)
class CompareConfig:
    """Settings of `python -m fastrecon_jax.compare`."""

    runs: tuple[str, ...] = setting(
        (),
        "output directories of eval, directories with a scores.csv (path, label, score) of another program, or such "
        "files; NAME=DIRECTORY names a run. They may also stand without a flag: compare RUN RUN ...",
        positional=True,
    )
    output: str = setting("comparison.html", "the page to write, .html; .md, .tex and .json go beside it")
    metrics: tuple[str, ...] = setting(
        tuple(tables.SUMMARY.values()), "columns of results.json to compare; the first one decides the order"
    )
    reference: str = setting(
        "", "name of the one that all others are subtracted from, as the table has it; by default each from each"
    )
    published: str = setting(
        "",
        "a .csv of published figures to stand beside, never in a difference: dataset, categories, method, encoder, "
        "metric, shots, percent, source",
    )
    resamples: int = setting(2000, "bootstrap resamples")

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        if not self.runs:
            raise InputError("no runs are given: fastrecon compare DIRECTORY DIRECTORY ...")
        require_once(self, "runs")
        require(self, "output", Path(self.output).suffix == SUFFIX, f"it must end in {SUFFIX}")
        require(self, "metrics", bool(self.metrics), "it must name at least one")
        require_once(self, "metrics")
        require_between(self, "resamples", RESAMPLES)
