"""What pages without anything from elsewhere are made of: the document with its styles, and tables."""

import importlib.resources
from collections.abc import Iterable, Sequence
from html import escape

_STYLES = (("fastrecon_jax.inspection", "page.css"), ("fastrecon_jax.reporting", "report.css"))


def document(title: str, body: str, *styles: tuple[str, str]) -> str:
    """A page of one file; `styles` are more style sheets, by package and name."""
    css = "".join(_beside(package, name) for package, name in (*_STYLES, *styles))
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{css}</style>
</head>
<body>
<main>
{body}
</main>
</body>
</html>
"""


def _beside(package: str, name: str) -> str:
    return importlib.resources.files(package).joinpath(name).read_text(encoding="utf-8")


def table(title: str, head: Iterable[str], rows: Sequence[Sequence[str]]) -> str:
    """A table that scrolls by itself where it is wider than the page; the first cell of each row is its head."""
    names = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join(
        f'<tr><th scope="row">{escape(row[0])}</th>' + "".join(f"<td>{escape(cell)}</td>" for cell in row[1:]) + "</tr>"
        for row in rows
    )
    return (
        f'<div class="wide" role="region" tabindex="0" aria-label="{escape(title)}"><table>'
        f"<thead><tr>{names}</tr></thead><tbody>{body}</tbody></table></div>"
    )
