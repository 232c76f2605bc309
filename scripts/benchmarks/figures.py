"""What a suite measured: a table and, if asked, a file as docs/figures keeps figures, so that no figure is typed."""

import json
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from absl import flags

from benchmarks import options, timing
from fastrecon_jax import files

_OWN = (
    "suite",
    "dataset",
    "category",
    "good",
    "divided",
    "encoder",
    "batch_size",
    "repeats",
)  # flags that decide figures


def report(records: Sequence[Mapping[str, Any]], what: str) -> None:
    """Print a line for each record, whose keys are the columns; write them to --figures with what they are."""
    lines = [[str(value) for value in record.values()] for record in records]
    sys.stdout.write(f"{timing.machine()}; {what}\n\n{timing.table(list(records[0]), lines)}")
    if options.FIGURES.value:
        files.write_text(Path(options.FIGURES.value), json.dumps(_figures(records, what), indent=2) + "\n")


def _figures(records: Sequence[Mapping[str, Any]], what: str) -> dict[str, Any]:
    given = [flag.serialize() for name in _OWN if (flag := flags.FLAGS[name]).present]
    return {
        "what": what,
        "command": [
            " ".join(["python scripts/benchmark.py", *given, *["--data_dir=DIR"] * bool(options.DATA_DIR.value)])
        ],
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{len(os.sched_getaffinity(0))} CPU cores",
        "encoder": options.ENCODER.value,
        "unit": "as the columns say",
        "layouts": {"table": {"columns": {name: f"{{{name}}}" for name in records[0]}}},
        "records": records,
    }
