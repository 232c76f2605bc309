"""What is checked, and what is done, before and after a cluster works."""

import json
import sys

import pytest

from fastrecon_jax.batch import cluster, inspector
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.config import PredictConfig
from tests.inspection import line

pa = pytest.importorskip("pyarrow", reason="pyarrow is not installed")
pq = pytest.importorskip("pyarrow.parquet")

from fastrecon_jax.batch import tables  # noqa: E402


def config(disc="part.safetensors", images="line", out="out", **options):
    return PredictConfig(
        model=str(disc), images=str(images), output_dir=str(out), **({"engine_cluster": "ray"} | options)
    )


@pytest.fixture
def without_ray(monkeypatch):
    """One process in the place of a cluster."""

    class RayData:
        @staticmethod
        def inspect(inspector, paths, place, workers, *, tell):
            number = len(list(place.glob("*.parquet")))
            pq.write_table(tables.table(inspector({"path": list(paths)})), place / f"{number}.parquet")

    monkeypatch.setattr(cluster, "_check_packages", lambda: None)
    monkeypatch.setitem(sys.modules, "fastrecon_jax.batch.ray_data", RayData)
    monkeypatch.setattr("fastrecon_jax.batch.ray_data", RayData, raising=False)


def test_columns_have_one_type_whatever_is_in_them(disc, images):
    part = inspector.Inspector(str(disc), batch_size=2)
    good, bad = (tables.table(part([images / name])) for name in ("100.png", "broken.png"))
    assert good.schema == bad.schema == tables.SCHEMA
    assert bad["score"].null_count == 1
    marked = tables.table(part([images / "200.png"]))["regions"].to_pylist()
    assert marked[0][0].keys() == {"x", "y", "width", "height", "area", "peak"}


def test_rows_are_counted_and_what_is_there_is_not_inspected_again(disc, images, tmp_path, without_ray):
    out, said = tmp_path / "out", []
    assert cluster.predict(config(disc, images, out), tell=said.append) == 3
    assert said[0] == "6 images to inspect\n"
    assert "2 defective, 1 unreadable" in said[1]
    said.clear()
    (out / "half.parquet").write_bytes(b"PAR1")
    assert cluster.predict(config(disc, images, out), tell=said.append) == 3
    assert said[0] == "0 images to inspect, 6 more were inspected before\n"
    assert pq.read_table(out).num_rows == 6
    assert not (out / "half.parquet").exists()


def test_results_of_another_run_and_other_files_are_left_alone(disc, bar, images, tmp_path, without_ray):
    out = tmp_path / "out"
    cluster.predict(config(disc, images, out), tell=line.QUIET)
    with pytest.raises(InputError, match=r"holds results of other parts or settings: parts was disc .* and is bar"):
        cluster.predict(config(bar, images, out), tell=line.QUIET)
    with pytest.raises(InputError, match=r"threshold was not given and is 3\.0"):
        cluster.predict(config(disc, images, out, threshold=3.0), tell=line.QUIET)
    with pytest.raises(InputError, match="holds other files"):
        cluster.predict(config(disc, images, images), tell=line.QUIET)
    assert json.loads((out / cluster.RUN).read_text())["same"]["parts"].keys() == {"disc"}


def test_several_parts_and_relative_paths_on_a_cluster_are_refused(disc, bar, images, tmp_path, without_ray):
    with pytest.raises(InputError, match="names 2 parts: --engine_cluster inspects by one"):
        cluster.predict(config(f"{disc},{bar}", images, tmp_path / "out"), tell=line.QUIET)
    with pytest.raises(
        InputError, match="out is relative to the working directory, which workers of --cluster_address"
    ):
        cluster.predict(config(disc, images, "out", cluster_address="auto"), tell=line.QUIET)


def test_a_package_that_is_missing_is_named(disc, images, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(
        InputError, match=r"needs ray, which is not installed: run `pip install 'fastrecon_jax\[ray\]'`"
    ):
        cluster.predict(config(disc, images, tmp_path / "out"), tell=line.QUIET)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine_cluster": "dask"}, "--engine_cluster=dask is not allowed: allowed are ray"),
        ({"engine_cluster": "", "workers": 2}, "--workers=2 is not allowed: it needs --engine_cluster"),
        ({"engine_cluster": "", "cluster_address": "auto"}, "--cluster_address=auto is not allowed: it needs"),
        ({"overlays": "all"}, "--overlays=all is not allowed: --engine_cluster=ray has no use for it"),
        ({"part": "disc"}, "--part=disc is not allowed: --engine_cluster=ray has no use for it"),
        ({"shard": "1/2"}, "--shard=1/2 is not allowed: --engine_cluster=ray has no use for it"),
        ({"watch": True}, "--watch=True is not allowed: --engine_cluster=ray has no use for it"),
        ({"workers": -1}, "--workers=-1 is not allowed: it must be from 0"),
        ({"cpus_per_worker": 0}, "--cpus_per_worker=0 is not allowed: it must be from 1"),
        ({"gpus_per_worker": -0.5}, "--gpus_per_worker=-0.5 is not allowed: it must be a number at least 0"),
    ],
)
def test_flags_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(InputError, match=message):
        config(**options)


def test_pictures_are_drawn_by_one_process_alone():
    assert config().overlays == "none"
    assert config(engine_cluster="").overlays == "all"
