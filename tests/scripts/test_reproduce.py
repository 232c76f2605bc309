"""The reproduction of the table: which runs, how long, what is skipped, what the report says."""

import csv
import io
import math
import os
import re
import subprocess
import sys
import types
from pathlib import Path

import pytest

from fastrecon_jax import methods
from fastrecon_jax.comparing import summary
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results
from fastrecon_jax.evaluation.config import EvalConfig
from tests.data.parts import write_category
from tests.evaluation.rows import row

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
SETTINGS = {"shots": (2,), "seeds": (0, 1), "method": ("nearest", "fastrecon"), "support": "random"}


@pytest.fixture
def script(load):
    return load("reproduce")


def data(script, **images):
    return script.plan.Data("mpdd", "", images or {"a": (10, 20)})


def planned(script, directory, encoder="resnet18", **settings):
    return script.plan.run(data(script), encoder, directory, transformer_size=448, **SETTINGS | settings)


def written(run, rows, **changes):
    """Results of a run as the evaluation leaves them."""
    config = {"category": list(run.config.category), "method": list(run.config.method_names()), "partial": []}
    config |= {name: getattr(run.config, name) for name in ("encoder", "image_size", "crop_size", "max_queries")}
    config |= {"dtype": "float32", "shots": [2], "seeds": [0, 1], "weights": run.config.weights or "hub", "draws": 2}
    run.directory.mkdir(parents=True, exist_ok=True)
    results.write(run.directory, results.Results(config | {"description": "x."} | changes, rows, []))


def rows_of(nearest=0.9, encoder="resnet18"):
    """Two categories, two draws; fastrecon has 0.5 and 0.6 in a, 0.7 and 0.8 in b."""
    return [
        row(category, 2, seed, base + seed / 10 if method == "fastrecon" else nearest, method) | {"encoder": encoder}
        for method in ("nearest", "fastrecon")
        for category, base in (("a", 0.5), ("b", 0.7))
        for seed in (0, 1)
    ]


def test_sizes_are_the_papers_for_a_cnn_and_multiples_of_the_patch_for_transformers(script, tmp_path):
    sides = {}
    for encoder in script.plan.ENCODERS:
        config = planned(script, tmp_path, encoder).config
        sides[encoder] = (config.image_size, config.crop_size)
    assert sides.pop("wide_resnet50_2") == (256, 224)
    assert set(sides.values()) == {(448, 448)}
    with pytest.raises(InputError, match="--transformer_size=450"):
        script.plan.run(data(script), "dinov2_vits14", tmp_path, transformer_size=450, **SETTINGS)


def test_data_sets_lie_in_a_folder_of_their_name_or_beside_each_other_as_archives(script, tmp_path):
    (tmp_path / "mpdd").mkdir()
    assert script.plan.place("mpdd", str(tmp_path)) == str(tmp_path / "mpdd")
    assert script.plan.place("visa", str(tmp_path)) == str(tmp_path)
    assert script.plan.place("demo", "") == ""
    with pytest.raises(InputError, match="--dataset=visa needs --data_dir"):
        script.plan.place("visa", "")


def test_weights_of_each_encoder(script):
    of = script.plan.weights_of
    assert of(["resnet18", "resnet50"], []) == {"resnet18": "", "resnet50": ""}
    assert of(["resnet18", "resnet50"], ["random"]) == {"resnet18": "random", "resnet50": "random"}
    assert of(["resnet18", "resnet50"], ["resnet50=a.pth"]) == {"resnet18": "", "resnet50": "a.pth"}
    assert of(["resnet18"], ["a=b.pth"]) == {"resnet18": "a=b.pth"}
    with pytest.raises(InputError, match=r"--weights=a.pth is for one encoder: write ENCODER=a.pth"):
        of(["resnet18", "resnet50"], ["a.pth"])
    with pytest.raises(InputError, match="--weights=wide=x is not allowed: expected ENCODER=SOURCE of resnet18"):
        of(["resnet18"], ["wide=x", "resnet18=y"])


def test_the_estimate_adds_what_each_image_method_shot_and_draw_takes(script, tmp_path):
    config = planned(script, tmp_path, shots=(1, 3, 5)).config
    table = {name: {1: 1.0, 5: 3.0} for name in ("nearest", "fastrecon")}
    speed = script.speed.Speed(0.5, 1000, 7.0, 0.25, table, table)
    images = {"a": (4, 20), "b": (100, 30)}
    # 1, 2 and 3 seconds with 1, 3 and 5 shots; 2 methods; 2 draws. Of a all 4 training images are encoded, of b 10.
    each = 2 * (1 + 2 + 3)
    expected = 7 * 6 + 0.5 * (4 + 20 + 10 + 30)
    expected += sum(2 * (each + test * (each + 6 * 0.25)) for test in (20, 30))
    assert script.speed.seconds(speed, config, images) == pytest.approx(expected)
    assert script.speed.disk(speed, config, images) == 64_000
    assert [script.speed.shown(x) for x in (40, 700, 3600 * 3.5)] == ["40 s", "12 min", "3.5 h"]


def test_only_whole_results_of_the_same_settings_are_finished(script, tmp_path):
    run = planned(script, tmp_path)
    assert not script.plan.finished(run)
    written(run, [r for r in rows_of() if r["category"] == "a"])
    assert script.plan.finished(run)
    assert not script.plan.finished(planned(script, tmp_path, shots=(4,)))
    assert not script.plan.finished(planned(script, tmp_path, weights="random"))
    written(run, [], category=["a"])
    assert not script.plan.finished(run)


def report(script, run, missing=()):
    return script.report.markdown([run], dict(missing), "scripts/reproduce.sh")


def test_the_report_has_figures_with_standard_errors_worst_categories_and_claims(script, tmp_path):
    run = script.plan.run(
        data(script, a=(9, 9), b=(9, 9)), "resnet18", tmp_path, transformer_size=448, **SETTINGS | {"shots": (2,)}
    )
    written(run, rows_of(), category=["a", "b"])
    text = report(script, run, {"visa": "it is not there"})
    # Means of the draws are 0.6 and 0.7: 65 with a standard error of 5.
    assert "| fastrecon | 65.0 ± 5.0 |" in text
    assert "| nearest | 90.0 ± 0.0 |" in text
    assert "| fastrecon | a 55.0 |" in text
    assert "- visa: it is not there" in text
    assert "published" not in text.replace("published ones", "")  # two categories of six
    # 25 ± 5 over two draws: the interval is 12.7 standard errors wide on either side.
    assert "- nearest and fastrecon cannot be told apart at 2 shots (+25.0 ± 5.0); worst category b, +15.0." in text
    (line,) = (
        r
        for r in csv.DictReader(io.StringIO(script.report.table([run])))
        if (r["method"], r["metric"]) == ("fastrecon", "image_auroc")
    )
    assert (line["worst_category"], line["categories"], line["shots"]) == ("a", "2", "2")
    assert float(line["standard_error"]) == pytest.approx(0.05)


def test_a_difference_is_claimed_where_the_interval_over_the_draws_excludes_zero(script):
    say = script.report.claims.sentence
    assert say("x", "y", 4, 0.012, 0.003, 5) == "x beats y at 4 shots by 1.2 ± 0.3"
    assert say("x", "y", 1, -0.012, 0.003, 5) == "x is behind y at 1 shot by 1.2 ± 0.3"
    assert "cannot be told apart" in say("x", "y", 4, 0.012, 0.0045, 5)  # 2.67 of them, below Student's 2.78
    assert say("x", "y", 4, 0.012, None, 1) == "x is above y at 4 shots by 1.2; one draw has no standard error"
    assert "(+0.0 ± 0.1)" in say("x", "y", 4, -0.0001, 0.001, 5)
    assert summary.standard_error([1.0, 3.0, 5.0]) == pytest.approx(2 / math.sqrt(3))


def test_published_figures_stand_beside_whole_data_sets_with_trained_weights(script, tmp_path):
    names = "abcdef"
    run = script.plan.run(
        data(script, **dict.fromkeys(names, (9, 9))), "wide_resnet50_2", tmp_path, transformer_size=448, **SETTINGS
    )
    same = [r for r in rows_of(encoder="wide_resnet50_2") if r["category"] == "a"]
    rows = [r | {"category": name} for name in names for r in same]
    written(run, rows)
    text = report(script, run)
    assert "| FastRecon, published, wide_resnet50_2 | 73.65 |" in text
    assert re.search(r"fastrecon and the published FastRecon cannot be told apart.*: 55.0, published 73.65", text)
    written(run, rows, partial=["a"])
    assert "73.65" not in report(script, run)
    written(run, rows, weights="random")
    text = report(script, run)
    assert "73.65" not in text
    assert "RANDOM WEIGHTS" in text
    assert "Claims" not in text
    assert not re.search(r"^\| (nearest|fastrecon) \|", text, re.M)  # every row is marked


def test_methods_that_are_trained_are_left_out_unless_asked_for(script):
    assert not set(script.plan.METHODS) & set(script.plan.TRAINED)
    assert sorted(script.plan.METHODS + script.plan.TRAINED) == sorted(methods.names())
    assert script._METHOD.value == list(script.plan.METHODS)


def test_what_works_on_images_is_measured_without_the_encoder_of_the_others(script, tmp_path):
    write_category(tmp_path / "data", "metal_plate", size=32)
    small = {"tdg_transformations": 4, "tdg_scales": 1, "tdg_steps": 2, "tdg_width": 4}
    fields = {"data_dir": str(tmp_path / "data"), "encoder": "resnet18", "image_size": 32, "crop_size": 32}
    config = EvalConfig(method=("nearest", "tdg"), shots=(1,), settings=small, weights="random", **fields)
    measured = script.speed.measure(config)
    assert set(measured.fit) == set(measured.score) == {"nearest", "tdg"}
    assert measured.fit["tdg"][1] > 0 and measured.score["tdg"][1] > 0


def reproduce(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "reproduce.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent), "HF_HUB_OFFLINE": "1", "HF_HOME": str(cwd / "hub")},
        capture_output=True,
        text=True,
    )


def test_what_is_there_is_evaluated_once_and_what_is_missing_is_named(tmp_path):
    write_category(tmp_path / "data/mpdd", "metal_plate")
    alone = (
        *("--data_dir=data", "--dataset=mpdd", "--encoder=resnet18", "--weights=resnet18=random", "--method=nearest"),
        *("--shots=1", "--draws=2", "--output_dir=out"),
    )
    estimate = reproduce(*alone, "--estimate_only", cwd=tmp_path)
    assert (estimate.returncode, estimate.stderr) == (0, "")
    assert "measuring how fast resnet18 at 224 px is" in estimate.stdout
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["speed.json"]

    several = reproduce(*alone, "--dataset=mpdd,visa", "--encoder=resnet18,convnext_atto", cwd=tmp_path)
    assert several.returncode == 1, several.stderr
    assert "measuring" not in several.stdout
    assert "left out: visa: data holds nothing of VisA" in several.stdout
    assert "left out: convnext_atto: hf://timm/convnext_atto" in several.stdout
    assert re.search(r"about \d+ s on this machine for 1 of 2 runs", several.stdout)
    text = (tmp_path / "out/report.md").read_text()
    assert "### resnet18: RANDOM WEIGHTS" in text
    assert "- mpdd, convnext_atto at 224 px: hf://timm/convnext_atto" in text
    assert not (tmp_path / "out/mpdd_resnet18/features").exists()

    again = reproduce(*alone, cwd=tmp_path)
    assert (again.returncode, again.stderr) == (0, "")
    assert "finished before: mpdd, resnet18 (random weights) at 224 px" in again.stdout
    assert "nearest 1 shots" not in again.stdout


@pytest.mark.parametrize(
    ("flag", "value", "message"),
    [
        ("_SHOTS", ["0"], "--shots=0 is not allowed"),
        ("_SHOTS", ["a"], "--shots=a is not allowed: expected whole numbers"),
        ("_ENCODER", ["resnet"], "unknown encoder 'resnet'"),
        ("_METHOD", ["best"], "--method=best is not allowed"),
        ("_DRAWS", 0, "--draws=0 is not allowed: it must be at least 1"),
        ("_DATASET", ["best"], "there is nothing to run: --dataset=best needs --data_dir"),
    ],
)
def test_a_setting_that_is_not_allowed_is_refused_once(script, monkeypatch, flag, value, message):
    monkeypatch.setattr(script, flag, types.SimpleNamespace(value=value))
    with pytest.raises(InputError, match=message):
        script.planned(Path("out"))
