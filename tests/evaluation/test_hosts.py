"""The same figures on one device, on eight, and by several processes; a run that died is resumed by any number."""

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import cluster, hosts, results, setup, share_file
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.shares import Key, Scored, Share, joined
from tests.data.parts import write_category

SMALL = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64, "batch_size": 4}
SETTINGS = SMALL | {"shots": (2,), "support": "random", "seeds": (0, 1), "method": ("fastrecon", "padim")}
END = 60  # seconds after which the others must have ended
ALL = (
    *("--method=all", "--differnet_hidden=8", "--differnet_blocks=1", "--differnet_steps=2"),
    *("--tdg_transformations=4", "--tdg_scales=1", "--tdg_steps=2", "--tdg_width=4"),
)
TIMES = {"fit_seconds", "score_images_per_second"}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Two categories of 11 and 6 test images, with and without masks."""
    root = tmp_path_factory.mktemp("data")
    return write_category(write_category(root, "bolt", good=5, defective=6), "nut", masks=False)


@pytest.fixture(scope="module")
def expected(data, tmp_path_factory):
    """Results of one process with one device, of all methods."""
    out = tmp_path_factory.mktemp("one")
    ((code, told, err),) = finish([start(data, out, *ALL)])
    assert (code, err) == (0, "")
    assert "1 x cpu\n" in told
    return out


def start(data, out, *arguments, **environment):
    """A process that evaluates."""
    settings = SETTINGS | {"data_dir": data, "output_dir": out}
    flags = [f"--{k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in settings.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "fastrecon_jax.eval", *flags, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def start_all(data, out, count, *arguments):
    """Several processes of one run."""
    together = (f"--coordinator_address=localhost:{free_port()}", f"--num_processes={count}")
    return [start(data, out, *together, f"--process_id={i}", *arguments) for i in range(count)]


def free_port(ports=(0,)):
    for port in ports:
        try:
            with socket.create_server(("", port)) as server:
                return server.getsockname()[1]
        except OSError:
            continue
    raise AssertionError("no free port")


def finish(started, seconds=120):
    """Exit code, output and errors of each."""
    try:
        ends = [process.communicate(timeout=seconds) for process in started]
    finally:
        for process in started:
            process.kill()
    return [(process.returncode, *end) for process, end in zip(started, ends, strict=True)]


def read(directory, names=SETTINGS["method"]):
    """Rows without times, and scores, of some methods."""
    rows = json.loads((directory / "results.json").read_text())["rows"]
    assert all(row[key] > 0 for row in rows for key in TIMES)
    rows = [{k: v for k, v in row.items() if k not in TIMES} for row in rows if row["method"] in names]
    scores = csv.DictReader((directory / "scores.csv").read_text().splitlines())
    return rows, [score for score in scores if score["method"] in names]


def test_eight_devices_give_the_figures_of_one(data, expected, tmp_path):
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    ((code, out, err),) = finish([start(data, tmp_path, *ALL, **devices)])
    assert (code, err) == (0, "")
    assert "8 x cpu" in out
    for rows, wanted in zip(read(tmp_path, methods.names()), read(expected, methods.names()), strict=True):
        assert len(rows) == len(wanted)
        for row, other in zip(rows, wanted, strict=True):
            for key, value in row.items():
                if key == "score":
                    assert float(value) == pytest.approx(float(other[key]), rel=1e-5)
                else:
                    same = isinstance(value, str) or value is None
                    assert value == (other[key] if same else pytest.approx(other[key], abs=1e-5))


@pytest.mark.parametrize("count", [2, 4])
def test_several_processes_give_the_figures_of_one_in_every_digit(data, expected, tmp_path, count):
    """Two of them have a category each, four divide the images of both."""
    first, *others = finish(start_all(data, tmp_path, count, "--save_maps"))
    assert (first[0], first[2]) == (0, "")
    assert f"1 x cpu in each of {count} processes" in first[1]
    assert first[1].endswith(f"results are in {tmp_path}\n")
    for code, out, err in others:
        assert (code, err) == (0, "")
        assert "AUROC" not in out
    assert len(list((tmp_path / "maps").iterdir())) == 2 * 2
    assert not (tmp_path / results.SHARES).exists()
    assert read(tmp_path) == read(expected)


def test_two_tasks_of_slurm_find_each_other(data, expected, tmp_path):
    """The variables are those that srun sets; the second has its data in a folder of another name."""
    elsewhere = shutil.copytree(data, tmp_path / "elsewhere")
    out_dir = tmp_path / "out"
    job = free_port(range(61440, 65536)) - 61440  # from which jax takes the port
    task = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    (code, out, err), other = finish(
        [
            start(place, out_dir, **task, SLURM_PROCID=str(i), SLURM_LOCALID=str(i))
            for i, place in enumerate((data, elsewhere))
        ]
    )
    assert (code, err) == (0, "")
    assert "in each of 2 processes" in out
    assert other[0] == 0
    assert read(out_dir) == read(expected)


def kill(started, which, ready):
    """Kill one process as soon as the others are ready; exit codes, output and errors, once these have ended."""
    end = time.monotonic() + END
    while not ready():
        assert time.monotonic() < end
        assert all(process.poll() is None for process in started)
        time.sleep(0.05)
    started[which].send_signal(signal.SIGKILL)
    since = time.monotonic()
    ends = finish(started, seconds=END + 30)
    assert time.monotonic() - since < END
    assert all(code not in (0, None) for code, _, _ in ends)
    return ends


def categories(out):
    """The finished ones in results.json."""
    file = out / "results.json"
    return {row["category"] for row in json.loads(file.read_text())["rows"]} if file.exists() else set()


@pytest.fixture(scope="module")
def died(data, tmp_path_factory):
    """What a run of four processes left, of which one of the two that divide the second category was killed."""
    out, stuck = tmp_path_factory.mktemp("died"), shutil.copytree(data, tmp_path_factory.mktemp("stuck") / "data")
    last = sorted((stuck / "nut" / "test").rglob("*.png"))[-1]
    last.unlink()
    os.mkfifo(last)  # whoever reads it waits for ever
    together = (f"--coordinator_address=localhost:{free_port()}", "--num_processes=4")
    started = [start(stuck if i == 3 else data, out, *together, f"--process_id={i}") for i in range(4)]
    share = out / results.SHARES / "nut_0-4.safetensors"
    first, *_ = kill(started, 3, lambda: share.exists() and categories(out) == {"bolt"})
    assert "stopped sending heartbeats" in first[2]
    assert categories(out) == {"bolt"}
    return out


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_run_that_died_is_resumed_by_any_number_of_processes(data, expected, died, tmp_path, count):
    """With two or three the share of the process that had finished is used, one alone computes the category anew."""
    out = tmp_path / "out"
    shutil.copytree(died, out)
    share = out / results.SHARES / "nut_0-4.safetensors"
    first, *others = finish([start(data, out)] if count == 1 else start_all(data, out, count))
    assert (first[0], first[2]) == (0, "")
    assert all((code, err) == (0, "") for code, _, err in others)
    assert f"bolt: taken from {out}\n" in first[1]
    assert not share.exists()
    assert read(out) == read(expected)


def test_the_death_of_process_0_ends_the_others(data, tmp_path):
    started = start_all(data, tmp_path, 2)
    _, (_, _, err) = kill(started, 0, (tmp_path / "config.json").exists)
    assert err


def test_a_mistake_at_work_ends_its_process_with_a_line_and_then_the_others(tmp_path):
    root = write_category(write_category(tmp_path, "bolt", good=5), "nut")
    (root / "nut/test/good/001.png").write_text("no image")  # the smaller category is that of process 1
    first, second = finish(start_all(root, tmp_path / "out", 2), seconds=END + 30)
    assert second[0] == 2
    assert "nut/test/good/001.png is not an image" in second[2] and second[2].count("\n") == 1
    assert first[0] not in (0, None)
    assert [row["category"] for row in json.loads((tmp_path / "out/results.json").read_text())["rows"]] == ["bolt"] * 4


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--shots=1", "this process was started differently from process 0: shots is [1], there [2]"),
        ("--data_dir=absent", "data directory absent does not exist"),
    ],
)
def test_a_mistake_at_the_start_is_one_line_in_each_process(data, tmp_path, argument, message):
    together = (f"--coordinator_address=localhost:{free_port()}", "--num_processes=2")
    different = start(data, tmp_path / "out", *together, "--process_id=1", argument)
    first, second = finish([start(data, tmp_path / "out", *together, "--process_id=0"), different], seconds=120)
    assert (first[0], second[0]) == (2, 2)
    assert message in second[2]
    assert first[2] == "error: process 1 cannot take part, its own message says why\n"
    assert second[2].count("\n") == 1


def test_different_numbers_of_devices_are_refused(data, tmp_path):
    together = (f"--coordinator_address=localhost:{free_port()}", "--num_processes=2")
    more = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    second = start(data, tmp_path, *together, "--process_id=1", **more)
    message = "error: the processes need the same number of devices each: process 0 has 1, process 1 has 2\n"
    for code, _, err in finish([start(data, tmp_path, *together, "--process_id=0"), second]):
        assert (code, err) == (2, message)


def test_a_cluster_that_jax_does_not_know_is_an_error(data, tmp_path):
    ((code, _, err),) = finish([start(data, tmp_path, OMPI_COMM_WORLD_SIZE="2")])
    assert code == 2
    assert err.startswith("error: the processes cannot meet, pass --coordinator_address, --num_processes and")


def test_a_directory_that_is_not_shared_is_refused(data, tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "_LAG", 0.1)
    opened = setup.open_setup(EvalConfig(**SETTINGS, data_dir=str(data)))
    with pytest.raises(ValueError, match="process 0 does not see there what process 0 writes; the directory must lie"):
        hosts._check(opened, tmp_path, setup.shared_settings(opened), "word")


SLURM = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "n1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environment", "several"),
    [
        ({}, False),
        (SLURM, False),
        (SLURM | {"SLURM_NTASKS": "1"}, False),
        (SLURM | {"SLURM_NTASKS": "2"}, True),
        ({"SLURM_JOB_ID": "1", "SLURM_NTASKS": "2"}, False),  # a batch script, before srun
        ({"OMPI_COMM_WORLD_SIZE": "1"}, False),
        ({"OMPI_COMM_WORLD_SIZE": "2"}, True),
        ({"KUBERNETES_SERVICE_HOST": "k", "JOB_COMPLETION_INDEX": "0"}, False),  # without the package kubernetes
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, True),
        ({"JAX_COORDINATOR_ADDRESS": "host:1"}, True),
    ],
)
def test_a_cluster_is_known_by_its_variables(environment, several):
    assert cluster.on_cluster(environment) == several


def test_flags_say_whether_there_are_others(monkeypatch):
    address = {"coordinator_address": "host:1", "process_id": 0}
    assert cluster.several(EvalConfig(**address, num_processes=2))
    assert not cluster.several(EvalConfig(**address, num_processes=1))
    with pytest.raises(InputError, match="--distributed=off"):
        EvalConfig(**address, num_processes=2, distributed="off")
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE", "2")
    assert cluster.several(EvalConfig())
    assert not cluster.several(EvalConfig(distributed="off"))


def test_one_process_alone_does_not_load_what_several_need():
    code = "import sys, fastrecon_jax.eval; sys.exit('fastrecon_jax.evaluation.hosts' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_many_categories_belong_to_one_process_each_and_the_work_is_even():
    sizes = [83, 150, 132, 117, 78, 110, 124, 115, 167, 160, 117, 42, 100, 79, 151]  # test images of MVTec AD
    work = [0] * 4
    for size, parts in zip(sizes, hosts.divide(sizes, 4, 8), strict=True):
        ((process, part),) = parts.items()
        assert part == slice(0, size)
        work[process] += size
    assert max(work) / (sum(sizes) / 4) < 1.1


@pytest.mark.parametrize(
    ("sizes", "processes", "parts"),
    [
        ([83], 3, [{0: slice(0, 24), 1: slice(24, 56), 2: slice(56, 83)}]),
        ([40, 10], 4, [{0: slice(0, 8), 1: slice(8, 24), 2: slice(24, 40)}, {3: slice(0, 10)}]),
        ([9], 3, [{1: slice(0, 8), 2: slice(8, 9)}]),  # two batches for three
        ([10, 10, 10], 3, [{0: slice(0, 10)}, {1: slice(0, 10)}, {2: slice(0, 10)}]),
        ([10, 20], 1, [{0: slice(0, 10)}, {0: slice(0, 20)}]),
        ([], 2, []),
    ],
)
def test_few_categories_are_divided_by_whole_batches(sizes, processes, parts):
    assert hosts.divide(sizes, processes, 8) == parts


def share(n, seed=0, *, seconds=(0.5, None)):
    rng = np.random.default_rng(seed)
    scored = {
        Key(method, 2): Scored(rng.random((d, n, 3, 5), np.float32), rng.random((d, n), np.float32), *seconds)
        for d, method in ((1, "padim"), (2, "fastrecon+"))
    }
    return Share(rng.random((n, 7, 9)) > 0.5, scored)


def test_a_share_is_read_as_it_was_written(tmp_path):
    written = share(3)
    share_file.write(tmp_path / "a.safetensors", written)
    back = share_file.read(tmp_path / "a.safetensors")
    np.testing.assert_array_equal(back.masks, written.masks)
    assert list(back.scored) == list(written.scored)
    for a, b in zip(back.scored.values(), written.scored.values(), strict=True):
        assert a[2:] == b[2:]
        np.testing.assert_array_equal(a.patches, b.patches)
        np.testing.assert_array_equal(a.images, b.images)


def test_a_damaged_share_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"x" * 100)
    with pytest.raises(ValueError, match=r"a.safetensors cannot be read, remove it: "):
        share_file.read(tmp_path / "a.safetensors")


def test_shares_together_are_as_slow_as_the_slowest():
    shares = [share(3, 0, seconds=(0.5, 0.7)), share(2, 1, seconds=(0.8, 0.9))]
    whole = joined(shares)
    assert whole.masks.shape == (5, 7, 9)
    for key, scored in whole.scored.items():
        assert (scored.fit_seconds, scored.score_seconds) == (0.5, 0.9)
        np.testing.assert_array_equal(scored.images, np.concatenate([s.scored[key].images for s in shares], axis=1))
