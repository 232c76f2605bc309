"""Join the results of shards into one table: `fastrecon join --output_dir=out`, after `predict --shard=i/n`."""

import contextlib
import dataclasses
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from fastrecon_jax import files, locks
from fastrecon_jax.command_line import commands, flags
from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import ledger, rows, shards
from fastrecon_jax.inspection.predict_config import check_path
from fastrecon_jax.inspection.rows import Counts, Row
from fastrecon_jax.inspection.shards import Shard

_OWN = ("shard", "images")  # of a shard's record, not of that of all images
_LISTED = 5  # shards in a message


@dataclasses.dataclass(frozen=True)
class JoinConfig:
    """Settings of `fastrecon join`."""

    output_dir: str = setting("", "the directory that all shards were given; results.csv and results.jsonl go there")

    def __post_init__(self):
        """Refuse what cannot be meant, naming the flag."""
        check_path(self, "output_dir", "the directory that predict --shard=i/n was given")


CONFIG = JoinConfig


def main() -> None:
    """Join, and say what there is."""
    join(flags.read(CONFIG), tell=commands.tell)


def join(config: JoinConfig, *, tell: Callable[[str], object]) -> None:
    """Write the rows of all shards, one shard after the other, and the record of the run.

    A run of `predict` without a shard goes on from there. InputError if a shard is missing, at work or not done, or if
    they inspected other images or by other parts; nothing is written then.
    """
    place = files.place(config.output_dir, "output_dir")
    found = _found(place)
    with contextlib.ExitStack() as held:
        for directory in (place, *(place / shard.folder for shard in found)):
            if isinstance(directory, Path):
                held.enter_context(locks.directory(directory))
        records = [_record(place, shard) for shard in found]
        _check_alike(found, records)
        counts = _write(place, {shard: record["own"] for shard, record in zip(found, records, strict=True)})
        whole = {key: value for key, value in records[0]["same"].items() if key not in _OWN}
        files.write_text(place / ledger.RUN, json.dumps(records[0] | {"same": whole}, indent=1))
    tell(f"{counts}\n{counts.warnings()}{len(found)} shards are in {place / ledger.TABLE} and {place / ledger.LINES}\n")


def _found(place: Place) -> list[Shard]:
    found = sorted(shard for name in files.names(place) if (shard := shards.from_folder(name)))
    if not found:
        raise InputError(f"--output_dir={place} holds no shards: predict --shard=1/8 --output_dir={place} makes one")
    if len({shard.of for shard in found}) > 1:
        raise InputError(
            f"--output_dir={place} holds {found[0].folder} and {found[-1].folder}: keep the shards of one number alone"
        )
    missing = [shard.flag for n in range(1, found[0].of + 1) if (shard := Shard(n, found[0].of)) not in found]
    if missing:
        more = f" and {len(missing) - _LISTED} more" if len(missing) > _LISTED else ""
        raise InputError(f"--output_dir={place} lacks {', '.join(missing[:_LISTED])}{more}: run predict with these")
    return found


def _record(place: Place, shard: Shard) -> dict[str, Any]:
    with files.local(place / shard.folder / ledger.RUN) as file:
        return ledger.read_record(file)


def _check_alike(found: Sequence[Shard], records: Sequence[dict[str, Any]]) -> None:
    first = records[0]["same"]
    for shard, record in zip(found, records, strict=True):
        for key in sorted(set(first) | set(record["same"])):
            values = [str(same.get(key)) for same in (first, record["same"])]
            if key != "shard" and values[0] != values[1]:
                raise InputError(
                    f"{found[0].folder} and {shard.folder} are of different runs: {key} is {values[0]} and {values[1]}"
                )


def _write(place: Place, wanted: Mapping[Shard, int]) -> Counts:
    """The rows of all shards into one table; each has as many images as `wanted` says."""
    counts = Counts()
    with files.draft(place / ledger.LINES) as lines, files.draft(place / ledger.TABLE) as table:
        table.write(rows.header().encode())
        for shard, count in wanted.items():
            for row in _rows(place, shard, count):
                lines.write(rows.line(row).encode())
                table.write(rows.cells(row).encode())
                counts.add(row)
    return counts


def _rows(place: Place, shard: Shard, wanted: int) -> Iterator[Row]:
    """The last row of each of a shard's images, its picture from the joined table on; InputError if one lacks."""
    with files.local(place / shard.folder / ledger.LINES) as lines:
        last = {row.path: number for number, row in enumerate(ledger.rows_of(lines))}
        if len(last) < wanted:
            raise InputError(
                f"{shard.folder} has {len(last)} of {wanted} rows: the same command with {shard.flag} resumes it"
            )
        for number, row in enumerate(ledger.rows_of(lines)):
            if last[row.path] == number:
                yield row._replace(overlay=f"{shard.folder}/{row.overlay}") if row.overlay else row


if __name__ == "__main__":
    commands.run(CONFIG, main)
