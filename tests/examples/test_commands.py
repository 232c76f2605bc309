"""The examples as commands."""

import os
import subprocess
import sys

import pytest

from tests.examples.conftest import EXAMPLES


def run(name, *arguments, cwd):
    return subprocess.run(
        [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(EXAMPLES.parent)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("name", "argument", "message"),
    [
        ("saliency", "--sigma=-1", "--sigma=-1.0 is not allowed"),
        ("adversarial", "--budgets=two", "--budgets=two is not allowed: expected a list of ints"),
        ("meta_learn", "--held_out=nothing", "unknown category 'nothing' of "),
    ],
)
def test_a_wrong_flag_is_one_line_and_exit_code_2(data, tmp_path, name, argument, message):
    ran = run(name, f"--data_dir={data}", argument, cwd=tmp_path)
    assert ran.returncode == 2
    assert ran.stderr.startswith(f"error: {message}")
    assert ran.stderr.count("\n") == 1
    assert not ran.stdout


def test_learning_from_one_category_for_another(data, tmp_path):
    small = ("--image_size=32", "--crop_size=32", "--shots=2", "--stages=stage1,stage2")
    few = ("--steps=2", "--queries=2", "--draws=2", "--rank=8", "--held_out=part", "--output_dir=out")
    ran = run("meta_learn", f"--data_dir={data}", *small, *few, cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "learned from other: image AUROC" in ran.stdout
    assert "held out part: image AUROC" in ran.stdout
    assert ran.stdout.endswith("plot in out/meta_learn.png\n")
    assert (tmp_path / "out/meta_learn.png").stat().st_size > 5000
