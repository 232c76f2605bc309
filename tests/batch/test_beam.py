"""RunInference on Beam's own runner, which works in this process."""

import pytest

pytest.importorskip("apache_beam", reason="Apache Beam is not installed: pip install 'fastrecon_jax[beam]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Beam's own

import apache_beam as beam  # noqa: E402
import pyarrow.parquet as pq  # noqa: E402
from apache_beam.ml.inference.base import RunInference  # noqa: E402

from fastrecon_jax.batch import COLUMNS, Inspector, tables  # noqa: E402
from fastrecon_jax.batch.beam import PartHandler  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402


def inspect(inspector, paths, out):
    with beam.Pipeline("DirectRunner") as pipeline:
        rows = pipeline | beam.Create([str(path) for path in paths]) | RunInference(PartHandler(inspector, images=4))
        rows | beam.io.WriteToParquet(str(out / "rows"), tables.SCHEMA, file_name_suffix=tables.ENDING)


def test_rows_are_those_of_the_inspector(disc, images, tmp_path):
    inspector, paths = Inspector(str(disc), batch_size=2), sorted(images.iterdir())
    inspect(inspector, paths, tmp_path)
    found = {row["path"]: row for row in pq.read_table(tmp_path).to_pylist()}
    assert len(found) == pq.read_table(tmp_path).num_rows == len(paths)
    assert all(list(row) == list(COLUMNS) for row in found.values())
    assert [found[str(path)] for path in paths] == tables.table(inspector(paths)).to_pylist()


def test_a_part_that_is_missing_ends_the_pipeline(images, tmp_path):
    with pytest.raises(InputError, match=r"absent\.safetensors is not there"):
        inspect(Inspector(str(tmp_path / "absent.safetensors")), images.iterdir(), tmp_path)
