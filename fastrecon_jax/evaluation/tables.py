"""Tables of results: means over categories and draws, methods beside each other, and their paired differences."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from fastrecon_jax.command_line.console import shown

METRICS = ("image_auroc", "image_ap", "image_f1max", "pixel_auroc", "pixel_ap", "pixel_f1max", "aupro")
SUMMARY = {"image": "image_auroc", "pixel": "pixel_auroc", "AUPRO": "aupro"}
# Figures that the publishers of some data sets prescribe, and those of them that a summary names.
PRESCRIBED = (
    *("aupro_05", "seg_f1", "auspro_05", "auspro_05_logical", "auspro_05_structural"),
    *("image_auroc_logical", "image_auroc_structural", "sample_auroc"),
)
_HEADLINES = {
    "AUPRO 0.05": "aupro_05",
    "SegF1": "seg_f1",
    "AU-sPRO 0.05": "auspro_05",
    "logical": "image_auroc_logical",
    "structural": "image_auroc_structural",
    "sample": "sample_auroc",
}
_GROUP = ("dataset", "method", "shots", "support", "encoder", "weights")
_RESAMPLES = 10_000

Row = dict[str, Any]


def metrics_of(rows: Sequence[Row]) -> tuple[str, ...]:
    """The metrics of a run: the usual ones, and those that the publisher of its data set prescribes."""
    return (*METRICS, *(metric for metric in PRESCRIBED if any(metric in row for row in rows)))


def summary_of(rows: Sequence[Row]) -> dict[str, str]:
    """The metrics that a summary names, by what it calls them."""
    present = metrics_of(rows)
    return SUMMARY | {name: metric for name, metric in _HEADLINES.items() if metric in present}


def grouped(rows: Sequence[Row], *keys: str) -> dict[tuple, list[Row]]:
    """Rows that agree in some keys, by the values of these, in the order of their first rows."""
    groups: dict[tuple, list[Row]] = {}
    for row in rows:
        groups.setdefault(tuple(row[key] for key in keys), []).append(row)
    return groups


def means(rows: Sequence[Row]) -> list[Row]:
    """Means over categories and draws, one row for each method and number of shots.

    Each metric has its mean and, as `METRIC_std`, the standard deviation over the draws of the mean over categories;
    both are None where a category has no such metric, and the deviation where there is a single draw.
    """
    return [_mean(dict(zip(_GROUP, key, strict=True)), group) for key, group in grouped(rows, *_GROUP).items()]


def _mean(group: Row, rows: Sequence[Row]) -> Row:
    seeds = list(dict.fromkeys(row["seed"] for row in rows))
    mean = group | {"categories": len({row["category"] for row in rows}), "draws": len(seeds)}
    for metric in metrics_of(rows):
        values = [[row[metric] for row in rows if row["seed"] == seed] for seed in seeds]
        if any(value is None for draw in values for value in draw):
            mean |= {metric: None, f"{metric}_std": None}
        else:
            draws = [np.mean(draw) for draw in values]
            mean |= {metric: float(np.mean(draws)), f"{metric}_std": float(np.std(draws)) if len(seeds) > 1 else None}
    return mean


def by_category(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of a table: categories with their means (± deviation over the draws), then the mean of all, in percent."""
    lines = [["category", "method", "shots", *map(_title, metrics_of(rows))]]
    for chosen in grouped(rows, "method", "shots").values():
        for (category,), of_category in grouped(chosen, "category").items():
            lines += [_line(category, mean) for mean in means(of_category)]
        lines += [_line(f"mean of {mean['categories']}", mean) for mean in means(chosen)]
    return lines


def _title(metric: str) -> str:
    return metric.replace("_05", "_0.05").replace("_", " ")


def _line(name: str, mean: Row) -> list[str]:
    figures = (percent(mean[metric], mean[f"{metric}_std"]) for metric in metrics_of([mean]))
    return [name, mean["method"], str(mean["shots"]), *figures]


def by_method(rows: Sequence[Row]) -> list[list[str]]:
    """Cells of a table: methods against shots, image and pixel AUROC and AUPRO, means of all in percent.

    Figures that the publisher of the data set prescribes stand behind them.
    """
    summary = summary_of(rows)
    by_key = {(mean["method"], mean["shots"]): mean for mean in means(rows)}
    shots = list(dict.fromkeys(k for _, k in by_key))
    lines = [["method", *(f"{name} {k}" for name in summary for k in shots)]]
    for method in dict.fromkeys(method for method, _ in by_key):
        of_method = [by_key[method, k] for k in shots]
        cells = [percent(mean[m], mean[f"{m}_std"]) for m in summary.values() for mean in of_method]
        lines.append([method, *cells])
    return lines


def paired(rows: Sequence[Row], *, baseline: str) -> list[Row]:
    """Differences between each method and a baseline on the same categories and draws.

    Each row has, for each metric of `summary_of`, the mean difference and as `METRIC_interval` its 95 % bootstrap
    interval over the pairs (category, draw), with a fixed seed; None where the metric is undefined. There are no rows
    if the baseline is not among the methods.
    """
    by_key = {(row["method"], row["shots"], row["category"], row["seed"]): row for row in rows}
    differences: dict[tuple[str, int], list[tuple[Row, Row]]] = {}
    for (method, shots, category, seed), row in by_key.items():
        other = by_key.get((baseline, shots, category, seed))
        if method != baseline and other:
            differences.setdefault((method, shots), []).append((row, other))
    return [
        {"method": method, "baseline": baseline, "shots": shots, "pairs": len(pairs)} | _differences(pairs)
        for (method, shots), pairs in differences.items()
    ]


def _differences(pairs: Sequence[tuple[Row, Row]]) -> Row:
    chosen = np.random.default_rng(0).integers(len(pairs), size=(_RESAMPLES, len(pairs)))
    figures = {}
    for metric in summary_of([row for row, _ in pairs]).values():
        if any(row[metric] is None or other[metric] is None for row, other in pairs):
            figures |= {metric: None, f"{metric}_interval": None}
        else:
            values = np.array([row[metric] - other[metric] for row, other in pairs])
            low, high = np.percentile(values[chosen].mean(axis=1), [2.5, 97.5])
            figures |= {metric: float(values.mean()), f"{metric}_interval": [float(low), float(high)]}
    return figures


def of_pairs(differences: Sequence[Row]) -> list[list[str]]:
    """Cells of a table: paired differences in percentage points, with their intervals."""
    summary = summary_of(differences)
    lines = [["against", "method", "shots", "pairs", *summary]]
    for row in differences:
        cells = [_points(row[metric], row[f"{metric}_interval"]) for metric in summary.values()]
        lines.append([row["baseline"], row["method"], str(row["shots"]), str(row["pairs"]), *cells])
    return lines


def _points(value: float | None, interval: Sequence[float] | None) -> str:
    if value is None:
        return "-"
    return f"{100 * value:+.1f} ({100 * interval[0]:+.1f} to {100 * interval[1]:+.1f})"


def percent(value: float | None, deviation: float | None) -> str:
    """A fraction in percent with its deviation, such as `97.1 ± 0.3`, or `-` where it is undefined."""
    if value is None:
        return "-"
    return f"{100 * value:.1f}" + ("" if deviation is None else f" ± {100 * deviation:.1f}")


def plain(lines: Sequence[Sequence[str]]) -> str:
    """A table in columns for a terminal; the first line of cells is the head."""
    lines = [[shown(cell) for cell in line] for line in lines]
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "".join(
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        + "\n"
        for line in lines
    )


def markdown(lines: Sequence[Sequence[str]]) -> str:
    """A table in Markdown; the first line of cells is the head."""
    rule = ["---", *("---:" for _ in lines[0][1:])]
    return "".join(f"| {' | '.join(map(_escaped, line))} |\n" for line in (lines[0], rule, *lines[1:]))


def _escaped(cell: str) -> str:
    """A cell that does not end its column or its line."""
    return " ".join(cell.replace("|", r"\|").splitlines())
