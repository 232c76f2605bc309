"""The runs of a reproduction: one for each data set and encoder, each an evaluation with an output directory."""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from fastrecon_jax import encoders, files, methods
from fastrecon_jax.data import datasets, samples
from fastrecon_jax.encoders import checkpoints
from fastrecon_jax.encoders.weights import RANDOM
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import results
from fastrecon_jax.evaluation.config import EvalConfig

ENCODERS = (
    "wide_resnet50_2",
    *("dinov2_vits14", "dinov2_vitb14", "dinov2_vits14_reg", "dinov2_vitb14_reg"),
    *("dinov3_vits16", "dinov3_vitb16", "tipsv2_b14"),
)
DATASETS = ("mvtec_ad", "mpdd", "visa")
# Trained for each part, for minutes where the others take seconds; scripts/paper_table.py compares them.
TRAINED = ("differnet", "regad", "tdg")
METHODS = tuple(name for name in methods.names() if name not in TRAINED)
# What a finished run must have in common with the one that is asked for.
_DECIDE = ("encoder", "image_size", "crop_size", "shots", "seeds", "max_queries", "dtype")


class Data(NamedTuple):
    """A data set that is there.

    Attributes:
        name: as `--dataset` has it.
        place: as `eval --data_dir` has it.
        images: good training images and test images that are scored, by the category.
    """

    name: str
    place: str
    images: dict[str, tuple[int, int]]


class Run(NamedTuple):
    """One evaluation: all methods, numbers of shots and draws of an encoder on a data set."""

    data: Data
    config: EvalConfig

    @property
    def directory(self) -> Path:
        """Where its results go."""
        return Path(self.config.output_dir)

    @property
    def name(self) -> str:
        """For people, with the random weights if it has them."""
        config = self.config
        marked = f"{config.encoder}{' (random weights)' if config.weights == RANDOM else ''}"
        return f"{self.data.name}, {marked} at {config.crop_size} px"


def place(dataset: str, data_dir: str) -> str:
    """The directory of a data set: of its name in `data_dir`, or `data_dir` itself, which may hold its archive."""
    if dataset in ("", "demo"):
        return ""
    if not data_dir:
        raise InputError(f"--dataset={dataset} needs --data_dir, a directory that holds {dataset} or its archive")
    own = files.expanded(data_dir, "data_dir") / dataset
    return str(own) if dataset != "folder" and files.exists(own) else data_dir


def open_data(dataset: str, data_dir: str, wanted: Sequence[str], max_queries: int) -> Data:
    """Count the images of the wanted categories that a data set has.

    InputError where the data set is not there or has none of them.
    """
    where = place(dataset, data_dir)
    opened = datasets.open_dataset(dataset, where)
    names = opened.categories if tuple(wanted) == ("all",) else [x for x in wanted if x in opened.categories]
    if not names:
        raise InputError(f"--category={','.join(wanted)} names none of {dataset}: {', '.join(opened.categories)}")
    images = {}
    for name in names:
        category = opened.open_category(name)
        images[name] = (len(category.train), len(samples.subset(category.test, max_queries)))
    return Data(dataset, where, images)


def sizes(encoder: str, transformer_size: int) -> dict[str, int]:
    """The paper's 256 and 224 pixels for a CNN; whole square images, a multiple of the patch, for a transformer."""
    patch = encoders.registration(encoder).multiple > 1
    return {"image_size": transformer_size, "crop_size": transformer_size} if patch else {}


def weights_of(wanted: Sequence[str], given: Sequence[str]) -> dict[str, str]:
    """The source of each encoder's weights, empty for the pretrained ones; InputError where it cannot be told."""
    for name in wanted:
        encoders.registration(name)  # refuses an unknown name
    sources = dict.fromkeys(wanted, "")
    for item in given:
        name, equals, source = item.partition("=")
        if equals and name in sources and source:
            sources[name] = source
        elif len(given) == 1 and not (equals and name in encoders.names()):
            if item != RANDOM and len(wanted) > 1:
                raise InputError(f"--weights={item} is for one encoder: write ENCODER={item}")
            sources = dict.fromkeys(wanted, item)
        else:
            raise InputError(f"--weights={item} is not allowed: expected ENCODER=SOURCE of {', '.join(wanted)}")
    return sources


def run(data: Data, encoder: str, directory: Path, *, transformer_size: int, **settings: Any) -> Run:
    """The evaluation of an encoder on a data set; InputError where a setting is not allowed."""
    size = sizes(encoder, transformer_size)
    side = size.get("crop_size", EvalConfig.crop_size)
    encoders.registration(encoder).check_size(side, side, f"--transformer_size={transformer_size}")
    output = directory / f"{data.name}_{encoder}"
    config = EvalConfig(
        dataset=data.name,
        data_dir=data.place,
        category=tuple(data.images),
        encoder=encoder,
        output_dir=str(output),
        feature_cache=str(output / "features"),
        distributed="off",
        **size,
        **settings,
    )
    return Run(data, config)


def finished(run: Run) -> bool:
    """Whether the directory of a run holds all of its results; false, too, for results of other settings."""
    try:
        summary = results.read(run.directory)
    except InputError:
        return False
    asked, there = dataclasses.asdict(run.config), summary["config"]
    same = all(there.get(name) == _plain(asked[name]) for name in _DECIDE)
    same &= there.get("method") == list(run.config.method_names())
    same &= not run.config.weights or there.get("weights") == run.config.weights
    return same and there.get("category") == list(done(summary["rows"])) == list(run.config.category)


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def done(rows: Sequence[dict[str, Any]]) -> tuple[str, ...]:
    """The categories of rows of results, in their order."""
    return tuple(dict.fromkeys(row["category"] for row in rows))


def fetch_weights(encoder: str, weights: str) -> None:
    """Read the weights of an encoder once, and download them if need be; InputError says why that fails."""
    source = weights or encoders.registration(encoder).weights
    if source == RANDOM:
        return
    if not source:
        raise InputError(f"{encoder} has no published weights: pass a file as --weights, with this --encoder alone")
    checkpoints.load(source)
