"""The command predict over several devices of a CPU, as it runs by default."""

import subprocess
import sys

import numpy as np
import pytest

from tests.inspection import line


@pytest.mark.parametrize("likeness", [False, True])
def test_the_rows_are_those_of_one_device(disc, bar, tmp_path, likeness):
    images = line.write(tmp_path / "in", 5)
    parts, rows = f"{disc},{bar}" if likeness else disc, []
    for number in ("1", "2"):
        directory = tmp_path / number
        command = ["predict", f"--model={parts}", f"--images={images}", f"--output_dir={directory}"]
        options = [f"--cpu_devices={number}", "--overlays=none", "--batch_size=3"]
        ran = subprocess.run(
            [sys.executable, "-m", "fastrecon_jax", *command, *options], capture_output=True, text=True
        )
        assert ran.returncode == 0, ran.stderr
        assert f", {number} x cpu" in ran.stdout
        rows.append(line.lines(directory))
    for one, other in zip(*rows, strict=True):
        assert [one[name] for name in ("path", "part", "verdict")] == [
            other[name] for name in ("path", "part", "verdict")
        ]
        np.testing.assert_allclose(one["score"], other["score"], rtol=1e-5)
