"""The plot of an evaluation: AUROC against the number of shots."""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row


def shots(rows: Sequence[Row], title: str) -> Figure:
    """Image AUROC, pixel AUROC and AUPRO against shots, a line for each method, bars of one deviation over the draws.

    Takes rows as `tables.means` does; metrics that are undefined are left out.
    """
    means = tables.means(rows)
    names = {name: metric for name, metric in tables.SUMMARY.items() if all(mean[metric] is not None for mean in means)}
    figure = Figure(figsize=(4.2 * len(names), 4), layout="constrained")
    for axes, (name, metric) in zip(figure.subplots(1, len(names), squeeze=False)[0], names.items(), strict=True):
        for method in dict.fromkeys(mean["method"] for mean in means):
            points = sorted((m for m in means if m["method"] == method), key=lambda mean: mean["shots"])
            values = [100 * m[metric] for m in points]
            bars = [100 * (m[f"{metric}_std"] or 0) for m in points]
            axes.errorbar([m["shots"] for m in points], values, yerr=bars, marker="o", capsize=3, label=method)
        ticks = sorted({mean["shots"] for mean in means})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.set_xlabel("shots")
        axes.set_ylabel(f"{name} AUROC, %" if metric != "aupro" else "AUPRO, %")
        axes.grid(alpha=0.3)
    figure.axes[0].legend(fontsize="small")
    figure.suptitle(title, fontsize="medium")
    return figure


def save(figure: Figure, file: Path) -> None:
    """Write a figure as PNG; InputError where it cannot be written."""
    try:
        figure.savefig(file, dpi=120)
    except OSError as error:
        raise InputError(f"plot {file} cannot be written: {error.strerror or error}") from None
