"""Values that nothing can be done with, and flags that others leave without effect: one line names flag and rule."""

import dataclasses
import subprocess
import sys

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import setup
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.exporting.config import ExportConfig
from fastrecon_jax.inspection.config import ExtendConfig, FitConfig, PredictConfig
from fastrecon_jax.reporting.config import ReportConfig
from fastrecon_jax.serving.config import DemoConfig

NEEDED = {
    EvalConfig: {},
    FitConfig: {"images": "a", "model": "m.safetensors"},
    ExtendConfig: {"images": "a", "model": "m.safetensors"},
    PredictConfig: {"images": "a", "model": "m.safetensors", "output_dir": "o"},
    ExportConfig: {"model": "m.safetensors", "output": "m.onnx"},
    ReportConfig: {"model": "m.safetensors"},
    DemoConfig: {},
}
FIELDS = [
    (config, name)
    for config in NEEDED
    for name in ("batch_size", "image_size", "max_pixels", "width", "max_images")
    if name in {field.name for field in dataclasses.fields(config)}
]


@pytest.mark.parametrize(("config", "name"), FIELDS, ids=lambda value: getattr(value, "__name__", value))
def test_numbers_have_a_range_in_every_command(config, name):
    for value in (-1, -(10**30), *([] if name in ("max_images", "width") else [0]), *[10**30] * (name != "max_images")):
        with pytest.raises(InputError, match=rf"^--{name}={value} is not allowed: it must be (from|at least) \d+"):
            config(**NEEDED[config], **{name: value})


@pytest.mark.parametrize(
    ("config", "values", "message"),
    [
        (EvalConfig, {"batch_size": 10**9}, "--batch_size=1000000000 is not allowed: it must be from 1 to 4096"),
        (EvalConfig, {"image_size": 10**5}, "--image_size=100000 is not allowed: it must be from 32 to 4096"),
        (
            EvalConfig,
            {"method": ("patchcore",), "settings": {"lam": 1.0}},
            "--lam=1.0 .* of fastrecon, not of patchcore",
        ),
        (EvalConfig, {"settings": {"coreset_rows": 10**12}}, "--coreset_rows=1000000000000 .* at most 1000000000"),
        *((EvalConfig, {"shots": (value,)}, f"--shots={value} .* at least 1") for value in (0, -1, -(10**30))),
        *(
            (EvalConfig, {name: (value, value)}, f"--{name}={value},{value} is not allowed: nothing may be named twice")
            for name, value in (
                *(("stages", "layer1"), ("method", "padim"), ("category", "gear"), ("shots", 2), ("seeds", 3)),
                ("support_copies", "light"),
            )
        ),
        (
            FitConfig,
            {"stages": ("layer1", "layer1")},
            "--stages=layer1,layer1 is not allowed: nothing may be named twice",
        ),
        (PredictConfig, {"interval": 0.5}, "--interval=0.5 is not allowed: it needs --watch"),
        (
            PredictConfig,
            {"overlays": "none", "overlay_format": "png"},
            "--overlay_format=png .* it needs --overlays=all",
        ),
        (
            EvalConfig,
            {"distributed": "off", "coordinator_address": "a:1", "num_processes": 2, "process_id": 0},
            "--distributed=off is not allowed: --coordinator_address names other processes",
        ),
        (
            FitConfig,
            {"settings": {"both_ways": False, "fastrecon_plus_backward_margin": 0.08}},
            r"--fastrecon_plus_backward_margin=0.08 is not allowed: it needs --both_ways",
        ),
        (
            EvalConfig,
            {"settings": {"coreset_rows": 5, "coreset_ratio": 0.01}},
            "--coreset_rows=5 .* instead of --coreset_ratio",
        ),
        (
            FitConfig,
            {"settings": {"coreset_rows": 784, "coreset_ratio": 0.1}},
            "--coreset_ratio=0.1 .* of --coreset_rows",
        ),
        (
            EvalConfig,
            {"method": ("patchcore",), "settings": {"patchcore_reweighting": 3}, "image_score": "max"},
            "--patchcore_reweighting=3 is not allowed: --image_score=max stands instead of it",
        ),
    ],
)
def test_what_cannot_be_meant(config, values, message):
    with pytest.raises(InputError, match=f"^{message}"):
        config(**NEEDED[config], **values)


def test_flags_that_belong_together_are_allowed():
    assert PredictConfig(**NEEDED[PredictConfig]).interval == 0.5
    assert PredictConfig(**NEEDED[PredictConfig], watch=True, interval=2.0).interval == 2.0
    assert PredictConfig(**NEEDED[PredictConfig], overlay_format="jpg").overlay_format == "jpg"


def test_copies_that_no_method_takes_are_refused():
    config = EvalConfig(method=("fastrecon+",), support_copies=("light",))
    with pytest.raises(
        InputError, match=r"--support_copies=light is not allowed: fastrecon\+ asks for these copies its"
    ):
        setup.open_setup(config)


@pytest.mark.parametrize(
    ("command", "argument", "message"),
    [
        ("eval", "--coreset_rows=1e12", "--coreset_rows=1e12 is not allowed: expected a whole number"),
        ("fit", "--explained_variance=most", "--explained_variance=most is not allowed: expected a number"),
        ("predict", "--max_pixels=1e30", "--max_pixels=1e30 is not allowed: expected a whole number such as 128000000"),
        ("fit", "--target_fpr=1%", "--target_fpr=1% is not allowed: expected a number such as 0.01"),
        ("doctor", "--self_test=perhaps", "--self_test=perhaps is not allowed: expected true or false"),
        (
            "export",
            f"--width={'9' * 5000}",
            f"--width={'9' * 100}... is not allowed: expected a whole number such as 0",
        ),
        ("demo", "--port=a\nb", r"--port=a\nb is not allowed: expected a whole number such as 7860"),
        ("eval", "--shots=2,many", "--shots=2,many is not allowed: expected a list of ints"),
        ("predict", "--interval=soon", "--interval=soon is not allowed: expected a number"),
    ],
)
def test_values_of_another_type(command, argument, message):
    program = [sys.executable, "-m", "fastrecon_jax", command, argument]
    done = subprocess.run(program, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
