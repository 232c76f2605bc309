"""RegAD as its authors have it: weights meta-trained without each category, and the evaluation with them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

from fastrecon_jax.data import datasets
from fastrecon_jax.encoders.meta_training import CATEGORY
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import cluster
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.pretraining import run
from fastrecon_jax.pretraining.config import ALL, PretrainConfig

METHOD, ENCODER = "regad", "regad_resnet18"
NONE = "none"  # for --regad_data_dir
Tell = Callable[[str], object]


def split(config: EvalConfig, data_dir: str) -> tuple[EvalConfig | None, EvalConfig | None]:
    """The evaluation of the methods that take the encoder as it is, and that of RegAD with weights of its own.

    Either is None where nothing is left for it. InputError where RegAD is to be meta-trained and has nothing to learn
    from, or where several processes would do it at once.
    """
    names = config.method_names()
    if METHOD not in names or data_dir == NONE or config.encoder == ENCODER:
        return config, None
    if cluster.several(config):
        raise InputError(
            f"--method={METHOD} is meta-trained in one process: start one, or take it as it is, --regad_data_dir=none"
        )
    training = preparation(config, data_dir, "")
    dataset = datasets.open_dataset(training.dataset, training.data_dir)
    if len(dataset.categories) < 2:
        raise InputError(
            f"{dataset.name} has the category {dataset.categories[0]} alone, and {METHOD} is meta-trained on others: "
            "name a directory of several in --regad_data_dir, or none to take --encoder as it is"
        )
    others = tuple(name for name in names if name != METHOD)
    own = dataclasses.replace(
        config,
        method=(METHOD,),
        encoder=ENCODER,
        weights=str(_file(config, training.trained_preset)),
        image_size=training.image_size,
        crop_size=training.crop_size,
        **dict.fromkeys(("stages", "encoder_options", "tile"), ()),
        **dict.fromkeys(("feature_cache", "checkpoint_dir"), ""),
        settings={},
        output_dir=_beside(config.output_dir) if others else config.output_dir,
    )
    return (dataclasses.replace(config, method=others) if others else None), own


def preparation(config: EvalConfig, data_dir: str, weights: str, leave_out: str = ALL) -> PretrainConfig:
    """The meta-training that belongs to an evaluation: on the categories of a folder, or else on its own data."""
    preset = config.settings.get("trained_preset") or "small"
    return PretrainConfig(
        leave_out=leave_out,
        output=str(_file(config, preset)),
        dataset="folder" if data_dir else config.dataset,
        data_dir=data_dir or config.data_dir,
        weights=weights,
        trained_preset=preset,
        max_pixels=config.max_pixels,
    )


def prepare(config: EvalConfig, data_dir: str, weights: str, tell: Tell) -> None:
    """Meta-train for each category that is evaluated, unless its weights are there."""
    tested = datasets.select(datasets.open_dataset(config.dataset, config.data_dir), config.category)
    training = preparation(config, data_dir, weights)
    if set(tested) == set(datasets.open_dataset(training.dataset, training.data_dir).categories):
        run.run(training, tell=tell)  # says how long all of them take
        return
    for name in tested:
        run.run(preparation(config, data_dir, weights, name), tell=tell)


def _file(config: EvalConfig, preset: str) -> Path:
    directory = _beside(config.output_dir) or f"results/{METHOD}"
    return Path(directory) / "weights" / f"{preset}_{CATEGORY}.safetensors"


def _beside(directory: str) -> str:
    return f"{directory}_{METHOD}" if directory else ""
