"""A comparison as LaTeX tables for a paper, with booktabs."""

from collections.abc import Sequence

from fastrecon_jax.comparing import texts
from fastrecon_jax.comparing.comparison import Comparison
from fastrecon_jax.comparing.summary import Figure

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
} | {sign: f"\\{sign}" for sign in "&%$#_"}


def document(comparison: Comparison) -> str:
    """Two `tabular`s, the leaderboard and the differences, to be put into tables of a paper.

    The best mean of each number of shots among what was measured is bold, where there are several.
    """
    head, *rows = texts.board(comparison)
    cells = [[escaped(cell) for cell in row] for row in rows]
    for row, column in _best(comparison):
        cells[row][column] = rf"\textbf{{{cells[row][column]}}}"
    measured = len(comparison.lines)
    parts = ["% \\usepackage{booktabs}\n", *(f"% Warning: {_line(text)}\n" for text in comparison.warnings)]
    parts += [f"% {_line(note)}\n" for note in texts.notes(comparison)]
    parts.append(_tabular(head, cells[:measured], cells[measured:]))
    parts += [f"% {_line(source)}\n" for source in dict.fromkeys(one.source for one in comparison.published)]
    if comparison.differences:
        first, *differences = texts.of_differences(comparison)
        parts.append(_tabular(first, [[escaped(cell) for cell in row] for row in differences], []))
    return "\n".join(parts)


def _best(comparison: Comparison) -> list[tuple[int, int]]:
    """Row and column of the best means."""
    found = []
    for shots in dict.fromkeys(line.shots for line in comparison.lines):
        rows = [i for i, line in enumerate(comparison.lines) if line.shots == shots]
        for column, metric in enumerate(comparison.metrics, 4):
            known: dict[int, Figure] = {i: of for i in rows if (of := comparison.lines[i].figures[metric])}
            if len(known) > 1:
                best = max(of.mean for of in known.values())
                found += [(i, column) for i, of in known.items() if of.mean == best]
    return found


def _tabular(head: Sequence[str], rows: Sequence[Sequence[str]], others: Sequence[Sequence[str]]) -> str:
    lines = [rf"\begin{{tabular}}{{l{'r' * (len(head) - 1)}}}", r"\toprule"]
    lines += [_row([escaped(cell) for cell in head]), r"\midrule", *map(_row, rows)]
    lines += [r"\midrule", *map(_row, others)] if others else []
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", ""])


def _row(cells: Sequence[str]) -> str:
    return f"{' & '.join(cells)} \\\\"


def escaped(text: str) -> str:
    """Text without signs that LaTeX acts upon."""
    return "".join(_SIGNS.get(sign, sign) for sign in _line(text))


def _line(text: str) -> str:
    return " ".join(text.split())
