"""The evaluation as a user sees it: results, resuming, and what it says about mistakes."""

import csv
import itertools
import json
import subprocess
import sys

import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from PIL import Image

from fastrecon_jax import eval as evaluate
from fastrecon_jax import locks, methods
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.evaluation import results as result_files
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation import support_file
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.methods import settings as method_settings
from tests.data.parts import write_category

SMALL = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64, "batch_size": 4, "shots": (2,)}


def run(tmp_path, tell=lambda text: None, **settings):
    """Evaluate; settings that are no fields of EvalConfig are those of the methods."""
    own = {name: settings.pop(name) for name in list(settings) if name in method_settings.options()}
    places = {"data_dir": str(tmp_path / "data"), "output_dir": str(tmp_path / "out")}
    config = EvalConfig(**(SMALL | places | settings), settings=own)
    directory = evaluation.run(config, tell=tell)
    return json.loads((directory / "results.json").read_text())


@pytest.fixture
def parts(tmp_path):
    write_category(write_category(tmp_path / "data", "bolt"), "nut", masks=False)
    return tmp_path


@pytest.fixture
def command(monkeypatch, capsys, tmp_path):
    """Runs the command in this process and gives its exit code, output and errors."""
    if "shots" not in flags.FLAGS:
        command_line.define(EvalConfig)
    monkeypatch.chdir(tmp_path)

    def call(*arguments):
        small = [f"--{name}={value}" for name, value in SMALL.items() if name != "shots"]
        monkeypatch.setattr(sys, "argv", ["eval", *small, "--shots=2", *arguments])
        with flagsaver.flagsaver(), pytest.raises(SystemExit) as exit_:
            command_line.run(evaluate.main)
        captured = capsys.readouterr()
        return exit_.value.code or 0, captured.out, captured.err

    return call


def without_times(rows):
    return [{k: v for k, v in row.items() if not k.endswith(("_seconds", "_per_second"))} for row in rows]


def test_results_are_complete(parts):
    results = run(parts, shots=(1, 2), support="random", seeds=(0, 3), save_maps=True)
    assert results.keys() == {"config", "rows", "mean", "paired", "memory"}
    assert [(r["category"], r["shots"], r["seed"]) for r in results["rows"]] == [
        (category, shots, seed) for category in ("bolt", "nut") for shots in (1, 2) for seed in (0, 3)
    ]
    for row in results["rows"]:
        assert row.keys() == set(result_files.COLUMNS)
        assert row["coreset_rows"] == 1
        assert (row["support_images"], row["query_images"]) == (row["shots"], 6)
        assert 0 <= row["image_auroc"] <= 1
        assert row["fit_seconds"] > 0
        assert row["score_images_per_second"] > 0
        assert (row["pixel_auroc"] is None) == (row["category"] == "nut")  # which has no masks
    assert [(m["shots"], m["categories"], m["draws"]) for m in results["mean"]] == [(1, 2, 2), (2, 2, 2)]
    assert results["mean"][0]["aupro"] is None
    with (parts / "out/scores.csv").open() as file:
        scores = list(csv.DictReader(file))
    assert len(scores) == 2 * 2 * 2 * 6
    assert {s["path"] for s in scores} == {f"test/{kind}/{i:03}.png" for kind in ("good", "scratch") for i in range(3)}
    support = support_file.read(parts / "out/support.csv")
    dataset = results["config"]["dataset"]
    assert set(support) == {(dataset, *key) for key in itertools.product(("bolt", "nut"), (1, 2), (0, 3))}
    for (_, _, shots, _), names in support.items():
        assert len(set(names)) == shots and all(name.startswith("train/good/") for name in names)
    assert sorted(p.name for p in (parts / "out/maps").iterdir()) == [
        f"{category}_{shots}shot_fastrecon.png" for category in ("bolt", "nut") for shots in (1, 2)
    ]


def test_a_white_square_on_grey_noise_is_found(parts):
    row = run(parts, category=("bolt",))["rows"][0]
    assert row["image_auroc"] == 1
    assert row["pixel_auroc"] > 0.9


def test_scores_do_not_depend_on_draws_and_shots_evaluated_beside_them(parts):
    many = run(parts, shots=(1, 2), support="random", seeds=(0, 1))["rows"]
    one = run(parts, shots=(2,), support="random", seeds=(1,), output_dir=str(parts / "one"))["rows"]
    wanted = [row for row in many if row["shots"] == 2 and row["seed"] == 1]
    for a, b in zip(without_times(one), without_times(wanted), strict=True):
        assert a == pytest.approx(b, abs=1e-4)


def test_an_interrupted_run_is_resumed(parts):
    def interrupt(text):
        if text.startswith("bolt"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(parts, tell=interrupt)
    assert len(json.loads((parts / "out/results.json").read_text())["rows"]) == 1
    told = []
    resumed = run(parts, tell=told.append)
    assert any(text.startswith("bolt: taken from") for text in told)
    whole = run(parts, output_dir=str(parts / "whole"))
    assert without_times(resumed["rows"]) == without_times(whole["rows"])
    assert (parts / "out/scores.csv").read_text() == (parts / "whole/scores.csv").read_text()


def test_a_directory_in_which_another_process_writes_is_refused(parts):
    directory = parts / "out"
    run(parts)
    before = {file.name: file.read_bytes() for file in directory.iterdir()}
    with (
        locks.directory(directory),
        pytest.raises(ValueError, match=f"^--output_dir={directory}: another process is writing results there"),
    ):
        run(parts)
    assert {file.name: file.read_bytes() for file in directory.iterdir()} == before
    run(parts)


def test_a_directory_with_rows_of_an_inspection_is_refused(parts):
    (parts / "out").mkdir()
    for name in ("results.jsonl", "results.csv"):
        (parts / "out" / name).write_text("")
    with pytest.raises(ValueError, match="holds results of predict: choose another"):
        run(parts)
    assert (parts / "out" / "results.csv").read_text() == ""


def test_a_directory_of_other_settings_is_refused(parts):
    run(parts)
    with pytest.raises(ValueError, match=r"of other settings, choose another: fastrecon lam was 2.0 and is 1.0"):
        run(parts, lam=1.0)


def test_added_images_are_other_settings(parts):
    run(parts)
    Image.fromarray(np.zeros((48, 48, 3), np.uint8)).save(parts / "data/bolt/test/good/new.png")
    with pytest.raises(ValueError, match="files_sha256 was"):
        run(parts)


def test_another_list_in_the_same_file_is_another_setting(parts):
    listed = parts / "list.txt"
    listed.write_text("bolt/train/good/000.png\nbolt/train/good/001.png\n")
    run(parts, category=("bolt",), support=str(listed))
    listed.write_text("bolt/train/good/002.png\nbolt/train/good/001.png\n")
    with pytest.raises(ValueError, match="files_sha256 was"):
        run(parts, category=("bolt",), support=str(listed))


def test_cached_features_give_the_same_and_cost_no_pass(parts):
    cache = {"feature_cache": str(parts / "cache")}
    plain = run(parts)["rows"]
    filling = run(parts, output_dir=str(parts / "first"), **cache)["rows"]
    cached = run(parts, output_dir=str(parts / "second"), **cache)["rows"]
    assert without_times(plain) == without_times(filling) == without_times(cached)
    assert all(row["fit_seconds"] > 0 for row in filling)
    assert all(row["fit_seconds"] is row["score_images_per_second"] is None for row in cached)
    assert (parts / "out/scores.csv").read_text() == (parts / "second/scores.csv").read_text()
    entries = len(list((parts / "cache").glob("*/*")))
    assert entries == 2 * (2 + 6)
    run(parts, output_dir=str(parts / "third"), crop_size=48, **cache)
    assert len(list((parts / "cache").glob("*/*"))) == 2 * entries


def test_methods_beside_each_other(parts, command):
    arguments = ("--data_dir=data", "--category=bolt", "--method=fastrecon,nearest", "--shots=1,2", "--seeds=0,1")
    code, out, _ = command(*arguments, "--output_dir=out")
    assert code == 0
    assert "bolt nearest 2 shots: image AUROC 100.0 ± 0.0" in out
    assert "against" in out
    results = json.loads((parts / "out/results.json").read_text())
    assert [(r["method"], r["shots"], r["seed"]) for r in results["rows"]] == [
        (method, shots, seed) for method in ("fastrecon", "nearest") for shots in (1, 2) for seed in (0, 1)
    ]
    assert [(p["method"], p["shots"], p["pairs"]) for p in results["paired"]] == [("nearest", 1, 2), ("nearest", 2, 2)]
    assert (parts / "out/shots.png").exists()
    assert "| method | image 1 | image 2 |" in (parts / "out/results.md").read_text()


def test_a_method_scores_the_same_alone_and_beside_others(parts):
    together = run(parts, method=("nearest", "patchcore", "padim", "spade", "subspace"))["rows"]
    for method in ("patchcore", "spade"):
        (alone,) = run(parts, method=(method,), category=("bolt",), output_dir=str(parts / method))["rows"]
        (same,) = [row for row in together if row["method"] == method and row["category"] == "bolt"]
        assert without_times([alone])[0] == pytest.approx(without_times([same])[0], abs=1e-4)


def test_a_method_takes_its_own_stages_beside_one_that_takes_more(parts):
    both = run(parts, method=("fastrecon+", "nearest"), category=("bolt",))["rows"]
    (alone,) = run(parts, method=("nearest",), category=("bolt",), output_dir=str(parts / "alone"))["rows"]
    assert without_times(both)[1] == pytest.approx(without_times([alone])[0], abs=1e-4)


def test_lam_and_coreset_are_chosen_for_each_draw(parts):
    settings = {"lam": "auto", "coreset_ratio": "auto", "category": ("bolt",), "seeds": (0, 1), "shots": (1, 3)}
    rows = run(parts, **settings)["rows"]
    assert [(row["shots"], row["seed"]) for row in rows] == [(1, 0), (1, 1), (3, 0), (3, 1)]
    assert all(0 <= row["image_auroc"] <= 1 for row in rows)
    cached = run(parts, **settings, feature_cache=str(parts / "cache"), output_dir=str(parts / "again"))["rows"]
    assert [row["image_auroc"] for row in cached] == [row["image_auroc"] for row in rows]


def test_copies_are_for_every_method(parts):
    settings = {"method": ("nearest", "fastrecon+"), "category": ("bolt",), "shots": (1, 2), "seeds": (0, 1)}
    plain = run(parts, **settings)["rows"]
    more = run(parts, **settings, support_copies=("light", "turns"), output_dir=str(parts / "copies"))["rows"]
    for with_copies, without in zip(more, plain, strict=True):
        assert without_times([with_copies])[0] != pytest.approx(without_times([without])[0], abs=1e-4)
        if without["method"] == "nearest":
            assert (
                with_copies["coreset_rows"]
                == (1 + sum(methods.COPIES[k] for k in ("light", "turns"))) * (without["coreset_rows"])
            )
    # The order of the draws and what stands beside them changes nothing, and neither does a cache.
    cache = {"feature_cache": str(parts / "cache")}
    alone = settings | {"method": ("nearest",), "shots": (2,), "seeds": (1,), "support_copies": ("light", "turns")}
    wanted = [row for row in more if (row["method"], row["shots"], row["seed"]) == ("nearest", 2, 1)]
    for directory in ("first", "second"):
        again = run(parts, **alone, **cache, output_dir=str(parts / directory))["rows"]
        assert without_times(again)[0] == pytest.approx(without_times(wanted)[0], abs=1e-4)


def test_a_directory_without_copies_is_refused_with_them(parts):
    run(parts)
    with pytest.raises(ValueError, match="of other settings, choose another: support_copies was"):
        run(parts, support_copies=("light",))


def test_copies_that_a_method_asks_for_itself_are_not_taken_twice(parts):
    settings = {"method": ("fastrecon+", "nearest"), "category": ("bolt",)}
    plain, _ = run(parts, **settings)["rows"]
    same, _ = run(parts, **settings, support_copies=("light",), output_dir=str(parts / "light"))["rows"]
    assert without_times([same])[0] == pytest.approx(without_times([plain])[0], abs=1e-4)


def test_tiles_are_kept_apart_in_results_and_cache(parts):
    settings = {"category": ("bolt",), "method": ("nearest",), "feature_cache": str(parts / "cache")}
    (plain,) = run(parts, **settings)["rows"]
    tiled = [
        run(parts, **settings, tile=(48, 16), output_dir=str(parts / name)) for name in ("first", "second")
    ]  # the second time from the cache
    assert without_times(tiled[0]["rows"]) == without_times(tiled[1]["rows"]) != without_times([plain])
    assert tiled[0]["config"]["tile"] == [48, 16]
    assert "tiles of 48 pixels with an overlap of 16" in tiled[0]["config"]["description"]


@pytest.mark.parametrize("encoder", ["resnet18", "efficientnet_lite0"])
@pytest.mark.parametrize(("side", "tile"), [(448, ()), (672, (224, 96))])
def test_large_images(parts, encoder, side, tile):
    settings = {"category": ("bolt",), "max_queries": 2, "shots": (1,), "method": ("nearest",), "encoder": encoder}
    (row,) = run(parts, **settings, image_size=side, crop_size=side, tile=tile)["rows"]
    assert row["query_images"] == 2


def test_rotated_copies_beside_settings_that_are_chosen(parts):
    settings = {"lam": "auto", "category": ("bolt",), "shots": (2,)}
    (plain,) = run(parts, **settings)["rows"]
    (more,) = run(parts, **settings, support_copies=("rot8", "flip"), output_dir=str(parts / "more"))["rows"]
    copies = methods.number_of_copies(("rot8", "flip"))
    assert abs(more["coreset_rows"] - (1 + copies) * plain["coreset_rows"]) <= 1 + copies
    assert "copies rot8+flip" in json.loads((parts / "more/results.json").read_text())["config"]["description"]


def test_all_methods_have_a_name(parts):
    quick = {"differnet_hidden": 8, "differnet_blocks": 1, "differnet_steps": 2, "differnet_bank_rotations": 2}
    rows = run(parts, method=("all",), category=("bolt",), differnet_score_rotations=1, **quick)["rows"]
    assert {row["method"] for row in rows} == set(methods.names())


def test_random_weights_say_so_in_every_result(parts):
    results = run(parts)
    assert all(row["weights"] == "random" for row in (*results["rows"], *results["mean"]))
    assert "RANDOM WEIGHTS" in (parts / "out/results.md").read_text()


def test_at_most_so_many_queries(parts):
    assert run(parts, max_queries=4)["rows"][0]["query_images"] == 4


def test_a_damaged_image_keeps_the_categories_before_it(parts):
    (parts / "data/nut/test/good/001.png").write_text("no image")
    with pytest.raises(ValueError, match=r"nut/test/good/001.png is not an image"):
        run(parts)
    assert [row["category"] for row in json.loads((parts / "out/results.json").read_text())["rows"]] == ["bolt"]


def test_a_coreset_that_spans_everything_is_warned_about(parts):
    told = []
    run(parts, tell=told.append, lam=0.0, coreset_ratio=1.0, encoder="efficientnet_lite0", shots=(4,))
    assert "warning: with --lam=0 and 4 shots the coreset has at least as many rows" in told[0]


def test_the_command_ends_with_the_table_and_the_place(parts, command):
    code, out, _ = command("--data_dir=data", "--category=bolt", "--output_dir=out")
    assert code == 0
    assert "resnet18 layer2+layer3 (float32, random)" in out
    assert "mean of 1" in out
    assert out.endswith("results are in out\n")


def test_the_default_directory_is_the_same_again_and_another_for_other_settings(parts, command):
    for arguments in ([], [], ["--lam=1"]):
        assert command("--data_dir=data", "--category=bolt", *arguments)[0] == 0
    assert len(list((parts / "results").iterdir())) == 2


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--category=screw", "unknown category 'screw' of data: allowed are all, bolt, nut"),
        ("--dataset=imagenet", "unknown dataset 'imagenet': allowed are demo, folder"),
        ("--data_dir=absent", "data directory absent does not exist"),
        ("--encoder=vgg", "unknown encoder 'vgg': allowed are"),
        ("--stages=layer9", "unknown stage 'layer9' of resnet18: allowed are layer1"),
        ("--weights=absent.pth", "absent.pth"),
        ("--shots=0", "--shots=0 is not allowed: each must be at least 1"),
        ("--shots=two", "--shots=two is not allowed: expected a list of ints"),
        ("--shots=5", "category bolt has 4 good training images, --shots=5 needs at least 5"),
        ("--shots=2,2", "--shots=2,2 is not allowed: nothing may be named twice"),
        ("--seeds=-1", "--seeds=-1 is not allowed: each must be from 0 to 4294967295"),
        ("--support=nearest", "--support=nearest is neither first nor random nor a file"),
        ("--method=magic", "--method=magic is not allowed: allowed are differnet, fastrecon, fastrecon+, nearest"),
        ("--method=all,padim", "--method=all,padim is not allowed: all stands alone"),
        ("--method=padim --lam=0", "--lam=0.0 is not allowed: it is a setting of fastrecon, not of padim"),
        ("--category=bolt,all", "--category=bolt,all is not allowed: all stands alone"),
        ("--support=first --seeds=1", "--seeds=1 is not allowed: seeds belong to --support=random"),
        (
            "--support_copies=defective",
            "--support_copies=defective is not allowed: each must be one of light, turns, rot8, rot30, flip",
        ),
        ("--support_copies=light,light", "--support_copies=light,light is not allowed: nothing may be named twice"),
        ("--method=fastrecon+ --coreset_rows=0", "--coreset_rows=0 is not allowed: it must be a number at least 1"),
        ("--method=fastrecon+ --turns=always", "--turns=always is not allowed: it must be one of never, auto"),
        (
            "--method=nearest --light=false",
            "--light=False is not allowed: it is a setting of fastrecon+, not of nearest",
        ),
        ("--method=subspace --explained_variance=2", "--explained_variance=2.0 is not allowed"),
        ("--padim_channels=-1", "--padim_channels=-1 is not allowed"),
        ("--lam=-1", "--lam=-1.0 is not allowed"),
        ("--lam=much", "--lam=much is not allowed: it must be a number at least 0, or auto"),
        ("--coreset_ratio=2", "--coreset_ratio=2.0 is not allowed"),
        ("--crop_size=65", "--crop_size=65 is not allowed: it must be from 32 to --image_size=64"),
        ("--image_score=sum", "--image_score=sum is not allowed: it must be max, or topXp for the mean of the largest"),
        ("--tile=48", "--tile=48 is not allowed: it must be SIZE,OVERLAP, in pixels"),
        ("--tile=64,16", "--tile=64,16 is not allowed with images of 64x64 pixels: a single tile holds them"),
        ("--image_score=top0p", "--image_score=top0p is not allowed: it must be max, or topXp"),
        ("--image_score=top101p", "--image_score=top101p is not allowed: it must be max, or topXp"),
        ("--dtype=int8", "unknown dtype 'int8'"),
        ("--batch_size=0", "--batch_size=0 is not allowed"),
        ("--max_queries=1", "--max_queries=1 is not allowed"),
        ("--mesh=all", "--mesh=all is not allowed: it must be one of auto, none"),
        ("--distributed=on", "--distributed=on is not allowed: it must be one of auto, off"),
        ("--num_processes=2", "--num_processes=2 is not allowed: it needs --coordinator_address=HOST:PORT"),
        ("--process_id=0", "--process_id=0 is not allowed: it needs --coordinator_address=HOST:PORT of process 0"),
        ("--coordinator_address=host", "--coordinator_address=host is not allowed: it must be HOST:PORT"),
        ("--coordinator_address=host:0 --num_processes=2", "--coordinator_address=host:0 is not allowed"),
        ("--coordinator_address=h:9 --process_id=0", "--num_processes=0 is not allowed: --coordinator_address needs"),
        ("--coordinator_address=h:9 --num_processes=2", "--process_id=-1 is not allowed: it must be from 0 to 1"),
        ("--output_dir=data/bolt/train/good/000.png", "output directory data/bolt/train/good/000.png cannot be made"),
        ("--colour=red", "Unknown command line flag 'colour'"),
        ("surplus", "unexpected argument 'surplus'"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(parts, command, argument, message):
    code, _, err = command("--data_dir=data", *argument.split(" "))
    assert code == 2
    assert message in err
    assert err.startswith("error: ")
    assert err.count("\n") == 1


def test_a_new_process_runs_and_explains_itself(parts):
    python = [sys.executable, "-m", "fastrecon_jax.eval"]
    shown = subprocess.run([*python, "--help"], capture_output=True, text=True)
    assert "--coreset_ratio: fastrecon: share of the support features to keep" in shown.stdout
    arguments = [f"--{name}={value}" for name, value in SMALL.items() if name != "shots"]
    ran = subprocess.run(
        [*python, *arguments, "--shots=2", "--category=bolt", f"--data_dir={parts}/data", f"--output_dir={parts}/out"],
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert "mean of 1" in ran.stdout


def test_defects_outside_of_the_inspected_centre_are_counted(tmp_path):
    write_category(tmp_path / "data", "bolt")
    for i, at in ((0, slice(0, 3)), (1, slice(0, 12))):  # the first in the corner alone, the second reaches the centre
        mask = np.zeros((48, 48), np.uint8)
        mask[at, at] = 255
        Image.fromarray(mask).save(tmp_path / "data/bolt/ground_truth/scratch" / f"{i:03}_mask.png")
    Image.new("L", (48, 48)).save(tmp_path / "data/bolt/ground_truth/scratch/002_mask.png")  # marks nothing anywhere
    said = []
    run(tmp_path, said.append, crop_size=52)
    assert "bolt: 1 of 3 defective images have all of their defect outside of the inspected area\n" in "".join(said)
    said = []
    run(tmp_path, said.append, output_dir=str(tmp_path / "whole"))
    assert "outside of the inspected" not in "".join(said)
