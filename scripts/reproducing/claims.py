"""What the results of one encoder on one data set say: figures with standard errors, worst categories, claims."""

from collections.abc import Sequence

from scipy import stats

from fastrecon_jax.command_line import console
from fastrecon_jax.comparing.summary import Figure, figure
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

OURS = "fastrecon+"
_PAPER = ("fastrecon", "wide_resnet50_2", "FastRecon")  # method and encoder here, and as published.csv has it
_CONFIDENCE = 0.95  # of the interval that must exclude 0 for a difference to be claimed


def differences(rows: Sequence[Row], method: str, metric: str = "image_auroc") -> list[tuple[str, int, Figure]]:
    """By how much a method is above each other one, with each number of shots, on the same categories and draws."""
    of_key = tables.grouped(rows, "method", "shots")
    found = []
    for (other, shots), theirs in of_key.items():
        if other == method or (method, shots) not in of_key:
            continue
        known = {(row["category"], row["seed"]): row[metric] for row in theirs}
        pairs = [
            row | {metric: _minus(row[metric], known.get((row["category"], row["seed"])))}
            for row in of_key[method, shots]
        ]
        difference = figure(pairs, metric)
        if difference is not None:
            found.append((other, shots, difference))
    return found


def _minus(value: float | None, other: float | None) -> float | None:
    return None if value is None or other is None else value - other


def sentence(subject: str, other: str, shots: int, mean: float, error: float | None, draws: int) -> str:
    """A difference in words, in percentage points; claimed where Student's interval over the draws excludes 0."""
    at = f"at {console.count(shots, 'shot')}"
    if error is None:
        where = "above" if mean >= 0 else "below"
        return f"{subject} is {where} {other} {at} by {100 * abs(mean):.1f}; one draw has no standard error"
    if mean == 0 or abs(mean) <= stats.t.ppf((1 + _CONFIDENCE) / 2, draws - 1) * error:
        return f"{subject} and {other} cannot be told apart {at} ({_points(mean)} ± {100 * error:.1f})"
    by = f"{100 * abs(mean):.1f} ± {100 * error:.1f}"
    return f"{subject} {'beats' if mean > 0 else 'is behind'} {other} {at} by {by}"


def _points(value: float) -> str:
    """Percentage points with their sign; never -0.0."""
    return f"{round(100 * value, 1) + 0.0:+.1f}"


def claims(rows: Sequence[Row], published: Sequence[Row]) -> list[str]:
    """Claims on image AUROC: fastrecon+ against each method, and the paper's method against the paper.

    `published` are the rows that compare: none where categories are missing or weights are random.
    """
    methods = list(dict.fromkeys(row["method"] for row in rows))
    subject = OURS if OURS in methods else methods[0]
    found = []
    for other, shots, difference in differences(rows, subject):
        name, value = difference.worst
        words = sentence(subject, other, shots, difference.mean, difference.error, difference.draws)
        found.append(f"{words}; worst category {name}, {_points(value)}.")
    return found + _against_the_paper(rows, published)


def _against_the_paper(rows: Sequence[Row], published: Sequence[Row]) -> list[str]:
    method, encoder, theirs = _PAPER
    known = {
        int(row["shots"]): row["percent"]
        for row in published
        if (row["method"], row["encoder"], row["metric"]) == (theirs, encoder, "image_auroc")
    }
    ours = [row for row in rows if (row["method"], row["encoder"]) == (method, encoder)]
    found = []
    for (shots,), same in tables.grouped(ours, "shots").items():
        here = figure(same, "image_auroc")
        if here and shots in known:
            above = here.mean - float(known[shots]) / 100
            words = sentence(method, f"the published {theirs}", shots, above, here.error, here.draws)
            found.append(f"{words}: {100 * here.mean:.1f}, published {known[shots]}.")
    return found
