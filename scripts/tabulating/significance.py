"""How sure the differences between methods are: hierarchical bootstrap over parts, and over draws within each."""

from collections.abc import Sequence

import numpy as np

from fastrecon_jax.comparing.bootstrap import RESAMPLES, interval, resampled
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

__all__ = ["RESAMPLES", "lines", "resampled", "significance"]


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
                difference |= {f"{metric}_interval": list(interval(means))}
            difference |= {f"{metric}_p": None if means is None else float((means <= 0).mean())}
        found.append(difference)
    return found


def _grid(rows: Sequence[Row], method: str, metric: str) -> np.ndarray:
    """The metric by part and draw, (p, d)."""
    parts, seeds = (dict.fromkeys(row[key] for row in rows) for key in ("category", "seed"))
    cells = {(row["category"], row["seed"]): row[metric] for row in rows if row["method"] == method}
    return np.array([[cells[part, seed] for seed in seeds] for part in parts])


def lines(differences: Sequence[Row]) -> list[list[str]]:
    """Cells of the table of differences: those of `tables.of_pairs`, then a column of p-values for each metric."""
    head, *rest = tables.of_pairs(differences)
    for row, line in zip(differences, rest, strict=True):
        ps = (row[f"{metric}_p"] for metric in tables.SUMMARY.values())
        line += ["-" if p is None else f"{p:.4f}" for p in ps]
    return [[*head, *(f"{name} p" for name in tables.SUMMARY)], *rest]
