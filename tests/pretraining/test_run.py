"""The command: files of weights, interruptions, refusals, and evaluation with the weights."""

import json

import numpy as np
import pytest
import safetensors

from fastrecon_jax.encoders import meta_training
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import run as evaluation
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.pretraining import regad, run
from fastrecon_jax.pretraining.config import PretrainConfig
from fastrecon_jax.training import checkpoints, loop
from tests.data.parts import write_category

TINY = {"image_size": 32, "crop_size": 32, "batch_size": 2, "epochs": 1, "shots": 1, "weights": "random"}
NAMES = ("bolt", "nut", "washer")


@pytest.fixture(autouse=True)
def one_stage(monkeypatch):
    """The network to its first stage, which compiles in seconds."""
    monkeypatch.setattr(regad, "STAGES", ("layer1",))
    monkeypatch.setattr(regad, "CHANNELS", 64)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in NAMES:
        write_category(root, name)
    return root


def config(data, out, **fields):
    return PretrainConfig(**TINY | {"data_dir": str(data), "output": f"{out}/{{category}}.safetensors"} | fields)


def train(data, out, **fields):
    lines = []
    return run.run(config(data, out, **fields), tell=lines.append, progress=False), "".join(lines)


@pytest.fixture(scope="module")
def family(data, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(regad, "STAGES", ("layer1",))
        patch.setattr(regad, "CHANNELS", 64)
        return train(data, tmp_path_factory.mktemp("family"), leave_out="all")


def facts(file):
    with safetensors.safe_open(file, "numpy") as opened:
        return meta_training.read(opened.metadata(), str(file))


def test_all_writes_a_file_for_each_category_and_says_how_long_it_takes(family):
    written, told = family
    assert [file.name for file in written] == [f"{name}.safetensors" for name in NAMES]
    assert "3 categories, 12 steps of " in told and "about " in told
    for file, name in zip(written, NAMES, strict=True):
        said = facts(file)
        assert said.left_out == name and set(said.trained_on) == set(NAMES) - {name}
        assert said.settings["preset"] == "small" and said.settings["epochs"] == 1
        assert said.began_with == "random" and said.seconds > 0
    assert not list(written[0].parent.glob("*.checkpoints"))


def test_one_alone_is_that_of_the_family_after_an_interruption_too(data, family, tmp_path, monkeypatch):
    saved = checkpoints.save
    monkeypatch.setattr(run, "_CPU", (1, 1))

    def save(directory, identity, checkpoint):
        saved(directory, identity, checkpoint)
        if checkpoint.step == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "save", save)
    with pytest.raises(KeyboardInterrupt):
        train(data, tmp_path, leave_out="nut")
    monkeypatch.setattr(checkpoints, "save", saved)
    (file,), _ = train(data, tmp_path, leave_out="nut")
    assert facts(file).seconds > 0
    with safetensors.safe_open(file, "numpy") as one, safetensors.safe_open(family[0][1], "numpy") as other:
        names = list(one.keys())
        assert names == list(other.keys())
        assert all((one.get_tensor(name) == other.get_tensor(name)).all() for name in names)
    # What is there is kept, and what is of other settings is not replaced.
    assert "is there already" in train(data, tmp_path, leave_out="nut")[1]
    with pytest.raises(InputError, match="comes of another training, which differs in settings"):
        train(data, tmp_path, leave_out="nut", seed=1)


def evaluate(data, out, weights, category):
    fields = {"encoder": "regad_resnet18", "weights": str(weights), "stages": ("layer1",), "method": ("regad",)}
    sizes = {"image_size": 32, "crop_size": 32, "shots": (1,)}
    made = EvalConfig(**fields, **sizes, category=category, data_dir=str(data), output_dir=str(out))
    return json.loads((evaluation.run(made, tell=lambda text: None) / "results.json").read_text())


def test_eval_takes_the_file_of_each_category(data, family, tmp_path):
    pattern = family[0][0].parent / "{category}.safetensors"
    both = evaluate(data, tmp_path / "both", pattern, ("bolt", "nut"))
    alone = evaluate(data, tmp_path / "alone", family[0][1], ("nut",))
    assert "21 copies, meta-trained without each category, preset small at 32 pixels" in both["config"]["description"]
    assert "21 copies, meta-trained without nut, preset small at 32 pixels" in alone["config"]["description"]
    assert set(both["config"]["weights_sha256"]) == {"bolt", "nut"}
    assert both["config"]["meta_training"]["nut"] == alone["config"]["meta_training"]["nut"]
    assert both["config"]["meta_training"]["bolt"]["seconds"] == facts(family[0][0]).seconds
    timed = ("weights", "fit_seconds", "score_images_per_second")
    of_nut, (other,) = [row for row in both["rows"] if row["category"] == "nut"], alone["rows"]
    assert [{k: v for k, v in row.items() if k not in timed} for row in of_nut] == [
        {k: v for k, v in other.items() if k not in timed}
    ]


def test_eval_refuses_a_category_that_the_weights_have_seen(data, family, tmp_path):
    with pytest.raises(InputError, match=r"bolt.safetensors was meta-trained with nut.*--leave_out=nut"):
        evaluate(data, tmp_path, family[0][0], ("nut",))


def test_a_loss_that_is_not_finite_keeps_the_last_good_checkpoint(data, tmp_path, monkeypatch):
    monkeypatch.setattr(run, "_CPU", (1, 1))
    monkeypatch.setattr(regad, "rates", lambda steps, **_: np.array([[0.0], [0.0], [np.inf], [0.0]]).repeat(2, 1))
    with pytest.raises(loop.NotFiniteError, match=r"is not finite at step 3; the last good checkpoint, of step 2"):
        train(data, tmp_path, leave_out="nut")
    assert (tmp_path / "nut.safetensors.checkpoints" / "2").is_dir()
    assert not (tmp_path / "nut.safetensors").exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"leave_out": "screw"}, "unknown category 'screw'"),
        ({"leave_out": ""}, "--leave_out= is not allowed: it must be a category, or all"),
        ({"leave_out": "nut", "batch_size": 8}, "has 4 good training images, fewer than a batch: --batch_size=8 can"),
        ({"leave_out": "nut", "crop_size": 40, "image_size": 40}, "--crop_size=40 is not allowed: .* multiple of 16"),
        ({"leave_out": "nut", "shots": 2}, "--shots=2 is not allowed: it must be from 1 to 1"),
        ({"leave_out": "all", "output": "one.safetensors"}, r"--leave_out=all needs \{category\} in it"),
        ({"leave_out": "nut", "output": "one.npz"}, "it must end in .safetensors"),
        ({"leave_out": "nut", "weights": "/nowhere.safetensors"}, "/nowhere.safetensors cannot be read"),
    ],
)
def test_what_is_refused(data, tmp_path, fields, message):
    with pytest.raises(InputError, match=message):
        train(data, tmp_path, **fields)


def test_a_category_alone_has_nothing_to_learn_from(tmp_path):
    write_category(tmp_path, "bolt")
    with pytest.raises(InputError, match="has the category bolt alone: regad is meta-trained on others"):
        train(tmp_path, tmp_path, leave_out="bolt")


def test_metadata_of_another_kind_is_refused():
    with pytest.raises(InputError, match="cannot be read; train it again"):
        meta_training.read({"meta_training": "{}"}, "w.safetensors")
