"""The accessibility of a page by axe-core, whose script comes with a package for tests."""

import importlib.util
from pathlib import Path

_FOUND = importlib.util.find_spec("axe_playwright_python")
SCRIPT = Path(_FOUND.origin).with_name("axe.min.js") if _FOUND else None
_RUN = "axe.run().then((found) => found.violations.map((one) => one.id + ': ' + one.nodes.map((n) => n.html)))"


def findings(page):
    """What axe-core finds wrong with the page as it is, with the elements."""
    page.evaluate(SCRIPT.read_text(encoding="utf-8") + ";0")
    return page.evaluate(_RUN)
