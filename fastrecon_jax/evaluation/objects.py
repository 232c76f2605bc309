"""Objects that several photographs show, in the results: each with the label and the score of its worst photograph."""

from collections.abc import Sequence

import numpy as np

from fastrecon_jax import metrics
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

SAMPLE = "sample"  # the column that names the object
COLUMNS = ("dataset", "category", "seed", "shots", SAMPLE, "label", "score", "method")


def rows(scores: Sequence[Row]) -> list[Row]:
    """A row for each category, method, number of shots, draw and object; none where images are objects of their own."""
    if not scores or SAMPLE not in scores[0]:
        return []
    found = []
    for group in tables.grouped(scores, "category", "method", "shots", "seed").values():
        labels = np.array([int(row["label"]) for row in group], bool)
        values = np.array([float(row["score"]) for row in group])
        common = {name: group[0][name] for name in ("dataset", "category", "seed", "shots", "method")}
        found += [
            common | {SAMPLE: name, "label": int(label), "score": float(score)}
            for name, label, score in zip(*metrics.worst([row[SAMPLE] for row in group], labels, values), strict=True)
        ]
    return found
