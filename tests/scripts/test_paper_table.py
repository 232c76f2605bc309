"""The table of the paper, from published figures and from results made here."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.pretraining import config as pretraining
from fastrecon_jax.pretraining import regad
from tests.data.parts import write_category
from tests.evaluation.rows import row

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"


@pytest.fixture
def script(load):
    return load("paper_table")


def test_published_figures_are_those_of_the_paper(script):
    known = {(r["method"], r["metric"], r["shots"]): r["percent"] for r in script.published("mpdd")}
    assert known["FastRecon", "image_auroc", "8"] == "82.50"
    assert known["PatchCore", "pixel_auroc", "2"] == "79.15"
    assert ("PaDiM", "image_auroc", "2") not in known
    assert all(r["source"] for r in script.published("mvtec_ad"))


def test_ours_stand_under_the_published(script):
    means = tables.means([row("a", k, seed, 0.5) | {"encoder": "resnet18"} for k in (2, 4) for seed in (0, 1)])
    lines = script.systems.accuracy(script.published("mpdd"), means, (2, 4))
    columns = ["image 2", "image 4", "pixel 2", "pixel 4", "AUPRO 2", "AUPRO 4"]
    assert lines[0] == ["method", "encoder", "categories", *columns]
    place = lines.index(["FastRecon, published", "wide_resnet50_2", "6", "73.65", "79.85", "97.03", "97.60", "-", "-"])
    assert lines[place + 1] == ["fastrecon, ours", "resnet18", "1", *["50.0 ± 0.0"] * 6]


def test_each_of_the_six_systems_stands_under_what_is_published_of_it(script):
    names = ("fastrecon+", "regad", "differnet", "tdg", "padim", "patchcore", "fastrecon")
    means = tables.means([row("a", 2, 0, 0.5, name) for name in names])
    lines = [line[0] for line in script.systems.accuracy(script.published("mvtec_ad"), means, (2,))]
    for theirs, ours in [
        *(("TDG", "tdg"), ("DiffNet", "differnet"), ("RegAD", "regad")),
        *(("PaDiM", "padim"), ("PatchCore", "patchcore"), ("FastRecon", "fastrecon")),
    ]:
        assert lines[lines.index(f"{theirs}, published") + 1] == f"{ours}, ours"
    assert lines[-1] == "fastrecon+, ours"


def test_what_each_method_took(script):
    seconds = ((2.0, 10.0), (4.0, 20.0))
    rows = [
        row(part, 2, 0, 0.5, method) | {"fit_seconds": fit, "score_images_per_second": speed}
        for method in ("fastrecon", "regad")
        for part, (fit, speed) in zip("ab", seconds, strict=True)
    ]
    rows[-1] |= {"score_images_per_second": None}
    head, *lines = script.systems.cost(rows, {"regad": 1234.5}, (2,))
    assert head == ["method", "encoder", "meta-training, s", "fit 2, s", "image 2, ms"]
    assert lines == [["fastrecon", "x", "-", "3", "75"], ["regad", "x", "1234", "3", "-"]]


def both(differences, reference=0.5):
    """Rows of two methods at 2 shots, from differences by part and draw."""
    return [
        row(f"part {p}", 2, seed, value, method)
        for p, draws in enumerate(differences)
        for seed, difference in enumerate(draws)
        for method, value in (("fastrecon", reference), ("nearest", reference + difference))
    ]


def test_equal_methods_differ_by_nothing(script):
    (found,) = script.significance.significance(both(np.zeros((3, 2))), "fastrecon")
    assert (found["method"], found["baseline"], found["shots"], found["pairs"]) == ("nearest", "fastrecon", 2, 6)
    for metric in tables.SUMMARY.values():
        assert (found[metric], found[f"{metric}_interval"], found[f"{metric}_p"]) == (0, [0, 0], 1)


def test_the_difference_is_that_of_the_pairs_and_its_sign_that_of_the_method(script):
    better = np.array([[0.1, 0.2, 0.1], [0.02, 0.05, 0.03], [0.3, 0.3, 0.1]])
    (above,) = script.significance.significance(both(better), "fastrecon")
    (below,) = script.significance.significance(both(better), "nearest")
    assert above["image_auroc"] == pytest.approx(better.mean())
    assert above["image_auroc"] == tables.paired(both(better), baseline="fastrecon")[0]["image_auroc"]
    assert (above["image_auroc_p"], below["image_auroc_p"]) == (0, 1)
    low, high = above["image_auroc_interval"]
    assert 0.03 < low < better.mean() < high < 0.25
    assert below["image_auroc_interval"] == pytest.approx([-high, -low])


def test_parts_are_resampled_before_draws(script):
    """Where parts differ and draws agree, more draws make nothing surer; pairs drawn one by one would say so."""
    effects = np.array([0.3, -0.1, 0.2, -0.05, 0.1])
    few, many = (both(np.repeat(effects[:, None], draws, axis=1)) for draws in (1, 20))
    width = {}
    for name, rows in (("few", few), ("many", many)):
        (found,) = script.significance.significance(rows, "fastrecon")
        width[name] = np.ptp(found["image_auroc_interval"])
        assert found["image_auroc_p"] == pytest.approx(0.1, abs=0.05)
    assert width["many"] == pytest.approx(width["few"], rel=0.05)
    assert np.ptp(tables.paired(many, baseline="fastrecon")[0]["image_auroc_interval"]) < 0.4 * width["many"]


def test_the_spread_of_resamples_is_that_of_parts_and_of_draws(script):
    """Both levels by their known variances: of 40 parts' means, and of 5 draws within each part."""
    values = np.random.default_rng(0).normal(size=(40, 5)) + 2 * np.random.default_rng(1).normal(size=(40, 1))
    between, within = values.mean(axis=1).var() / 40, values.var(axis=1).mean() / (40 * 5)
    assert script.significance.resampled(values).var() == pytest.approx(between + within, rel=0.05)
    np.testing.assert_array_equal(script.significance.resampled(values), script.significance.resampled(values))


def test_what_is_undefined_has_no_p(script):
    rows = [r | {"aupro": None} for r in both([[0.1, 0.2]])]
    (found,) = script.significance.significance(rows, "fastrecon")
    assert (found["aupro"], found["aupro_interval"], found["aupro_p"]) == (None, None, None)
    head, line = script.significance.lines([found])
    assert head[-3:] == ["image p", "pixel p", "AUPRO p"]
    assert line[:4] == ["fastrecon", "nearest", "2", "2"]
    assert line[4:] == ["+15.0 (+10.0 to +20.0)", "+15.0 (+10.0 to +20.0)", "-", "0.0000", "0.0000", "-"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "fastrecon on part 0 with 2 shots, draw 0, is missing; every method"),
        (lambda rows: [r | {"seed": r["seed"] + (r["method"] == "nearest")} for r in rows], "is missing, and 3 more"),
        (lambda rows: [*rows, rows[0]], "fastrecon on part 0 with 2 shots, draw 0, is there twice"),
        (
            lambda rows: [*rows, row("part 9", 2, 0, 0.5), row("part 9", 2, 1, 0.5)],
            "nearest on part 9 with 2 shots, draw 0, is missing, and 1 more",
        ),
        (lambda rows: [*rows, row("part 0", 4, 0, 0.5)], "with 4 shots, draw .*, is missing"),
    ],
)
def test_draws_that_do_not_pair_up_are_refused(script, change, message):
    rows = both([[0.1, 0.2], [0.0, 0.1]])
    script.joining.require_pairs(rows)
    with pytest.raises(ValueError, match=f"results do not pair up: .*{message}"):
        script.joining.require_pairs(change(rows))


def written(directory, rows, **changes):
    """A finished run of some rows, as the evaluation leaves it."""
    categories, methods = (list(dict.fromkeys(r[key] for r in rows)) for key in ("category", "method"))
    config = {"category": categories, "description": "x.", "draws": 2, "settings": {name: {} for name in methods}}
    same = {"encoder": "x", "weights": "x", "weights_sha256": "0", "support": "random", "image_size": 256}
    same |= {"crop_size": 224, "dtype": "float32", "image_score": "", "max_queries": 0}
    directory.mkdir()
    results.write(directory, results.Results(config | same | changes, rows, []))
    return directory


def test_parts_of_several_runs_enter_one_table(script, tmp_path):
    """Parts of one name in two data sets are two parts."""
    first = written(tmp_path / "first", both([[0.1, 0.2]]))
    second = written(tmp_path / "second", [r | {"dataset": "y"} for r in both([[0.3, 0.0], [0.1, 0.1]])])
    joined = script.joining.read([first, second])
    rows = joined.rows
    assert {r["category"] for r in rows} == {"x/part 0", "y/part 0", "y/part 1"}
    (found,) = script.significance.significance(rows, "fastrecon")
    assert (found["pairs"], found["image_auroc"]) == (6, pytest.approx(0.8 / 6))
    plain, markdown = script.texts(script.joining.Joined(rows, {}), [])
    assert re.search(r"fastrecon, ours +x +3 +50.0 ± 0.0", plain)
    assert "| fastrecon | nearest | 2 | 6 | +13.3 (" in markdown
    assert "3 part(s), and of 2 draw(s) within each" in markdown


def test_methods_of_one_data_set_may_come_from_several_runs(script, tmp_path):
    rows = both([[0.1, 0.2]])
    split = [written(tmp_path / name, [r for r in rows if r["method"] == name]) for name in ("fastrecon", "nearest")]
    assert script.significance.significance(script.joining.read(split).rows, "fastrecon")[0]["pairs"] == 2


def test_runs_that_do_not_belong_together_are_refused(script, tmp_path):
    rows = both([[0.1, 0.2]])
    first = written(tmp_path / "first", rows)
    with pytest.raises(ValueError, match=r"results do not pair up: .* is there twice"):
        script.joining.read([first, first])
    other = written(tmp_path / "other", rows, crop_size=320)
    with pytest.raises(ValueError, match="other cannot join the table: crop_size was 224 and is 320"):
        script.joining.read([first, other])
    tuned = written(tmp_path / "tuned", rows, settings={"fastrecon": {"lam": 0.0}, "nearest": {}})
    with pytest.raises(ValueError, match=r"tuned cannot join the table: settings of fastrecon was \{\} and is"):
        script.joining.read([first, tuned])
    half = written(tmp_path / "half", rows, category=["part 0", "part 1"])
    with pytest.raises(ValueError, match="half has no results of part 1 yet"):
        script.joining.read([half])
    with pytest.raises(ValueError, match=r"absent.results.json cannot be read"):
        script.joining.read([tmp_path / "absent"])


def trained(directory, rows, began="0", **changes):
    facts = {"method": "regad", "settings": {"preset": "small"}, "began_with_sha256": began}
    seconds = {r["category"]: facts | {"seconds": 10.0 + i} for i, r in enumerate(rows)}
    own = {"encoder": "regad_resnet18", "crop_size": 112, "weights_sha256": {}, "meta_training": seconds}
    return written(directory, rows, **own, **changes)


def test_meta_trained_methods_join_with_an_encoder_of_their_own(script, tmp_path):
    rows = [row(part, 2, 0, 0.5, method) for method in ("nearest", "regad") for part in ("part 0", "part 1")]
    free = written(tmp_path / "free", rows[:2])
    own = trained(tmp_path / "own", rows[2:])
    joined = script.joining.read([free, own])
    assert joined.training == {"regad": 10.5}
    plain, markdown = script.texts(joined, [])
    assert re.search(r"regad +x +10.5 ", plain) and "| regad | x | 10.5 |" in markdown
    found = json.loads(script.numbers(joined))
    assert [cost["training_seconds"] for cost in found["costs"]] == [None, 10.5]
    assert {part["part"] for part in found["parts"]} == {"x/part 0", "x/part 1"}
    other = trained(tmp_path / "other", [r | {"dataset": "y"} for r in rows[2:]], began="1")
    with pytest.raises(ValueError, match="other cannot join the table: meta-training of regad was"):
        script.joining.read([free, own, other])


def test_one_method_or_one_pair_has_no_significance(script):
    for rows in ([r for r in both([[0.1, 0.2]]) if r["method"] == "nearest"], both([[0.1]])):
        assert "against" not in "".join(script.texts(script.joining.Joined(rows, {}), []))


def run(*arguments, cwd):
    return subprocess.run(
        [sys.executable, str(SCRIPTS / "paper_table.py"), *arguments],
        cwd=cwd,
        env=os.environ | {"PYTHONPATH": str(SCRIPTS.parent)},
        capture_output=True,
        text=True,
    )


def test_the_script_reads_finished_runs(tmp_path):
    mpdd = [r | {"dataset": "mpdd"} for r in both([[0.1, 0.2]])]
    written(tmp_path / "first", mpdd)
    written(tmp_path / "second", [r | {"dataset": "y"} for r in mpdd])
    one = run("--results=first", "--output_dir=table", "--reference=nearest", cwd=tmp_path)
    assert (one.returncode, one.stderr) == (0, "")
    text = (tmp_path / "table/paper_table.md").read_text()
    assert "| FastRecon, published |" in text
    assert "| nearest | fastrecon | 2 | 2 | -15.0 (-20.0 to -10.0) |" in text
    several = run("--results=first,second", cwd=tmp_path)
    assert (several.returncode, several.stderr) == (0, "")
    assert "published" not in several.stdout.lower()
    assert re.search(r"fastrecon +nearest +2 +4 +\+15.0", several.stdout)
    for arguments, message in (
        (("--results=first", "--shots=2"), "--shots is not allowed with --results: nothing is evaluated"),
        (("--results=first", "--reference=padim"), "--reference=padim is not among the methods: they are fastrecon, n"),
    ):
        refused = run(*arguments, cwd=tmp_path)
        assert refused.returncode == 2
        assert message in refused.stderr


def test_a_reference_that_is_not_evaluated_is_refused_at_once(tmp_path):
    refused = run("--dataset=mpdd", "--data_dir=data", "--method=fastrecon", "--reference=spade", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--reference=spade is not among the methods: they are fastrecon" in refused.stderr


def test_data_without_published_figures(script):
    with pytest.raises(ValueError, match="--dataset=elpv has no published figures: allowed are mvtec_ad, mpdd"):
        script.published("elpv")


def test_the_script_evaluates_and_writes_the_table(tmp_path):
    write_category(tmp_path / "data", "metal_plate")
    ran = run(
        *("--dataset=mpdd", "--data_dir=data", "--method=fastrecon,nearest", "--shots=2", "--encoder=resnet18"),
        *("--weights=random", "--image_size=64", "--crop_size=64", "--output_dir=out", "--seeds=0,1"),
        cwd=tmp_path,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (
        "| FastRecon, published | wide_resnet50_2 | 6 | 73.65 | 97.03 | - |"
        in (tmp_path / "out/paper_table.md").read_text()
    )
    assert "fastrecon, ours" in ran.stdout
    assert "1 part(s), and of 2 draw(s) within each" in ran.stdout
    found = json.loads((tmp_path / "out/paper_table.json").read_text())
    assert [cost["method"] for cost in found["costs"]] == ["fastrecon", "nearest"]


@pytest.fixture
def small(monkeypatch):
    """A preset that trains in a second, on one stage of the network."""
    monkeypatch.setitem(pretraining.PRESETS, "small", pretraining.Preset(48, 48, 4, 1, 1e-3, 1e-3, 1.0))
    monkeypatch.setattr(regad, "STAGES", ("layer1",))
    monkeypatch.setattr(regad, "CHANNELS", 64)


def of_both(tmp_path, **changes):
    fields = {"data_dir": str(tmp_path / "data"), "category": ("metal_plate",), "method": ("nearest", "regad")}
    fields |= {"encoder": "resnet18", "weights": "random", "shots": (2,), "max_queries": 2}
    return EvalConfig(**fields | {"output_dir": str(tmp_path / "out")} | changes)


def test_regad_is_meta_trained_on_other_parts_before_it_is_tested(script, small, tmp_path):
    for name in ("metal_plate", "nut", "bolt"):
        write_category(tmp_path / "data", name)
    config, lines = of_both(tmp_path), []
    others, own = script.meta_trained.split(config, "")
    assert (others.method, others.encoder, others.output_dir) == (("nearest",), "resnet18", config.output_dir)
    assert (own.method, own.encoder, own.crop_size) == (("regad",), "regad_resnet18", 48)
    script.meta_trained.prepare(config, "", "random", lines.append)
    weights = tmp_path / "out_regad/weights/small_metal_plate.safetensors"
    assert own.weights.replace("{category}", "metal_plate") == str(weights) and weights.is_file()
    assert "metal_plate: trained on bolt, nut; 2 steps" in "".join(lines)
    # All of a data set at once say how long they take; what is there is kept.
    script.meta_trained.prepare(of_both(tmp_path, category=("all",)), "", "random", lines.append)
    assert "2 categories, 4 steps" in "".join(lines) and "is there already" in "".join(lines)


def test_when_regad_takes_the_encoder_of_the_others(script, small, tmp_path):
    write_category(tmp_path / "data", "metal_plate")
    split = script.meta_trained.split
    for config, data_dir in (
        (of_both(tmp_path), "none"),
        (of_both(tmp_path, method=("nearest",)), ""),
        (of_both(tmp_path, encoder="regad_resnet18"), ""),
    ):
        assert split(config, data_dir) == (config, None)
    with pytest.raises(InputError, match="the category metal_plate alone, and regad is meta-trained on others: name a"):
        split(of_both(tmp_path), "")
    with pytest.raises(InputError, match="is meta-trained in one process: start one"):
        split(of_both(tmp_path, coordinator_address="x:1", num_processes=2, process_id=0), "")
    write_category(tmp_path / "others", "nut")
    write_category(tmp_path / "others", "metal_plate")
    nobody, own = split(of_both(tmp_path, method=("regad",)), str(tmp_path / "others"))
    assert nobody is None and own.output_dir == str(tmp_path / "out")
