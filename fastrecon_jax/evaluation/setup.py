"""An evaluation before its first image: everything opened and checked, and what it says of itself."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import NamedTuple

import jax

from fastrecon_jax import detector as detectors
from fastrecon_jax import encoders, methods
from fastrecon_jax.data import datasets, feature_cache, samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.data.support import Draw
from fastrecon_jax.evaluation import category as experiment
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.tables import Row
from fastrecon_jax.runtime import devices
from fastrecon_jax.version import __version__

PLACEMENT = ("mesh", "coordinator", "num_processes", "process_index")  # settings that do not decide a figure


class Context(NamedTuple):
    """All that is opened before the first image is read."""

    config: EvalConfig
    dataset: datasets.Dataset
    categories: tuple[samples.Category, ...]
    draws: dict[str, dict[int, tuple[Draw, ...]]]
    encoder: encoders.Encoder
    programs: Programs
    cache: FeatureCache | None


def open_context(config: EvalConfig) -> Context:
    """Open everything and check all that can be checked before anything is computed.

    Args:
        config: the settings.

    Returns:
        What the evaluation needs.

    Raises:
        InputError: something that the user gave cannot be used.
    """
    chosen = [methods.create(name, config, map_size=config.crop_size) for name in config.method_names()]
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    categories = tuple(dataset.open_category(name) for name in datasets.select(dataset, config.category))
    draws = {}
    for category in categories:
        samples.check(category, shots=max(config.shots))
        draws[category.name] = experiment.choose(dataset.name, category, config)
    stages = config.stages or encoders.stages_of(config.encoder, [s for method in chosen for s in method.strides])
    encoder = encoders.create(config.encoder, stages=stages, weights=config.weights, dtype=config.dtype)
    if not config.stages:
        chosen = [_on_its_stages(method, encoder) for method in chosen]
    detector = detectors.create(
        encoder, chosen, image_score=config.image_score, map_size=config.crop_size, mesh=devices.mesh(config.mesh)
    )
    cache = _open_cache(config, encoder) if config.feature_cache else None
    return Context(config, dataset, categories, draws, encoder, detector, cache)


def _on_its_stages(method: methods.Method, encoder: encoders.Encoder) -> methods.Method:
    """The method on the stages of its own strides among those that the encoder gives for all methods."""
    own = [encoder.stages.index(stage) for stage in encoders.stages_of(encoder.name, method.strides)]
    return method._replace(embed=lambda stages: method.embed([stages[i] for i in own]))


def _open_cache(config: EvalConfig, encoder: encoders.Encoder) -> FeatureCache:
    identity = {
        "encoder": encoder.name,
        "stages": encoder.stages,
        "weights": encoder.sha256 or encoder.weights,
        "dtype": encoder.dtype,
        "image_size": config.image_size,
        "crop_size": config.crop_size,
        "platform": jax.default_backend(),
    }
    return feature_cache.open_cache(Path(config.feature_cache), identity)


def settings(context: Context) -> Row:
    """Everything that decides a figure; two runs may share a directory only if it is equal.

    Args:
        context: of the run.

    Returns:
        As JSON holds it.
    """
    config, encoder = context.config, context.encoder
    files = [
        [category.name, samples.fingerprints(category), context.draws[category.name]] for category in context.categories
    ]
    found = dataclasses.asdict(config) | {
        "version": __version__,
        "dataset": context.dataset.name,
        "data_dir": str(context.dataset.directory.resolve()),
        "category": [category.name for category in context.categories],
        "partial": [category.name for category in context.categories if category.partial],
        "files_sha256": hashlib.sha256(json.dumps(files).encode()).hexdigest(),
        "stages": encoder.stages,
        "weights": encoder.weights,
        "weights_sha256": encoder.sha256,
        "draws": max(len(draws) for shots in context.draws.values() for draws in shots.values()),
        "method": [of_method.method.name for of_method in context.programs.methods],
        "description": description(context),
    }
    for name in ("output_dir", "feature_cache", *PLACEMENT):
        del found[name]
    return json.loads(json.dumps(found))


def agreed(context: Context) -> Row:
    """What several processes must have in common; where their data lie, and when they were copied, may differ.

    Args:
        context: of the run.

    Returns:
        As JSON holds it.
    """
    files = [
        [category.name, [sample.name for sample in (*category.train, *category.test)], context.draws[category.name]]
        for category in context.categories
    ]
    local = ("data_dir", "files_sha256", "weights", "description")
    common = {key: value for key, value in settings(context).items() if key not in local}
    return common | {"names_sha256": hashlib.sha256(json.dumps(files).encode()).hexdigest()}


def description(context: Context) -> str:
    """Methods, data, encoder and support in a line.

    Args:
        context: of the run.

    Returns:
        A sentence.
    """
    config, encoder = context.config, context.encoder
    data = f"{context.dataset.name}{' (synthetic images)' if context.dataset.synthetic else ''}"
    random = " RANDOM WEIGHTS: the figures mean nothing." if encoder.weights == "random" else ""
    chosen = [of_method.method for of_method in context.programs.methods]
    named = ", ".join(f"{method.name} ({method.note})" if method.note else method.name for method in chosen)
    return (
        f"{named} on {data}, encoder {encoder.name} "
        f"{'+'.join(encoder.stages)} ({encoder.dtype}, {encoder.weights}), support {config.support}.{random}"
    )


def default_directory(found: Row) -> Path:
    """Where results go unless the user says so: the same for the same settings.

    Args:
        found: from `settings`.

    Returns:
        A path relative to the working directory.
    """
    identity = hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:8]
    return Path("results") / f"{found['dataset']}_{found['encoder']}_{identity}"


def introduction(context: Context, directory: Path, *, processes: int = 1) -> str:
    """What the run works on, and a warning if its settings cannot work.

    Args:
        context: of the run.
        directory: where results go.
        processes: that work together.

    Returns:
        A few lines.
    """
    among = f" in each of {processes} processes" if processes > 1 else ""
    queries = [samples.subset(category.test, context.config.max_queries) for category in context.categories]
    return (
        f"fastrecon_jax {__version__}, jax {jax.__version__}, {devices.count(context.programs.mesh)} x "
        f"{jax.local_devices()[0].device_kind}{among}\n"
        f"{description(context)}\n"
        f"{_count(len(queries), 'category', 'categories')}, {_count(sum(map(len, queries)), 'test image')} "
        f"in {context.dataset.directory}\n{_partial(context)}"
        f"results go to {directory}\n{_warning(context)}\n"
    )


def _partial(context: Context) -> str:
    names = [category.name for category in context.categories if category.partial]
    return f"not complete: {', '.join(names)}; the figures are not those of the published set\n" if names else ""


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def _warning(context: Context) -> str:
    """FastRecon without its distribution term on a coreset that spans all channels explains everything."""
    fastrecon = [one.method for one in context.programs.methods if one.method.name == "fastrecon"]
    if not fastrecon or fastrecon[0].copies or context.config.lam > 0:
        return ""
    h, w, c = detector.feature_shape(context.encoder, fastrecon[0], context.config.crop_size)
    spanning = [shots for shots in context.config.shots if fastrecon[0].rows(shots * h * w) >= c]
    if not spanning:
        return ""
    return (
        f"warning: with --lam=0 and {', '.join(map(str, spanning))} shots the coreset has at least as many rows as "
        f"features have channels ({c}), so every residual is about 0; lower --coreset_ratio or raise --lam\n"
    )
