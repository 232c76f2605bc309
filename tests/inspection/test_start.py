"""A start of predict: what it imports, and that what an earlier start kept gives the same rows."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.inspection import line

ROOT = Path(__file__).resolve().parents[2]
# Each takes longer to import than an image to inspect. SciPy's special functions give the p-value.
HEAVY = ("flax", "optax", "matplotlib", "sklearn", "pandas", "scipy.ndimage", "scipy.stats", "tensorflow_datasets")
HEAVY += ("orbax", "array_record", "gradio", "pyarrow", "fsspec", "fastrecon_jax.data.demo")
PROGRAM = """
import sys
from fastrecon_jax import predict
from fastrecon_jax.command_line import commands
{before}
try:
    commands.run(predict.CONFIG, predict.main)
finally:
    print("MODULES", *sys.modules)
"""
# Nothing may be traced: programs are there already.
NO_TRACE = """
from fastrecon_jax.detector import Detector
def traced(*_):
    raise AssertionError("it was traced")
Detector.inspect = Detector.fit = traced
"""


@pytest.fixture(scope="module")
def part(tmp_path_factory):
    tiny = {"encoder": "efficientnet_lite0", "stages": ("stage2", "stage3"), "weights": "", "image_size": 40}
    tiny |= {"crop_size": 32, "method": "patchcore"}
    return line.fit(tmp_path_factory.mktemp("part"), **tiny)


def start(part, images, output, cache, before=""):
    """The modules that a start has imported."""
    ours = ("JAX_", "FASTRECON_")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    environment |= {"FASTRECON_COMPILATION_CACHE": str(cache)}
    flags = (f"--model={part}", f"--images={images}", f"--output_dir={output}")
    arguments = [sys.executable, "-c", PROGRAM.format(before=before), *flags]
    done = subprocess.run(arguments, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rsplit("MODULES", 1)[1].split())


def rows(output):
    return [{**row, "time": "", "milliseconds": 0} for row in line.lines(output)]


def test_a_later_start_imports_and_traces_nothing_that_it_does_not_need(part, tmp_path):
    images = line.write(tmp_path / "in", 3)
    first = start(part, images, tmp_path / "first", tmp_path / "cache")
    assert "flax" in first
    later = start(part, images, tmp_path / "later", tmp_path / "cache", NO_TRACE)
    assert not {name for name in later if name.startswith(HEAVY)}
    assert rows(tmp_path / "later") == rows(tmp_path / "first")
    pictures = sorted(path.name for path in (tmp_path / "first" / "overlays").iterdir())
    assert len(pictures) == 3
    for name in pictures:
        one, other = (tmp_path / run / "overlays" / name for run in ("first", "later"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize("flags", [["--help"], ["--batch_size=many"]])
def test_help_and_refused_flags_need_no_jax(flags):
    program = "import sys\nfrom fastrecon_jax import predict\nfrom fastrecon_jax.command_line import commands\n"
    program += "try:\n    commands.run(predict.CONFIG, predict.main)\nfinally:\n    assert 'jax' not in sys.modules\n"
    done = subprocess.run([sys.executable, "-c", program, *flags], cwd=ROOT, capture_output=True, text=True)
    assert "AssertionError" not in done.stderr
    assert ("--images" in done.stdout) or ("is not allowed" in done.stderr)


def test_the_list_of_commands_needs_no_jax():
    program = "import sys\nfrom fastrecon_jax import __main__\n__main__.main()\nassert 'jax' not in sys.modules"
    subprocess.run([sys.executable, "-c", program, "--help"], cwd=ROOT, check=True, capture_output=True)
