"""An evaluation before its first image: everything opened and checked, and what it says of itself."""

import dataclasses
import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax

from fastrecon_jax import detector, encoders, methods
from fastrecon_jax.command_line.console import count, shown
from fastrecon_jax.data import bit_depth, datasets, feature_cache, samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.data.picture_files import Skipped
from fastrecon_jax.data.prefetch import prefetch
from fastrecon_jax.encoders import licences, meta_training
from fastrecon_jax.encoders.meta_training import CATEGORY
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import cluster, programs
from fastrecon_jax.evaluation.category import Draws
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.programs import Programs
from fastrecon_jax.evaluation.tables import Row
from fastrecon_jax.methods import settings as method_settings
from fastrecon_jax.runtime import cpu, devices
from fastrecon_jax.version import __version__

# Fields of EvalConfig that do not decide a figure.
_PLACES = (
    *("output_dir", "feature_cache", "checkpoint_dir", "mesh", "cpu_devices", "distributed"),
    *("write_support", "submission"),
    *("coordinator_address", "num_processes", "process_id"),
)
_AHEAD = 16  # training images whose bit depth is looked at in advance
_LOCAL = ("data_dir", "files_sha256", "weights", "description", "plugin")  # may differ from host to host


class Setup(NamedTuple):
    """All that is opened before the first image is read.

    Attributes:
        config: the user's settings.
        dataset: where the images are.
        categories: those that are evaluated, checked.
        draws: the support draws of each category, by its name.
        encoder: with its weights; with those of the first category where each has its own.
        own: encoders of the categories by name, where each has weights of its own, see `--weights`; otherwise empty.
        programs: encoder and methods, to be compiled at their first use.
        cache: features that are kept on disk, or None.
        bit_depths: of each category, by its name.
    """

    config: EvalConfig
    dataset: datasets.Dataset
    categories: tuple[samples.Category, ...]
    draws: dict[str, Draws]
    encoder: encoders.Encoder
    own: dict[str, encoders.Encoder]
    programs: Programs
    cache: FeatureCache | None
    bit_depths: dict[str, int]


def divide_cpu(config: EvalConfig) -> None:
    """Divide the CPU for a command, see `cpu.divide`; not where several processes share it, or a method trains."""
    if cluster.several(config):
        return
    trains = config.cpu_devices == cpu.AUTO and any(method.images for method in _made(config))
    alone = config.mesh == "none" or trains
    cpu.divide(cpu.ONE if alone else config.cpu_devices, most=config.batch_size)


def open_setup(config: EvalConfig) -> Setup:
    """Open everything, and check all that can be checked before anything is computed.

    InputError where something that the user gave cannot be used.
    """
    side = config.crop_size
    encoders.registration(config.encoder).check_size(side, side, f"--crop_size={side}")
    made = _made(config)
    method_settings.check_copies_are_used(made, config.support_copies)
    made = [methods.with_copies(method, config.support_copies) for method in made]
    _check_images(made, config)
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    categories = tuple(dataset.open_category(name) for name in datasets.select(dataset, config.category))
    draws = {}
    for category in categories:
        samples.check(category, shots=max(config.shots))
        draws[category.name] = scoring.choose(dataset.name, category, config)
    own = _own_encoders(made, config, categories)
    encoder = next(iter(own.values()))
    made = [methods.meta_trained(method, _meta_training(list(own.values()))) for method in made]
    made = [_on_its_stages(method, encoder, chosen=bool(config.stages)) for method in made]
    compiled = programs.create(
        encoder,
        made,
        map_size=config.crop_size,
        image_score=config.image_score,
        mesh=devices.mesh(config.mesh),
    )
    cache = _open_cache(config, encoder) if config.feature_cache else None
    depths = {category.name: _bit_depth(category, config) for category in categories}
    own = own if CATEGORY in config.weights else {}
    return Setup(config, dataset, categories, draws, encoder, own, compiled, cache, depths)


def _made(config: EvalConfig) -> list[methods.Method]:
    return [methods.create(name, own, map_size=config.crop_size) for name, own in config.method_settings().items()]


def _own_encoders(
    made: Sequence[methods.Method], config: EvalConfig, categories: Sequence[samples.Category]
) -> dict[str, encoders.Encoder]:
    """The encoder of each category by name, the same for all unless the path of the weights has its name in it.

    It is `encoders.none()` where all methods see pixels alone. InputError where weights cannot be used, or were
    meta-trained with a category that they are to be tested on.
    """
    if not any(map(_encodes, made)):
        return dict.fromkeys((category.name for category in categories), encoders.none())
    stages = config.stages or encoders.stages_of(config.encoder, [s for method in made for s in method.strides])
    opened: dict[str, encoders.Encoder] = {}
    own = {}
    for category in categories:
        weights = config.weights.replace(CATEGORY, category.name)
        if weights not in opened:
            encoder = encoders.create(
                config.encoder, stages=stages, weights=weights, dtype=config.dtype, options=config.encoder_options
            )
            opened[weights] = encoders.tiled(encoder, config.tile, height=config.crop_size, width=config.crop_size)
        meta_training.check_unseen(opened[weights], category.name)
        own[category.name] = opened[weights]
    return own


def _meta_training(used: Sequence[encoders.Encoder]) -> str:
    """How the weights were meta-trained, in a few words; empty where they were not."""
    facts = [meta_training.read(dict(encoder.metadata), encoder.weights) for encoder in used]
    if None in facts:
        return ""
    left_out = list(dict.fromkeys(fact.left_out for fact in facts))
    presets = dict.fromkeys(
        f"preset {fact.settings['preset']} at {fact.settings['crop_size']} pixels" for fact in facts
    )
    without = left_out[0] if len(left_out) == 1 else "each category"
    return f"meta-trained without {without}, {' and '.join(presets)}"


def _encodes(method: methods.Method) -> bool:
    return method.images is None or method.images.encodes


def _check_images(made: Sequence[methods.Method], config: EvalConfig) -> None:
    """Refuse flags that have no effect on images or on features alone, and images smaller than a patch."""
    alone = all(method.images for method in made)
    tile = ",".join(map(str, config.tile))
    for flag, value, unused, why in (
        ("tile", tile, alone, f"{made[0].name} encodes whole images"),
        ("feature_cache", config.feature_cache, alone, f"{made[0].name} keeps no features"),
        ("checkpoint_dir", config.checkpoint_dir, not any(method.images for method in made), "no method is trained"),
    ):
        if value and unused:
            raise InputError(f"--{flag}={value} is not allowed: {why}")
    if not any(map(_encodes, made)):
        _refuse_encoders(made[0].name, config)
    least = encoders.registration(config.encoder).multiple
    for method in made:
        if method.images and method.images.encodes and min(method.images.sides) < least:
            sides = ", ".join(map(str, method.images.sides))
            raise InputError(
                f"--method={method.name} is not possible with images of {method.images.sides[0]} pixels and "
                f"{config.encoder}: it encodes them with sides of {sides}, which must be at least {least}"
            )


def _refuse_encoders(name: str, config: EvalConfig) -> None:
    """Refuse flags of an encoder that no method uses."""
    defaults = {field.name: field.default for field in dataclasses.fields(config)}
    for flag in ("encoder", "weights", "stages", "encoder_options", "dtype"):
        if (value := getattr(config, flag)) != defaults[flag]:
            shown = value if isinstance(value, str) else ",".join(value)
            raise InputError(f"--{flag}={shown} is not allowed: {name} sees pixels alone and uses no encoder")


def _bit_depth(category: samples.Category, config: EvalConfig) -> int:
    """That of the flag, or the fewest bits that hold all values of the training images, whichever are the support."""
    if config.bit_depth != bit_depth.AUTO:
        return int(config.bit_depth)
    peak = functools.partial(samples.peak, max_pixels=config.max_pixels)
    return bit_depth.choose(prefetch(peak, category.train, buffer_size=_AHEAD))


def of_category(setup: Setup, category: samples.Category) -> tuple[EvalConfig, FeatureCache | None]:
    """The settings and the cache for one category, whose bit depth is a number."""
    depth, cache = setup.bit_depths[category.name], setup.cache
    if cache is not None and setup.own:
        cache = cache._replace(identity=cache.identity + f" weights={setup.own[category.name].sha256}".encode())
    if cache is not None and depth != bit_depth.CONTAINER:
        cache = cache._replace(identity=cache.identity + f" bit_depth={depth}".encode())
    return dataclasses.replace(setup.config, bit_depth=str(depth)), cache


def programs_of(setup: Setup, category: samples.Category) -> Programs:
    """The programs with the category's own weights, where it has any; they are compiled once for all."""
    if not setup.own:
        return setup.programs
    encoder = dataclasses.replace(setup.encoder, params=setup.own[category.name].params)
    return setup.programs._replace(encoder=devices.put(setup.programs.mesh, encoder, devices.COPIED))


def _on_its_stages(method: methods.Method, encoder: encoders.Encoder, *, chosen: bool) -> methods.Method:
    """The method on the stages of its own strides, or on all that the user has chosen; on images without tiles."""
    if not _encodes(method):
        return method
    names = encoder.stages if chosen else encoders.stages_of(encoder.name, method.strides)
    if (images := method.images) is None:
        own = [encoder.stages.index(stage) for stage in names]
        return method if chosen else method._replace(embed=lambda stages: method.embed([stages[i] for i in own]))

    def narrowed(encoder: encoders.Encoder) -> encoders.Encoder:
        return dataclasses.replace(encoder, stages=names, tiling=None)

    return method._replace(
        images=images._replace(
            fit=lambda encoder, *others: images.fit(narrowed(encoder), *others),
            score=lambda encoder, *others: images.score(narrowed(encoder), *others),
        )
    )


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
    if encoder.options:
        identity["options"] = encoder.options
    if config.tile:
        identity["tile"] = config.tile
    return feature_cache.open_cache(Path(config.feature_cache), identity)


def settings(setup: Setup) -> Row:
    """Everything that decides a figure, as JSON holds it; two runs may share a directory only if it is equal."""
    config, encoder, used = setup.config, setup.encoder, _methods(setup)
    files = [
        [category.name, samples.fingerprints(category), setup.draws[category.name]] for category in setup.categories
    ]
    values = {field.name: getattr(config, field.name) for field in dataclasses.fields(config)}
    values |= {
        "version": __version__,
        "dataset": setup.dataset.name,
        "data_dir": str(setup.dataset.directory.resolve()),
        "category": [category.name for category in setup.categories],
        "partial": [category.name for category in setup.categories if category.partial],
        "files_sha256": _digest(files),
        "encoder": encoder.name,
        "stages": encoder.stages,
        "encoder_options": encoder.options,
        "weights": weights(setup),
        "weights_sha256": {name: own.sha256 for name, own in setup.own.items()} or encoder.sha256,
        "draws": max(len(draws) for shots in setup.draws.values() for draws in shots.values()),
        "method": [method.name for method in used],
        "settings": {method.name: dataclasses.asdict(method.settings) for method in used},
        "description": description(setup),
        "bit_depth": setup.bit_depths,
    }
    if facts := _facts_of_meta_training(setup):
        values["meta_training"] = facts
    return json.loads(json.dumps({name: value for name, value in values.items() if name not in _PLACES}))


def _facts_of_meta_training(setup: Setup) -> dict[str, Row]:
    """How the weights of each category were meta-trained, by its name; empty where they were not."""
    found = {}
    for category in setup.categories:
        encoder = setup.own.get(category.name, setup.encoder)
        if facts := meta_training.read(dict(encoder.metadata), encoder.weights):
            found[category.name] = facts._asdict()
    return found


def shared_settings(setup: Setup) -> Row:
    """What several processes must have in common: the settings, and the names of the images.

    Where the files lie, what their folder is called, and when they were copied there, may differ from host to host.
    """
    files = [
        [category.name, [sample.name for sample in (*category.train, *category.test)], setup.draws[category.name]]
        for category in setup.categories
    ]
    common = {name: value for name, value in settings(setup).items() if name not in _LOCAL}
    if setup.dataset.name not in datasets.NAMES:  # a folder's own name
        common["dataset"] = "folder"
    return common | {"names_sha256": _digest(files)}


def weights(setup: Setup, category: str = "") -> str:
    """Where the weights of a category came from, for people; of all categories the path as the user wrote it."""
    if not setup.own:
        return setup.encoder.weights
    return setup.own[category].weights if category else setup.config.weights


def _digest(facts: Any) -> str:
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()


def _methods(setup: Setup) -> list[methods.Method]:
    return [compiled.method for compiled in setup.programs.methods]


def description(setup: Setup) -> str:
    """Methods, data, encoder with its weights, and support, in one line."""
    config, encoder = setup.config, setup.encoder
    data = f"{setup.dataset.name}{' (synthetic images)' if setup.dataset.synthetic else ''}"
    random = " RANDOM WEIGHTS: the figures mean nothing." if encoder.weights == "random" else ""
    named = ", ".join(f"{method.name} ({method.note})" if method.note else method.name for method in _methods(setup))
    options = "".join(f", {option}" for option in encoder.options)
    if config.tile:
        options += ", tiles of {} pixels with an overlap of {}".format(*config.tile)
    used = f"{'+'.join(encoder.stages)} ({encoder.dtype}, {weights(setup)}{options})" if encoder.stages else ""
    return f"{named} on {data}, encoder {' '.join([encoder.name, used]).strip()}, support {config.support}.{random}"


def default_directory(settings: Row) -> Path:
    """Where results go unless the user says so, relative to the working directory: the same for the same settings."""
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path("results") / f"{settings['dataset']}_{settings['encoder']}_{identity}"


def introduction(setup: Setup, directory: Path, *, processes: int = 1) -> str:
    """What the run works on and where its results go, and a warning if its settings cannot work."""
    among = f" in each of {processes} processes" if processes > 1 else ""
    queries = [scoring.parts(category, setup.config).tested for category in setup.categories]
    return (
        f"fastrecon_jax {__version__}, jax {jax.__version__}, {devices.count(setup.programs.mesh)} x "
        f"{jax.local_devices()[0].device_kind}{among}\n"
        f"{shown(description(setup))}\n{licences.notice(setup.encoder)}"
        f"{count(len(queries), 'category', 'categories')}, {count(sum(map(len, queries)), 'test image')} "
        f"in {shown(setup.dataset.directory)}\n{_partial(setup)}{_skipped(setup)}{_described_depths(setup)}"
        f"results go to {shown(directory)}\n{_warning(setup)}\n"
    )


def _partial(setup: Setup) -> str:
    names = [category.name for category in setup.categories if category.partial]
    return f"not complete: {shown(', '.join(names))}; the figures are not those of the published set\n" if names else ""


def _skipped(setup: Setup) -> str:
    return str(sum((category.skipped for category in setup.categories), Skipped()))


def _described_depths(setup: Setup) -> str:
    """A line on the categories whose pixels do not fill 16 bits, if there are any."""
    listed = [f"{depth} in {shown(name)}" for name, depth in setup.bit_depths.items() if depth != bit_depth.CONTAINER]
    by = "by the training images" if setup.config.bit_depth == bit_depth.AUTO else "as asked for"
    return f"bit depth of pixels with more than 8 bits, {by}: {', '.join(listed)}\n" if listed else ""


def _warning(setup: Setup) -> str:
    """FastRecon without its distribution term, on a coreset that spans all channels, explains everything."""
    fastrecon = [method for method in _methods(setup) if method.name == "fastrecon"]
    if not fastrecon or fastrecon[0].choose or fastrecon[0].settings.lam > 0:
        return ""
    h, w, c = detector.feature_shape(setup.encoder, fastrecon[0], setup.config.crop_size)
    spanning = [shots for shots in setup.config.shots if fastrecon[0].rows(shots * h * w) >= c]
    if not spanning:
        return ""
    return (
        f"warning: with --lam=0 and {', '.join(map(str, spanning))} shots the coreset has at least as many rows as "
        f"features have channels ({c}), so every residual is about 0; lower --coreset_ratio or raise --lam\n"
    )
