"""The table of the paper, from published figures and from results made here."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastrecon_jax.evaluation import tables
from tests.data.parts import write_category
from tests.evaluation.rows import row

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import paper_table

    return paper_table


def test_published_figures_are_those_of_the_paper(script):
    known = {(r["method"], r["metric"], r["shots"]): r["percent"] for r in script.published("mpdd")}
    assert known["FastRecon", "image_auroc", "8"] == "82.50"
    assert known["PatchCore", "pixel_auroc", "2"] == "79.15"
    assert ("PaDiM", "image_auroc", "2") not in known
    assert all(r["source"] for r in script.published("mvtec_ad"))


def test_ours_stand_under_the_published(script):
    means = tables.means([row("a", k, seed, 0.5) | {"encoder": "resnet18"} for k in (2, 4) for seed in (0, 1)])
    lines = script.table(script.published("mpdd"), means, (2, 4))
    assert lines[0] == ["method", "encoder", "categories", "image 2", "image 4", "pixel 2", "pixel 4"]
    assert ["FastRecon, published", "wide_resnet50_2", "6", "73.65", "79.85", "97.03", "97.60"] in lines
    assert lines[-1] == ["fastrecon, ours", "resnet18", "1", *["50.0 ± 0.0"] * 4]


def test_data_without_published_figures(script):
    with pytest.raises(ValueError, match="--dataset=elpv has no published figures: allowed are mvtec_ad, mpdd"):
        script.published("elpv")


def test_the_script_evaluates_and_writes_the_table(tmp_path):
    write_category(tmp_path / "data", "metal_plate")
    ran = subprocess.run(
        [
            *(
                sys.executable,
                str(SCRIPTS / "paper_table.py"),
                "--dataset=mpdd",
                "--data_dir=data",
                "--method=fastrecon",
            ),
            *("--shots=2", "--encoder=resnet18", "--weights=random", "--image_size=64", "--crop_size=64"),
            *("--output_dir=out", "--support=first"),
        ],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (
        "| FastRecon, published | wide_resnet50_2 | 6 | 73.65 | 97.03 |"
        in (tmp_path / "out/paper_table.md").read_text()
    )
    assert "fastrecon, ours" in ran.stdout
