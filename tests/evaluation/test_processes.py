"""The same figures on one device, on eight, and by several processes; processes that fail or die end all of them."""

import csv
import json
import os
import signal
import socket
import subprocess
import sys
import time
from types import SimpleNamespace

import jax
import pytest

from fastrecon_jax import methods
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import processes, run
from fastrecon_jax.evaluation.config import EvalConfig
from tests.data.parts import write_category

SMALL = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64, "batch_size": 4}
SETTINGS = SMALL | {"shots": (2,), "support": "random", "seeds": (0, 1), "method": ("fastrecon", "padim")}
END = 60  # seconds after which the others must have ended


@pytest.fixture(scope="module")
def parts(tmp_path_factory):
    """Two categories of 11 and 6 test images, with and without masks."""
    root = tmp_path_factory.mktemp("parts")
    return write_category(write_category(root, "bolt", good=5, defective=6), "nut", masks=False)


@pytest.fixture(scope="module")
def expected(parts, tmp_path_factory):
    """Results of one process with one device, of all methods."""
    out = tmp_path_factory.mktemp("one")
    ((code, told, _),) = finish([start(parts, out, "--method=all")])
    assert code == 0
    assert "1 x cpu\n" in told
    return out


def start(parts, out, *arguments, **environment):
    """A process that evaluates."""
    settings = SETTINGS | {"data_dir": parts, "output_dir": out}
    flags = [f"--{k}={','.join(map(str, v)) if isinstance(v, tuple) else v}" for k, v in settings.items()]
    return subprocess.Popen(
        [sys.executable, "-m", "fastrecon_jax.eval", *flags, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | environment,
    )


def start_all(parts, out, count, *arguments):
    port = free_port()
    group = (f"--coordinator=localhost:{port}", f"--num_processes={count}")
    return [start(parts, out, *group, f"--process_index={i}", *arguments) for i in range(count)]


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


def assert_same(out, expected, names=SETTINGS["method"], tolerance=1e-5):
    rows, wanted = (json.loads((d / "results.json").read_text())["rows"] for d in (out, expected))
    wanted = [row for row in wanted if row["method"] in names]
    assert len(rows) == len(wanted) == 2 * 2 * len(names)
    for row, other in zip(rows, wanted, strict=True):
        timing = {"fit_seconds", "score_images_per_second"}
        assert all(row[key] > 0 for key in timing)
        for key in row.keys() - timing:
            assert row[key] == (other[key] if isinstance(other[key], str) else pytest.approx(other[key], abs=tolerance))
    scores, wanted = (list(csv.DictReader((d / "scores.csv").read_text().splitlines())) for d in (out, expected))
    wanted = [score for score in wanted if score["method"] in names]
    for score, other in zip(scores, wanted, strict=True):
        assert score | {"score": 0} == other | {"score": 0}
        assert float(score["score"]) == pytest.approx(float(other["score"]), rel=tolerance)


def test_eight_devices_give_the_figures_of_one(parts, expected, tmp_path):
    devices = {"XLA_FLAGS": "--xla_force_host_platform_device_count=8"}
    ((code, out, err),) = finish([start(parts, tmp_path, "--method=all", **devices)])
    assert (code, err) == (0, "")
    assert "8 x cpu" in out
    assert_same(tmp_path, expected, names=methods.names())


def test_four_processes_give_the_figures_of_one(parts, expected, tmp_path):
    """Two for each category, which divide its images."""
    first, *others = finish(start_all(parts, tmp_path, 4, "--save_maps"))
    assert (first[0], first[2]) == (0, "")
    assert "1 x cpu in each of 4 processes" in first[1]
    assert first[1].endswith(f"results are in {tmp_path}\n")
    for i, (code, out, err) in enumerate(others, 1):
        assert (code, err) == (0, "")
        assert out.startswith(f"process {i} of 4 waits up to 300 s for the others at localhost:")
        assert out.count("\n") == 1
    assert len(list((tmp_path / "maps").iterdir())) == 2 * 2
    assert_same(tmp_path, expected)


def test_two_tasks_of_slurm_find_each_other(parts, expected, tmp_path):
    """One category each; the variables are those that srun sets."""
    job = free_port(range(61440, 65536)) - 61440  # from which jax takes the port
    task = {"SLURM_JOB_ID": str(job), "SLURM_STEP_NODELIST": "localhost", "SLURM_NTASKS": "2"}
    (code, out, err), other = finish(
        [start(parts, tmp_path, **task, SLURM_PROCID=str(i), SLURM_LOCALID=str(i)) for i in range(2)]
    )
    assert (code, err) == (0, "")
    assert "in each of 2 processes" in out
    assert other[0] == 0
    assert_same(tmp_path, expected)


def test_a_process_that_dies_ends_the_others_and_the_run_is_taken_up(parts, expected, tmp_path):
    first, second = started = start_all(parts, tmp_path, 2)
    while not first.stdout.readline().startswith("results go to"):
        assert first.poll() is None
    second.send_signal(signal.SIGKILL)
    since = time.monotonic()
    (code, _, err), _ = finish(started, seconds=END + 30)
    assert time.monotonic() - since < END
    assert (code, err) == (1, "error: process 1: it has died or cannot be reached; the same command takes it up\n")
    assert [row["category"] for row in json.loads((tmp_path / "results.json").read_text())["rows"]] == ["bolt"] * 4
    told = []
    run.run(EvalConfig(**SETTINGS, data_dir=str(parts), output_dir=str(tmp_path)), tell=told.append)
    assert any(text.startswith("bolt: taken from") for text in told)
    assert_same(tmp_path, expected)


def test_the_death_of_process_0_ends_the_others(parts, tmp_path):
    first, _ = started = start_all(parts, tmp_path, 2)
    while not first.stdout.readline().startswith("results go to"):
        assert first.poll() is None
    first.send_signal(signal.SIGKILL)
    since = time.monotonic()
    _, (code, _, err) = finish(started, seconds=END + 30)
    assert time.monotonic() - since < END
    assert code not in (0, None)
    assert err


def test_a_mistake_seen_by_one_process_ends_all_with_its_line(tmp_path):
    root = write_category(write_category(tmp_path, "bolt", good=5), "nut")
    (root / "nut/test/good/001.png").write_text("no image")  # the smaller category is process 1's
    first, second = finish(start_all(root, tmp_path / "out", 2))
    assert (first[0], second[0]) == (2, 2)
    assert "nut/test/good/001.png is not an image" in second[2] and second[2].count("\n") == 1
    assert first[2] == second[2].replace("error: ", "error: process 1: ")


class Store:
    """As the key-value store of jax, in this process."""

    def __init__(self):
        self.values = {}

    def key_value_set(self, key, value):
        self.values[key] = value

    key_value_set_bytes = key_value_set

    def blocking_key_value_get(self, key, _):
        if key not in self.values:
            raise jax.errors.JaxRuntimeError("DEADLINE_EXCEEDED: not there")
        return self.values[key]

    blocking_key_value_get_bytes = blocking_key_value_get

    def key_value_delete(self, name):
        self.values = {key: value for key, value in self.values.items() if not key.startswith(f"{name}/")}


def test_long_messages_go_in_pieces(monkeypatch):
    monkeypatch.setattr(processes, "_PIECE", 10)
    group = processes.Group(0, 2, Store())
    for message in (b"", b"x" * 10, bytes(range(25))):
        assert processes.receive(group, "name", wait=False) is None
        processes.send(group, "name", message)
        assert processes.receive(group, "name") == message


def test_processes_that_were_started_otherwise_are_refused():
    store = Store()
    processes.agree(processes.Group(0, 2, store), {"lam": 1.0, "shots": [2]})
    processes.agree(processes.Group(1, 2, store), {"lam": 1.0, "shots": [2]})
    with pytest.raises(InputError, match=r"started otherwise than process 0: lam is 2.0, there 1.0$"):
        processes.agree(processes.Group(1, 2, store), {"lam": 2.0, "shots": [2]})


SLURM = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "n1", "SLURM_PROCID": "0", "SLURM_LOCALID": "0"}


@pytest.mark.parametrize(
    ("environment", "count", "asked"),
    [
        ({}, 0, False),
        (SLURM, 0, False),
        (SLURM | {"SLURM_NTASKS": "1"}, 0, False),
        (SLURM | {"SLURM_NTASKS": "2"}, 0, True),
        (SLURM | {"SLURM_NTASKS": "2"}, 1, False),
        ({"TPU_WORKER_HOSTNAMES": "localhost"}, 0, False),
        ({"TPU_WORKER_HOSTNAMES": "t0,t1"}, 0, True),
    ],
)
def test_jax_is_asked_for_others_on_clusters_alone(monkeypatch, environment, count, asked):
    def refuse(**_):
        raise RuntimeError("no network")

    for name in (*os.environ,):
        if name.startswith(("SLURM_", "TPU_")):
            monkeypatch.delenv(name)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(processes.jax, "distributed", SimpleNamespace(initialize=refuse))
    if asked:
        with pytest.raises(InputError, match="cannot meet at this cluster"):
            processes.joined("", count, -1, tell=lambda text: None).__enter__()
    else:
        with processes.joined("", count, -1, tell=lambda text: None) as group:
            assert group == processes.Group(0, 1, None)
