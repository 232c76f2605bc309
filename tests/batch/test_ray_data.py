"""A real Ray of two workers on this machine, one of which is killed while it works."""

import dataclasses
import os
import signal

import pytest

pytest.importorskip("ray", reason="Ray is not installed: pip install 'fastrecon_jax[ray]'")
pytestmark = pytest.mark.filterwarnings("ignore")  # Ray's own, on Python, pandas and its settings

import pyarrow.parquet as pq  # noqa: E402
import ray  # noqa: E402

from fastrecon_jax.batch import Inspector, cluster, ray_data  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402
from fastrecon_jax.inspection.config import PredictConfig  # noqa: E402
from tests.inspection import line  # noqa: E402

KEYS = ("verdict", "score", "threshold", "p_value", "confidence", "regions", "error")


@dataclasses.dataclass(frozen=True)
class Dying(Inspector):
    """Its process is killed at the second block of whoever comes there first."""

    marker: str = ""

    def __call__(self, batch):
        second = "blocks" in self.__dict__
        self.__dict__["blocks"] = True
        if second:
            try:
                os.close(os.open(self.marker, os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(batch)

    @property
    def _opened(self):
        if "opened" not in self.__dict__:
            from fastrecon_jax.batch import opened

            arguments = {name: value for name, value in self.__getstate__().items() if name != "marker"}
            self.__dict__["opened"] = opened.open_part(**arguments)
        return self.__dict__["opened"]


@pytest.fixture(scope="module")
def two_workers():
    ray.init("local", num_cpus=2, log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    yield
    ray.shutdown()


def predict(disc, images, out, tell=line.QUIET, **options):
    config = {"model": str(disc), "images": str(images), "output_dir": str(out), "engine_cluster": "ray"} | options
    return cluster.predict(PredictConfig(batch_size=2, **config), tell=tell)


def rows(out):
    return pq.read_table(out).to_pylist()


def test_no_row_is_lost_and_none_is_there_twice_when_a_worker_is_killed(disc, two_workers, tmp_path, monkeypatch):
    images, out, marker, said = line.write(tmp_path / "images", 20), tmp_path / "out", tmp_path / "killed", []
    line.write(images, 2, start=200, defective=True)
    (images / "broken.png").write_bytes(b"not an image")
    monkeypatch.setattr(cluster, "Inspector", lambda **arguments: Dying(**arguments, marker=str(marker)))
    assert predict(disc, images, out, said.append) == cluster.SOME_UNREADABLE
    assert marker.exists()
    found = {row["path"]: row for row in rows(out)}
    assert len(rows(out)) == len(found) == 23
    line.predict(disc, images, tmp_path / "here", overlays="none", batch_size=2)
    for row in line.lines(tmp_path / "here"):
        there = found.pop(row["path"])
        expected = {key: row[key] or None if row["error"] and key != "error" else row[key] for key in KEYS}
        assert {key: there[key] or None if row["error"] and key != "error" else there[key] for key in KEYS} == expected
    assert not found
    assert "2 workers of 1 core each, Ray" in "".join(said)
    assert "1 unreadable" in "".join(said)


def test_a_mistake_that_a_worker_finds_is_told_in_its_words(disc, two_workers, tmp_path):
    images = line.write(tmp_path / "images", 2)
    with pytest.raises(InputError, match=r"absent\.pth"):
        predict(disc, images, tmp_path / "out", weights=str(tmp_path / "absent.pth"))


def test_a_worker_that_has_no_room_is_refused(two_workers):
    workers = cluster.Workers("", 0, 3, 0.0)
    with pytest.raises(InputError, match="the cluster has no worker's 3 cores"), ray_data._cluster(workers):
        pass
