"""A comparison as Markdown."""

from fastrecon_jax.comparing import texts
from fastrecon_jax.comparing.comparison import Comparison
from fastrecon_jax.evaluation import tables


def document(comparison: Comparison) -> str:
    """Warnings, the leaderboard, the first metric by part, differences, and sources."""
    parts = ["# Comparison\n"]
    if comparison.warnings:
        parts += ["## Warnings\n", _list(comparison.warnings)]
    parts += ["## Leaderboard\n", tables.markdown(texts.board(comparison))]
    parts += [f"{note}\n" for note in texts.notes(comparison)]
    parts += [f"## {texts.title(comparison.metrics[0])} by part\n", tables.markdown(texts.by_part(comparison))]
    if comparison.differences:
        parts += ["## Differences\n", tables.markdown(texts.of_differences(comparison))]
    runs = [f"{system.name}: {', '.join(str(run.path) for run in system.runs)}" for system in comparison.systems]
    parts += [
        "## Where the figures are from\n",
        _list([*runs, *dict.fromkeys(one.source for one in comparison.published)]),
    ]
    return "\n".join(parts)


def _list(lines: list[str]) -> str:
    return "".join(f"- {' '.join(line.split())}\n" for line in lines)
