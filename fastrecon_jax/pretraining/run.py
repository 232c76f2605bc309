"""The whole meta-training: one file of weights for each category that is left out."""

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int, UInt8

from fastrecon_jax import encoders, files
from fastrecon_jax.command_line.console import count, shown
from fastrecon_jax.data import datasets
from fastrecon_jax.encoders import checkpoints, meta_training
from fastrecon_jax.encoders.meta_training import CATEGORY, MetaTraining
from fastrecon_jax.errors import InputError
from fastrecon_jax.pretraining import batches, regad
from fastrecon_jax.pretraining.batches import Images
from fastrecon_jax.pretraining.config import ALL, PretrainConfig
from fastrecon_jax.training import loop

Tell = Callable[[str], object]
# Steps of a segment and segments between two checkpoints. See `loop.train` for the segments of a CPU.
_CPU, _OTHERS = (1, 20), (25, 4)


class Job(NamedTuple):
    """One file that is to be written.

    Attributes:
        left_out: category that is left out.
        file: where the weights go.
        facts: what it will say of itself.
        order: which images each step sees, (steps, b).
    """

    left_out: str
    file: Path
    facts: MetaTraining
    order: Int[np.ndarray, "steps b"]


def run(config: PretrainConfig, *, tell: Tell, progress: bool = True) -> list[Path]:
    """Meta-train, going on where an interrupted run stopped; files that are there already are kept.

    Args:
        config: the settings.
        tell: takes lines for people: what is trained, how long it will take, each file as it is written.
        progress: show progress and loss on a terminal.

    Returns:
        The files, in the order of the categories that they leave out.

    Raises:
        InputError: something that the user gave cannot be used, or the loss is not finite.
    """
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    wanted = datasets.select(dataset, (config.leave_out,))
    if len(dataset.categories) < 2:
        raise InputError(
            f"{dataset.name} has the category {dataset.categories[0]} alone: {config.method} is meta-trained on "
            "others, at least one"
        )
    used = [name for name in dataset.categories if wanted != (name,)]
    categories = [dataset.open_category(name) for name in used]
    batches.check(categories, config.batch_size)
    origin = regad.origin(config.weights, config.dtype)
    images = batches.load(categories, config, progress=progress)
    jobs = [_job(config, images, name, origin) for name in wanted]
    left = [job for job in jobs if not _is_done(job, tell)]
    if left:
        _train(config, images, left, origin, tell, progress)
    return [job.file for job in jobs]


def _job(config: PretrainConfig, images: Images, left_out: str, origin: encoders.Encoder) -> Job:
    names = tuple(name for name in images.places if name != left_out)
    facts = MetaTraining(
        method=config.method,
        left_out=left_out,
        trained_on=names,
        settings=config.deciding(),
        images_sha256=images.sha256(names),
        began_with=origin.weights,
        began_with_sha256=origin.sha256,
    )
    order = batches.order(
        [images.places[name] for name in names],
        batch_size=config.batch_size,
        epochs=config.epochs,
        seed=config.seed,
    )
    return Job(left_out, Path(config.output.replace(CATEGORY, left_out)), facts, order)


def _is_done(job: Job, tell: Tell) -> bool:
    """Whether the file is there; InputError where it is of another training."""
    if not files.exists(job.file):
        return False
    found = meta_training.read(checkpoints.load(str(job.file)).metadata, str(job.file))
    if found is None or meta_training.deciding(found) != meta_training.deciding(job.facts):
        differing = [name for name in MetaTraining._fields if getattr(found, name, None) != getattr(job.facts, name)]
        raise InputError(
            f"{job.file} is there and comes of another training, which differs in {', '.join(differing)}: name another "
            "--output, or remove it"
        )
    tell(f"{shown(job.left_out)}: {shown(job.file)} is there already\n")
    return True


def _train(
    config: PretrainConfig, images: Images, jobs: Sequence[Job], origin: encoders.Encoder, tell: Tell, progress: bool
) -> None:
    most = max(len(job.order) for job in jobs)
    pixels = jnp.asarray(images.pixels)
    tell(
        f"{config.method}, preset {config.trained_preset}, {count(config.shots, 'shot')}, images of {config.crop_size} "
        f"pixels, begun with {shown(origin.weights)}\n"
    )
    if config.leave_out == ALL:
        seconds = _seconds(config, images, pixels, jobs[0], origin, most)
        total = seconds * sum(len(job.order) for job in jobs)
        tell(
            f"{count(len(jobs), 'category', 'categories')}, {count(sum(len(job.order) for job in jobs), 'step')} of "
            f"{seconds:.2g} s: about {_time(total)}\n"
        )
    for job in jobs:
        start = time.perf_counter()
        losses = _one(config, images, pixels, job, origin, most, progress)
        tell(
            f"{shown(job.left_out)}: trained on {shown(', '.join(job.facts.trained_on))}; {count(len(losses), 'step')} "
            f"in {_time(time.perf_counter() - start)}, loss {losses[0]:.4f} to {losses[-1]:.4f}; {shown(job.file)}\n"
        )


def _one(
    config: PretrainConfig,
    images: Images,
    pixels: UInt8[Array, "n H W 3"],
    job: Job,
    origin: encoders.Encoder,
    most: int,
    progress: bool,
) -> np.ndarray:
    """Train, write the file, and only then remove the checkpoints; the losses."""
    network, step, state, data = _begin(config, images, pixels, job, origin, most)
    segment, save_every = _segment()
    files.make_directory(job.file.parent, f"directory {job.file.parent} of the weights")
    directory = job.file.with_name(f"{job.file.name}.checkpoints")
    start = time.perf_counter()
    result = loop.train(
        step,
        state,
        jax.random.key(config.seed),
        len(job.order),
        data=data,
        name=f"without {job.left_out}",
        segment=segment,
        save_every=save_every,
        directory=directory,
        identity=meta_training.deciding(job.facts)._asdict(),
        progress=progress,
    )
    # What an earlier start has taken is known by the time of the steps of this one.
    steps, elapsed = len(job.order), time.perf_counter() - start
    seconds = elapsed * steps / (steps - result.resumed) if result.resumed < steps else None
    facts = job.facts._replace(seconds=seconds)
    files.write_arrays(job.file, regad.trained(network, result.state), meta_training.written(facts))
    files.remove_directory(directory)
    return result.losses


def _begin(
    config: PretrainConfig,
    images: Images,
    pixels: UInt8[Array, "n H W 3"],
    job: Job,
    origin: encoders.Encoder,
    most: int,
) -> tuple[regad.Network, loop.Step, loop.Fit, regad.Data]:
    """The network, the step, the state and the data of one job; all jobs have the same shapes, and so one program."""
    seen = images.pixels[np.concatenate([images.places[name] for name in job.facts.trained_on])]
    network = regad.begin(origin, seen)
    step, state = regad.prepared(network, config.shots, config.clip)
    first = config.learning_rate, config.head_learning_rate
    rates = regad.rates(len(job.order), first=first, epochs=config.epochs)
    order, rates = (np.pad(x, ((0, most - len(job.order)), (0, 0))) for x in (job.order, rates))
    data = regad.Data(pixels, jnp.asarray(order), jnp.asarray(rates))
    return network, step, state, data


def _seconds(
    config: PretrainConfig,
    images: Images,
    pixels: UInt8[Array, "n H W 3"],
    job: Job,
    origin: encoders.Encoder,
    most: int,
) -> float:
    """What a step takes, measured on a segment after one that compiles the program."""
    _, step, state, data = _begin(config, images, pixels, job, origin, most)
    segment, _ = _segment()
    for _ in range(2):
        start = time.perf_counter()
        loop.train(step, state, jax.random.key(0), segment, data=data, segment=segment, progress=False)
    return (time.perf_counter() - start) / segment


def _segment() -> tuple[int, int]:
    return _CPU if jax.default_backend() == "cpu" else _OTHERS


def _time(seconds: float) -> str:
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"
