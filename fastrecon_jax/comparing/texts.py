"""A comparison as cells of tables: for a terminal, Markdown, LaTeX and the page alike."""

from collections.abc import Sequence

from fastrecon_jax.comparing.comparison import Comparison
from fastrecon_jax.comparing.differences import Difference
from fastrecon_jax.comparing.summary import Figure, Line
from fastrecon_jax.evaluation import tables

Cells = list[list[str]]
_TITLES = {
    "image_auroc": "image AUROC",
    "image_ap": "image AP",
    "image_f1max": "image F1-max",
    "pixel_auroc": "pixel AUROC",
    "pixel_ap": "pixel AP",
    "pixel_f1max": "pixel F1-max",
    "aupro": "AUPRO",
}
_KINDS = {"resident": "", "device": " on the device"}


def title(metric: str) -> str:
    """A metric for people."""
    return _TITLES.get(metric, metric.replace("_", " "))


def short_parts(comparison: Comparison) -> dict[str, str]:
    """Names of parts: without their data set where there is one alone, or where both are called the same."""
    parts = dict.fromkeys(part for line in comparison.lines for part in line.parts)
    alone = len({part.rpartition("/")[0] for part in parts}) == 1
    return {
        part: category if alone or dataset in ("", category) else part
        for part in parts
        for dataset, _, category in [part.rpartition("/")]
    }


def board(comparison: Comparison) -> Cells:
    """The leaderboard: what was measured, then what was published."""
    names, known = short_parts(comparison), shown_costs(comparison)
    heads = [title(metric) for metric in comparison.metrics]
    worst = f"worst part, {heads[0]}"
    lines = [["method", "shots", "parts", "draws", *heads, worst, *known]]
    lines += [_measured(line, comparison.metrics, names, list(known.values())) for line in comparison.lines]
    several = len({part.partition("/")[0] for part in names}) > 1
    for one in comparison.published:
        figures = [one.percent.get(metric, "-") for metric in comparison.metrics]
        where = one.dataset if several else ""
        name = ", ".join(filter(None, (one.method, one.encoder, where, "published")))
        lines.append([name, str(one.shots), str(one.categories), "-", *figures, "-", *["-"] * len(known)])
    return lines


def _measured(line: Line, metrics: Sequence[str], names: dict[str, str], costs: Sequence[str]) -> list[str]:
    first = line.figures[metrics[0]]
    worst = f"{names[first.worst[0]]} {100 * first.worst[1]:.1f}" if first else "-"
    figures = [with_errors(line.figures[metric]) for metric in metrics]
    own = [cost(line, name) for name in costs]
    return [line.name, str(line.shots), str(len(line.parts)), str(line.draws), *figures, worst, *own]


def with_errors(figure: Figure | None) -> str:
    """Such as `97.1 ± 0.3 / 1.2`: mean, standard error over draws, and over parts."""
    if figure is None:
        return "-"
    errors = [f"{100 * error:.1f}" if error is not None else "-" for error in (figure.error, figure.parts_error)]
    return f"{100 * figure.mean:.1f}" + ("" if errors == ["-", "-"] else f" ± {' / '.join(errors)}")


def shown_costs(comparison: Comparison) -> dict[str, str]:
    """Columns of what a system takes, by their heads: those of which something is known."""
    kinds = dict.fromkeys(kind for line in comparison.lines for kind in line.memory)
    heads = {"fit, s": "fit_seconds", "image, ms": "image_seconds"}
    heads |= {f"peak memory{_KINDS.get(kind, f' {kind}')}, GB": kind for kind in kinds}
    return {
        head: name for head, name in heads.items() if any(_cost(line, name) is not None for line in comparison.lines)
    }


def _cost(line: Line, name: str) -> float | int | None:
    if name in ("fit_seconds", "image_seconds"):
        return getattr(line, name)
    return line.memory.get(name)


def cost(line: Line, name: str) -> str:
    """Seconds of a fit, milliseconds of an image, gigabytes."""
    value = _cost(line, name)
    if value is None:
        return "-"
    value *= {"fit_seconds": 1.0, "image_seconds": 1e3}.get(name, 1e-9)
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def by_part(comparison: Comparison) -> Cells:
    """The first metric by part, mean over draws, in percent."""
    names = short_parts(comparison)
    lines = [["method", "shots", *names.values()]]
    for line in comparison.lines:
        values = [line.parts.get(part, {}).get(comparison.metrics[0]) for part in names]
        lines.append([line.name, str(line.shots), *(tables.percent(value, None) for value in values)])
    return lines


def of_differences(comparison: Comparison) -> Cells:
    """Differences in percentage points with both intervals; `*` where one is clear."""
    heads = ["shots", "metric", "parts", "images", "draws"]
    lines = [["first - second", *heads, "difference", "these parts, 95 %", "other parts, 95 %"]]
    for one in comparison.differences:
        draws = f"{one.draws[0]}" if one.paired else f"{one.draws[0]} and {one.draws[1]}, not paired"
        row = [f"{one.first} - {one.second}", str(one.shots), title(one.metric), str(len(one.parts)), str(one.images)]
        intervals = map(_interval, (one.same_parts, one.other_parts), one.clear())
        lines.append([*row, draws, f"{100 * one.value:+.1f}", *intervals])
    return lines


def _interval(interval: tuple[float, float] | None, clear: bool) -> str:
    if interval is None:
        return "-"
    low, high = interval
    return f"{100 * low:+.1f} to {100 * high:+.1f}" + (" *" if clear else "")


def notes(comparison: Comparison) -> list[str]:
    """How to read the tables."""
    lines = [
        "Percent. Behind the mean over parts and draws stand two standard errors, ± over draws / over parts: how far "
        "the mean would move with other support images, and with other parts of the kind; - with one of them.",
    ]
    if shown_costs(comparison):
        lines.append(
            "Seconds are means over parts and draws: the encoder is in both, and a method's own training in that of "
            "the fit. They compare only where the runs had the same machine. Peak memory is that of the whole process, "
            "with all methods of its run."
        )
    if comparison.differences:
        lines += difference_notes(comparison.differences, comparison.resamples)
    if comparison.published:
        lines.append("Published figures are as printed and in no difference: their images and scores are not at hand.")
    return lines


def difference_notes(found: Sequence[Difference], resamples: int) -> list[str]:
    """What is resampled, and what an interval that excludes 0 means among many."""
    tested = sum(interval is not None for one in found for interval in (one.same_parts, one.other_parts))
    clear = sum(sum(one.clear()) for one in found)
    return [
        f"Differences are in percentage points, with 95 % percentile intervals of {resamples} paired bootstrap "
        "resamples. These parts: within each part the test images are resampled, good and defective apart, the same "
        "ones for both and for all draws, and the draws of the support. Other parts: the parts are resampled before "
        "these. Metrics of pixels have no resampled images, for the maps are not kept: there it is draws, and parts.",
        "* marks an interval that excludes 0, where it is made of 6 independent differences or more (images; parts and "
        f"draws; parts): {clear} of {tested}. Of intervals at 95 %, one in 20 excludes 0 where there is no difference. "
        "With few parts or draws, intervals are too narrow.",
    ]
