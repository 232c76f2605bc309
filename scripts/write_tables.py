"""Writes the tables of measured figures into README.md and docs/, from the numbers kept in docs/figures.

    python scripts/write_tables.py            # rewrites the files that differ
    python scripts/write_tables.py --check    # changes nothing, and fails if a file differs
    python scripts/write_tables.py --take=results/DIR --into=methods --field=data=bottle
                                              # first takes the means of an evaluation into docs/figures/methods.json

A table stands between two comments:

    <!-- table: methods image_auroc encoder=resnet50_v1 data=bottle|demo -->
    <!-- end -->

The first word names docs/figures/methods.json, the second one of its layouts (`table` if there is none). The rest picks
the records whose field has one of these values, in this order. `<!-- source: methods -->` writes the command, the date
and the machine instead, and `<!-- settings: patchcore -->` the settings of a registered method, or of `all`.

A file of figures holds `what`, `command`, `date`, `machine`, `unit`, `layouts` and `records`, or `records_from`, the
path of a CSV file. A layout has `columns`, a template for each column, and takes one line for each record; or it names
the fields that span `rows` and `columns`, and has a template for each `cell`; `join` then names a field whose values
share a cell, with a slash between them.
"""

import csv
import dataclasses
import json
import re
import shlex
import string
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from fastrecon_jax.command_line import flags as command_line  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402

FIGURES = ROOT / "docs" / "figures"
_CHECK = flags.DEFINE_bool("check", False, "change nothing, and fail if a file differs")
_TAKE = flags.DEFINE_string("take", "", "output directory of an evaluation, whose means are taken into --into")
_INTO = flags.DEFINE_string("into", "", "name of the file of figures that takes them")
_FIELD = flags.DEFINE_multi_string("field", [], "FIELD=VALUE of the records taken, instead of the results' own")
_KEYS = ("encoder", "method", "data", "shots")  # which record of a file of figures a result replaces
_BLOCK = re.compile(
    r"(?P<start><!-- (?P<kind>table|source|settings): (?P<words>[^\n]*?) -->\n)(?P<body>.*?)(?P<end><!-- end -->)", re.S
)
_NUMBER = re.compile(r"[-+±/ \d.,()%x]*\d[-+±/ \d.,()%x]*|-|")

Record = Mapping[str, Any]


class _Template(string.Formatter):
    """Format strings over a record: a missing value is empty, a list is joined, a list within it is a range."""

    def get_value(self, key: int | str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:
        return kwargs.get(str(key))

    def format_field(self, value: Any, format_spec: str) -> str:
        if value is None:
            return ""
        if isinstance(value, list):
            separator = ", " if any(isinstance(item, list) for item in value) or format_spec.startswith("+") else " / "
            return separator.join(self._item(item, format_spec) for item in value)
        return format(value, format_spec if not isinstance(value, str) else "")

    def _item(self, item: Any, format_spec: str) -> str:
        ends = item if isinstance(item, list) else [item]
        return " to ".join(format(x, format_spec if x else "") for x in ends)


def documents() -> list[Path]:
    """README and all pages."""
    return [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


def load(name: str) -> dict[str, Any]:
    """The figures of a name, their records read from CSV where they are kept so."""
    path = FIGURES / f"{name}.json"
    if not path.is_file():
        raise InputError(f"{path.relative_to(ROOT)} is missing, which a table names")
    figures = json.loads(path.read_text(encoding="utf-8"))
    if "records_from" in figures:
        with (ROOT / figures["records_from"]).open(encoding="utf-8", newline="") as file:
            figures["records"] = [{key: _value(text) for key, text in row.items()} for row in csv.DictReader(file)]
    return figures


def _value(text: str) -> Any:
    """The number that a cell of a CSV file holds, or its text; None where it is empty."""
    try:
        return float(text) if "." in text else int(text)
    except ValueError:
        return text or None


def table(words: Sequence[str]) -> list[str]:
    """The lines of the table that a comment asks for."""
    name, *rest = words
    layout_name = rest.pop(0) if rest and "=" not in rest[0] else "table"
    figures = load(name)
    if layout_name not in figures["layouts"]:
        raise InputError(f"{name}.json has no layout {layout_name!r}: there are {', '.join(figures['layouts'])}")
    layout, records = figures["layouts"][layout_name], figures["records"]
    for condition in rest:
        field, _, values = condition.partition("=")
        chosen = values.split("|")
        records = [record for value in chosen for record in records if str(record.get(field)) == value]
    if not records:
        raise InputError(f"no record of {name}.json fits {' '.join(rest)}")
    return _lines(_crossed(layout, records) if "rows" in layout else _listed(layout, records))


def _listed(layout: Mapping[str, Any], records: Sequence[Record]) -> list[list[str]]:
    """One line for each record."""
    text = _Template()
    lines = [[text.format(template, **record) for template in layout["columns"].values()] for record in records]
    return [list(layout["columns"]), *lines]


def _crossed(layout: Mapping[str, Any], records: Sequence[Record]) -> list[list[str]]:
    """The values of one field down the side, those of another across the top."""
    text, side, top, join = _Template(), layout["rows"], layout["columns"], layout.get("join", "")
    cells = layout.get("cells") or {"": layout["cell"]}
    across = list(dict.fromkeys(record[top] for record in records))
    if all(isinstance(value, int | float) for value in across):
        across.sort()
    head = [layout.get("title", side), *(" ".join(f"{cell} {value}".split()) for cell in cells for value in across)]
    lines = [head]
    for row in dict.fromkeys(record[side] for record in records):
        line = [f"**{row}**" if row == layout.get("bold") else str(row)]
        for template in cells.values():
            for value in across:
                found = [record for record in records if (record[side], record[top]) == (row, value)]
                if len(found) > 1 and not join:
                    raise InputError(f"{len(found)} records share the cell {row}, {value}: pick fewer of them")
                line.append(" / ".join(text.format(template, **record) for record in found) or "-")
        lines.append(line)
    return lines


def _lines(cells: Sequence[Sequence[str]]) -> list[str]:
    """Markdown; columns of numbers are aligned to the right."""
    rows = [[cell if re.search(r"\w", cell) else "-" for cell in row] for row in cells[1:]]
    right = [all(_NUMBER.fullmatch(row[i].replace("*", "")) for row in rows) for i in range(len(cells[0]))]
    rule = ["---:" if numbers else "---" for numbers in right]
    return [f"| {' | '.join(row)} |" for row in (cells[0], rule, *rows)]


def source(words: Sequence[str]) -> list[str]:
    """The command, the date and the machine of a file of figures."""
    figures = load(words[0])
    facts = [figures.get(key) for key in ("what", "unit", "encoder", "date", "machine")]
    lines = ["; ".join(fact for fact in facts if fact) + (":" if figures.get("command") else ".")]
    commands = figures.get("command") or []
    return [*lines, "", "```bash", *commands, "```"] if commands else lines


def settings(words: Sequence[str]) -> list[str]:
    """The settings of a registered method, or of all, as its file declares them."""
    from fastrecon_jax import methods  # it takes a second, and only these tables need it

    names = methods.names() if words[0] == "all" else words
    cells = [
        [f"`{name}`", f"`--{field.name}`", _default(field.default), field.metadata["help"]]
        for name in names
        for field in dataclasses.fields(methods.registration(name).settings)
    ]
    if not cells:
        return ["None."]
    head = ["method", "flag", "default", "meaning"]
    return _lines([head, *cells] if words[0] == "all" else [line[1:] for line in (head, *cells)])


def _default(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else "-" if value is None else f"{value}"


def rewritten(text: str) -> str:
    """A document with its tables made anew."""

    def block(match: re.Match[str]) -> str:
        write = {"table": table, "source": source, "settings": settings}[match["kind"]]
        return "\n".join([match["start"], *write(shlex.split(match["words"])), "", match["end"]])

    return _BLOCK.sub(block, text)


def take(directory: Path, name: str, fields: Mapping[str, Any]) -> None:
    """Take the means of an evaluation into a file of figures, in percent, in place of records of the same keys."""
    path = directory / "results.json"
    if not path.is_file():
        raise InputError(f"--take={directory} holds no results.json")
    figures = load(name)
    if "records_from" in figures:
        raise InputError(f"--into={name} is kept in {figures['records_from']}: change that file")
    records = {tuple(record.get(key) for key in _KEYS): record for record in figures["records"]}
    wanted = {key for record in figures["records"] for key in record} - set(_KEYS)
    for mean in json.loads(path.read_text(encoding="utf-8"))["mean"]:
        record = {key: ({**mean, **fields}).get(key) for key in _KEYS}
        metrics = {key: round(100 * mean[key], 1) for key in mean if key in wanted and mean[key] is not None}
        key = tuple(record.values())
        records[key] = {**records.get(key, {}), **record, **metrics}
    (FIGURES / f"{name}.json").write_text(_written({**figures, "records": list(records.values())}), encoding="utf-8")


def _written(figures: Mapping[str, Any]) -> str:
    """JSON with one record a line, so that a change of figures is a change of few lines."""
    head = {key: value for key, value in figures.items() if key not in ("layouts", "records")}
    lines = [f"  {json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}," for key, value in head.items()]
    layouts = json.dumps(figures["layouts"], ensure_ascii=False, indent=2).replace("\n", "\n  ")
    records = ",\n".join(f"    {json.dumps(record, ensure_ascii=False)}" for record in figures["records"])
    return "\n".join(["{", *lines, f'  "layouts": {layouts},', '  "records": [', records, "  ]", "}", ""])


def main() -> None:
    """Rewrite the documents that differ, or name them."""
    if _TAKE.value:
        if not _INTO.value:
            raise InputError("--into is missing: pass the name of a file of docs/figures, without .json")
        take(Path(_TAKE.value), _INTO.value, dict(field.partition("=")[::2] for field in _FIELD.value))
    differing = []
    for path in documents():
        text = path.read_text(encoding="utf-8")
        new = rewritten(text)
        if new != text:
            differing.append(str(path.relative_to(ROOT)))
            if not _CHECK.value:
                path.write_text(new, encoding="utf-8")
    if _CHECK.value and differing:
        raise InputError(
            f"the tables of {', '.join(differing)} are not those of docs/figures: run python scripts/write_tables.py"
        )
    sys.stdout.write(f"{'rewritten: ' + ', '.join(differing) if differing else 'all tables are up to date'}\n")


if __name__ == "__main__":
    command_line.run(main)
