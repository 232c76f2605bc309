"""The command compare: runs to a page, and the same as Markdown, LaTeX and JSON beside it."""

import json
from collections.abc import Callable

from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.comparing import comparison, latex, markdown, page, texts
from fastrecon_jax.comparing.config import CompareConfig
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables


def compare(config: CompareConfig, *, tell: Callable[[str], object]) -> comparison.Comparison:
    """Compare runs and write what was found; `tell` takes lines for people.

    InputError if a run or a flag cannot be used; earlier files stay then.
    """
    file = files.expanded(config.output, "output")
    if not files.is_dir(file.parent):
        raise InputError(f"--output={config.output}: there is no directory {file.parent}")
    with tqdm(unit="part", disable=None, leave=False) as bar:
        found = comparison.make(config, bar.update)
    written = {
        ".md": markdown.document(found),
        ".tex": latex.document(found),
        ".json": json.dumps(comparison.numbers(found), indent=1, allow_nan=False) + "\n",
        file.suffix: page.html(found),
    }
    for suffix, text in written.items():
        files.write_text(file.with_suffix(suffix), text)
    cells = [texts.board(found), texts.of_differences(found)] if found.differences else [texts.board(found)]
    tell("\n".join(map(tables.plain, cells)))
    tell("".join(f"{note}\n" for note in ["", *texts.notes(found)]))
    tell("".join(f"warning: {shown(line)}\n" for line in found.warnings))
    tell(f"the comparison is in {shown(file)}, and beside it as .md, .tex and .json\n")
    return found
