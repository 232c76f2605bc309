"""The CPU as several devices: how many, with how many threads."""

import os
import re
import subprocess
import sys

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import setup
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.inspection.config import PredictConfig
from fastrecon_jax.runtime import cpu


def quota(tmp_path, monkeypatch, **files):
    for name, text in files.items():
        (tmp_path / name.replace("__", ".")).write_text(text)
    monkeypatch.setattr(cpu, "_QUOTAS", (tmp_path / "cpu.max", tmp_path / "cpu.cfs_quota_us"))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, 8),
        ({"cpu__max": "max 100000\n"}, 8),
        ({"cpu__max": "350000 100000\n"}, 3),
        ({"cpu__max": "50000 100000\n"}, 1),
        ({"cpu__max": "1600000 100000\n"}, 8),
        ({"cpu__cfs_quota_us": "-1\n"}, 8),
        ({"cpu__cfs_quota_us": "200000\n", "cpu__cfs_period_us": "100000\n"}, 2),
        ({"cpu__max": "damaged"}, 8),
    ],
)
def test_cores_are_those_of_the_affinity_and_of_the_quota(tmp_path, monkeypatch, files, expected):
    quota(tmp_path, monkeypatch, **files)
    assert cpu.cores() == expected


@pytest.mark.parametrize("wanted", ["0", "257", "-1", "two", "", "1.5", "²"])
def test_what_is_no_number_of_devices_is_refused(wanted):
    rule = re.escape(f"--cpu_devices={wanted} is not allowed: it must be auto, or a number from 1 to 256")
    with pytest.raises(InputError, match=rule):
        EvalConfig(cpu_devices=wanted)
    with pytest.raises(InputError, match=rule):
        PredictConfig(model="x", images="x", output_dir="x", cpu_devices=wanted)


# Says how many devices there are, and with how many threads they were made.
_TOLD = """
import os
import jax
from fastrecon_jax.runtime import compiler, cpu
seen = {{}}
real = jax.local_devices
jax.local_devices = lambda: (seen.update(threads=os.environ.get("NPROC")), real())[1]
kept = []
compiler.keep_memory = lambda arenas=1: kept.append(arenas)
cpu.cores = lambda: 6
{before}
cpu.divide({wanted!r}, most={most})
print(len(real()), seen.get("threads"), os.environ.get("NPROC"), kept)
"""


@pytest.mark.parametrize(
    ("wanted", "most", "before", "expected"),
    [
        ("auto", 8, "", "6 1 None [8]"),
        ("auto", 4, "", "4 1 None [6]"),
        ("3", 8, "", "3 2 None [5]"),
        ("1", 8, "", "1 6 None []"),
        ("auto", 8, "real()", "1 None None []"),
        ("auto", 8, "jax.config.update('jax_num_cpu_devices', 2)", "2 None None []"),
        ("2", 8, "os.environ['NPROC'] = '5'", "2 5 5 [4]"),
    ],
)
def test_the_cpu_is_divided_before_its_first_use_alone(wanted, most, before, expected):
    script = _TOLD.format(wanted=wanted, most=most, before=before)
    environment = {name: value for name, value in os.environ.items() if name not in ("NPROC", "XLA_FLAGS")}
    ran = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True)
    assert (ran.stdout.strip(), ran.returncode) == (expected, 0), ran.stderr


def test_eval_divides_it_unless_a_method_trains_or_others_share_it(monkeypatch):
    asked = []
    monkeypatch.setattr(cpu, "divide", lambda wanted, most: asked.append((wanted, most)))
    for fields in (
        {},
        {"cpu_devices": "auto"},
        {"batch_size": 32, "cpu_devices": "3"},
        {"mesh": "none", "cpu_devices": "auto"},
        {"method": ("nearest", "tdg"), "cpu_devices": "auto"},
        {"method": ("tdg",), "cpu_devices": "2"},
        {"coordinator_address": "x:1", "num_processes": 2, "process_id": 0},
    ):
        setup.divide_cpu(EvalConfig(**fields))
    assert asked == [("1", 8), ("auto", 8), ("3", 32), ("1", 8), ("1", 8), ("2", 8)]
