"""Processes that know nothing of each other inspect shares of the images, whose results are joined."""

import json
from pathlib import Path

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection import join, shards
from fastrecon_jax.inspection.join import JoinConfig
from fastrecon_jax.inspection.shards import Shard
from tests.inspection import line


@pytest.fixture
def images(tmp_path):
    folder = line.write(tmp_path / "images", 3)
    line.write(folder, 2, start=200, defective=True)
    (folder / "broken.png").write_bytes(b"")
    return folder


def joined(output, tell=line.QUIET):
    join.join(JoinConfig(output_dir=str(output)), tell=tell)
    return line.lines(output)


def by_path(rows):
    of_the_run = ("path", "time", "milliseconds", "overlay")
    return {row["path"]: {key: value for key, value in row.items() if key not in of_the_run} for row in rows}


@pytest.mark.parametrize(("count", "of"), [(10, 3), (3, 10), (0, 2), (1, 1), (1000, 7)])
def test_shares_are_all_images_once_and_of_one_size(count, of):
    paths = [Path(f"{i}.png") for i in range(count)]
    shares = [shards.share(Shard(i, of), paths) for i in range(1, of + 1)]
    assert [path for share in shares for path in share] == paths
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@pytest.mark.parametrize("text", ["0/8", "9/8", "3", "a/b", "-1/3", "1/0", "1/3/4"])
def test_what_is_no_shard_is_refused(text):
    with pytest.raises(InputError, match=f"--shard={text} is not allowed: it must be I/N, from 1/8 to 8/8"):
        shards.parse(text)


def test_the_joined_rows_are_those_of_one_run(disc, images, tmp_path):
    out, said = tmp_path / "out", []
    codes = [line.predict(disc, images, out, shard=f"{i}/4", overlays="suspicious") for i in (3, 1, 4, 2)]
    assert sorted(codes) == [0, 0, 0, 3]
    rows = joined(out, said.append)
    line.predict(disc, images, tmp_path / "one", overlays="suspicious")
    assert by_path(rows) == by_path(line.lines(tmp_path / "one"))
    assert len(rows) == 6
    assert [row["path"] for row in line.table(out)] == [row["path"] for row in rows]
    pictures = [row["overlay"] for row in rows if row["overlay"]]
    assert pictures
    assert all((out / picture).is_file() for picture in pictures)
    assert "1 unreadable" in "".join(said)
    assert "4 shards are in" in "".join(said)


def test_a_run_without_a_shard_goes_on_from_the_joined_rows(disc, images, tmp_path):
    out, said = tmp_path / "out", []
    for i in (1, 2):
        line.predict(disc, images, out, shard=f"{i}/2", overlays="none")
    rows = joined(out)
    line.write(images, 1, start=300)
    line.predict(disc, images, out, overlays="none", tell=said.append)
    assert "2 images to inspect, 5 more were inspected before" in "".join(said)  # the broken one is tried again
    assert line.lines(out)[:6] == rows
    assert (out / "index.html").is_file()


def test_a_shard_that_is_missing_or_not_done_is_named(disc, images, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(InputError, match="out holds no shards: predict --shard=1/8"):
        joined(out)
    line.predict(disc, images, out, shard="1/3", overlays="none")
    with pytest.raises(InputError, match="out lacks --shard=2/3, --shard=3/3: run predict with these"):
        joined(out)
    for i in (2, 3):
        line.predict(disc, images, out, shard=f"{i}/3", overlays="none")
    rows = out / "shard-2-of-3" / "results.jsonl"
    rows.write_text(rows.read_text().splitlines(keepends=True)[0])
    with pytest.raises(InputError, match=r"shard-2-of-3 has 1 of 2 rows: the same command with --shard=2/3 resumes it"):
        joined(out)
    assert not (out / "results.csv").exists()
    line.predict(disc, images, out, shard="2/3", overlays="none")
    assert len(joined(out)) == 6


def test_shards_of_different_runs_are_told_apart(disc, images, tmp_path):
    out = tmp_path / "out"
    line.predict(disc, images, out, shard="1/2", overlays="none")
    line.write(images, 1, start=300)
    with pytest.raises(InputError, match=r"images was 6 images, .* and is 7 images"):
        line.predict(disc, images, out, shard="1/2", overlays="none")
    line.predict(disc, images, out, shard="2/2", overlays="none")
    with pytest.raises(InputError, match="shard-1-of-2 and shard-2-of-2 are of different runs: images is 6 images"):
        joined(out)
    line.predict(disc, images, out, shard="1/4", overlays="none")
    with pytest.raises(InputError, match="holds shard-1-of-2 and shard-2-of-2: keep the shards of one number alone"):
        joined(out)


def test_more_shards_than_images_leave_some_empty(disc, images, tmp_path):
    out = tmp_path / "out"
    for i in range(1, 9):
        line.predict(disc, images, out, shard=f"{i}/8", overlays="none")
    assert len(joined(out)) == 6


def test_a_shard_cannot_be_watched(disc, images, tmp_path):
    with pytest.raises(InputError, match="--watch=True is not allowed: --shard divides the images that are there"):
        line.predict(disc, images, tmp_path / "out", shard="1/2", watch=True)


def test_a_damaged_record_is_named(disc, images, tmp_path):
    out = tmp_path / "out"
    line.predict(disc, images, out, shard="1/1", overlays="none")
    (out / "shard-1-of-1" / "run.json").write_text(json.dumps([]))
    with pytest.raises(InputError, match=r"run\.json is damaged: name another directory"):
        joined(out)
