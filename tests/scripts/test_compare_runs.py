"""Two runs number by number: equal, different, incomplete, and made by two checkouts."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.evaluation import results
from tests.data.parts import write_category
from tests.evaluation.rows import row

ROOT = Path(__file__).resolve().parents[2]
CONFIG = {"description": "test", "draws": 1, "category": ["a"]}
SCORES = [
    {"dataset": "d", "category": "a", "seed": 0, "shots": 2, "path": p, "label": 1, "score": 0.1, "method": "m"}
    for p in ("x", "y")
]


@pytest.fixture
def script(load):
    return load("compare_runs")


@pytest.fixture
def runs(tmp_path):
    """The same results twice, with other times."""
    for name, seconds in (("first", 1.0), ("second", 2.0)):
        (tmp_path / name).mkdir()
        rows = [row("a", 2, 0, 0.5) | {"fit_seconds": seconds}]
        results.write(tmp_path / name, results.Results(CONFIG, rows, SCORES))
        lines = [{"path": "x.png", "score": 0.5, "regions": [{"x": 1}], "milliseconds": seconds}]
        (tmp_path / name / "results.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        np.savez(tmp_path / name / "maps.npz", a=np.zeros((2, 3), np.float32))
        Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / name / "x.png")
    return tmp_path / "first", tmp_path / "second"


def differences(script, runs):
    return {comparison.file: (comparison.difference, comparison.where) for comparison in script.compare(*runs)}


def test_times_do_not_count(script, runs):
    compared = differences(script, runs)
    assert compared.keys() == {"maps.npz", "results.csv", "results.json", "results.jsonl", "scores.csv", "x.png"}
    assert set(compared.values()) == {(0.0, "")}


def test_the_largest_difference_is_named(script, runs):
    changed = [score | {"score": 0.1 + i / 1024} for i, score in enumerate(SCORES)]
    results.write(runs[1], results.Results(CONFIG, [row("a", 2, 0, 0.75)], changed))
    np.savez(runs[1] / "maps.npz", a=np.full((2, 3), [0, 0, 1e-45], np.float32))  # the last bit
    compared = differences(script, runs)
    assert compared["scores.csv"] == (pytest.approx(1 / 1024), "d a m 2 0 y score")
    assert compared["results.json"][0] == 0.25
    assert 0 < compared["maps.npz"][0] < 1e-44


def test_what_is_missing_or_another_text_is_infinitely_different(script, runs):
    (runs[1] / "results.jsonl").unlink()
    results.write(runs[1], results.Results(CONFIG, [row("a", 2, 0, 0.5) | {"encoder": "other"}], SCORES[:1]))
    compared = differences(script, runs)
    assert compared["results.jsonl"] == (float("inf"), f"only in {runs[0]}")
    assert compared["results.json"] == (float("inf"), "x a fastrecon 2 0 encoder")
    assert compared["scores.csv"] == (float("inf"), "d a m 2 0 y label")


def call(*arguments):
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts/compare_runs.py"), *arguments], capture_output=True, text=True
    )


def test_the_exit_code_says_whether_the_difference_passes(runs):
    directories = [f"--{name}={path}" for name, path in zip(("first", "second"), runs, strict=True)]
    ran = call(*directories)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "scores.csv: 4 values, equal\n" in ran.stdout
    results.write(runs[1], results.Results(CONFIG, [row("a", 2, 0, 0.75)], SCORES))
    ran = call(*directories)
    assert ran.returncode == 1
    assert "largest difference 0.25, x a fastrecon 2 0 image_auroc\n" in ran.stdout
    assert call(*directories, "--tolerance=0.3").returncode == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "pass --first and --second, two directories of results, or --checkout"),
        (("--first=absent", "--second=absent"), "absent is no directory"),
    ],
)
def test_mistakes_are_one_line(arguments, message):
    ran = call(*arguments)
    assert (ran.returncode, ran.stderr) == (2, f"error: {message}\n")


def test_two_checkouts_give_the_same(tmp_path):
    write_category(tmp_path / "data", "bolt")
    shutil.copytree(ROOT / "fastrecon_jax", tmp_path / "copy/fastrecon_jax")
    images = f"{tmp_path}/data/bolt"
    ran = call(
        *(f"--checkout={tmp_path}/copy", f"--data_dir={tmp_path}/data", "--method=fastrecon", "--shots=2"),
        *("--encoder=resnet18", "--weights=random", "--settings=lam=1,coreset_rows=3"),
        *(f"--good={images}/train/good/*.png", f"--images={images}/test/*/*.png"),
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert {line.rpartition(", ")[2] for line in ran.stdout.splitlines()} == {"equal"}
    assert {"scores.npz", "eval/scores.csv", "part.safetensors", "predict/results.jsonl"} <= {
        line.partition(":")[0] for line in ran.stdout.splitlines()
    }
