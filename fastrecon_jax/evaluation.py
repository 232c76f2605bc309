"""The whole evaluation: open the data, score every category, write results as each of them ends."""

import dataclasses
import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from fastrecon_jax import detector as detectors
from fastrecon_jax import encoders, experiment, methods, metrics, overlay, report
from fastrecon_jax.config import EvalConfig
from fastrecon_jax.data import datasets, feature_cache, samples
from fastrecon_jax.data.feature_cache import FeatureCache
from fastrecon_jax.data.support import Draw
from fastrecon_jax.errors import InputError
from fastrecon_jax.version import __version__


class Context(NamedTuple):
    """All that is opened before the first image is read."""

    config: EvalConfig
    dataset: datasets.Dataset
    categories: tuple[samples.Category, ...]
    draws: dict[str, dict[int, tuple[Draw, ...]]]
    encoder: encoders.Encoder
    method: methods.Method
    detector: detectors.Detector
    cache: FeatureCache | None


def run(config: EvalConfig, *, tell: Callable[[str], object]) -> Path:
    """Evaluate, taking up what an interrupted run of the same settings left.

    Args:
        config: the settings.
        tell: takes lines for people: what it runs on, each category as it ends, the table.

    Returns:
        The directory that holds the results.

    Raises:
        InputError: something that the user gave cannot be used; what was computed before is in the directory.
    """
    context = _open(config)
    settings = _settings(context)
    directory = Path(config.output_dir or _default_directory(settings))
    results = report.start(directory, settings)
    tell(_introduction(context, directory) + _warnings(context) + "\n")
    finished = {row["category"] for row in results.rows}
    for category in context.categories:
        if category.name in finished:
            tell(f"{category.name}: taken from {directory}\n")
            continue
        evaluated = experiment.evaluate(context.detector, category, context.draws[category.name], config, context.cache)
        rows, scores = _measure(context, category, evaluated, directory)
        results = results._replace(rows=[*results.rows, *rows], scores=[*results.scores, *scores])
        report.write(directory, results)
        tell("".join(f"{_line(row)}\n" for row in rows))
    tell(f"\n{report.plain(report.table(results.rows))}\n{settings['description']}\nresults are in {directory}\n")
    return directory


def _open(config: EvalConfig) -> Context:
    """Check all that can be checked before anything is computed."""
    method = methods.create(
        config.method,
        lam=config.lam,
        coreset_ratio=config.coreset_ratio,
        coreset_projection=config.coreset_projection,
    )
    dataset = datasets.open_dataset(config.dataset, config.data_dir)
    categories = tuple(dataset.open_category(name) for name in datasets.select(dataset, config.category))
    draws = {}
    for category in categories:
        samples.check(category, shots=max(config.shots))
        draws[category.name] = experiment.choose(dataset.name, category, config)
    encoder = encoders.create(config.encoder, stages=config.stages, weights=config.weights, dtype=config.dtype)
    detector = detectors.create(encoder, method, image_score=config.image_score, map_size=config.crop_size)
    cache = _open_cache(config, encoder) if config.feature_cache else None
    return Context(config, dataset, categories, draws, encoder, method, detector, cache)


def _open_cache(config: EvalConfig, encoder: encoders.Encoder) -> FeatureCache:
    identity = {
        "encoder": encoder.name,
        "stages": encoder.stages,
        "weights": encoder.sha256 or encoder.weights,
        "dtype": encoder.dtype,
        "image_size": config.image_size,
        "crop_size": config.crop_size,
        "platform": jax.default_backend(),
        "versions": (__version__, jax.__version__),
    }
    return feature_cache.open_cache(Path(config.feature_cache), identity)


def _settings(context: Context) -> report.Row:
    """Everything that decides a figure, as JSON; two runs may share a directory only if it is equal."""
    config, encoder = context.config, context.encoder
    names = [[category.name, *(s.name for s in (*category.train, *category.test))] for category in context.categories]
    settings = dataclasses.asdict(config) | {
        "version": __version__,
        "dataset": context.dataset.name,
        "data_dir": str(context.dataset.directory.resolve()),
        "category": [category.name for category in context.categories],
        "files_sha256": hashlib.sha256(json.dumps(names).encode()).hexdigest(),
        "stages": encoder.stages,
        "weights": encoder.weights,
        "weights_sha256": encoder.sha256,
        "draws": max(len(draws) for shots in context.draws.values() for draws in shots.values()),
        "description": _description(context),
    }
    del settings["output_dir"], settings["feature_cache"]
    return json.loads(json.dumps(settings))


def _description(context: Context) -> str:
    config, encoder = context.config, context.encoder
    data = f"{context.dataset.name}{' (synthetic images)' if context.dataset.synthetic else ''}"
    random = " RANDOM WEIGHTS: the figures mean nothing." if encoder.weights == "random" else ""
    return (
        f"{config.method} (lam {config.lam:g}, coreset {config.coreset_ratio:g}) on {data}, encoder {encoder.name} "
        f"{'+'.join(encoder.stages)} ({encoder.dtype}, {encoder.weights}), support {config.support}.{random}"
    )


def _default_directory(settings: report.Row) -> Path:
    identity = hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:8]
    return Path("results") / f"{settings['dataset']}_{settings['encoder']}_{identity}"


def _introduction(context: Context, directory: Path) -> str:
    devices = jax.devices()
    images = sum(len(category.test) for category in context.categories)
    return (
        f"fastrecon_jax {__version__}, jax {jax.__version__}, {len(devices)} x {devices[0].device_kind}\n"
        f"{_description(context)}\n"
        f"{len(context.categories)} categories, {images} test images in {context.dataset.directory}\n"
        f"results go to {directory}\n"
    )


def _warnings(context: Context) -> str:
    """Settings that cannot work: a coreset that spans all channels reconstructs everything."""
    if context.method.name != "fastrecon" or context.config.lam > 0:
        return ""
    h, w, c = detectors.feature_shape(context.encoder, context.method, context.config.crop_size)
    spanning = [shots for shots in context.config.shots if context.method.rows(shots * h * w) >= c]
    if not spanning:
        return ""
    return (
        f"warning: with --lam=0 and {', '.join(map(str, spanning))} shots the coreset has at least as many rows as "
        f"features have channels ({c}), so every residual is about 0; lower --coreset_ratio or raise --lam\n"
    )


def _measure(
    context: Context, category: samples.Category, evaluated: experiment.Evaluated, directory: Path
) -> tuple[list[report.Row], list[report.Row]]:
    """Rows of figures and of scores, and the contact sheets, for all runs of a category."""
    rows, scores, drawn = [], [], set()
    labels = np.array([sample.defective for sample in evaluated.queries])
    for one in evaluated.runs:
        maps = experiment.maps(context.detector, one.patches, batch_size=context.config.batch_size)
        key = {"dataset": context.dataset.name, "category": category.name, "seed": one.draw.seed, "shots": one.shots}
        figures = metrics.image_metrics(labels, one.images)
        figures |= metrics.pixel_metrics(evaluated.masks, maps) if category.has_masks else _no_pixel_metrics()
        rows.append(key | _facts(context, one, evaluated) | figures)
        scores += [
            key | {"path": sample.name, "label": int(sample.defective), "score": float(score)}
            for sample, score in zip(evaluated.queries, one.images, strict=True)
        ]
        if context.config.save_maps and one.shots not in drawn:
            drawn.add(one.shots)
            _save_sheet(context, evaluated, one, maps, directory / "maps" / f"{category.name}_{one.shots}shot.png")
    return rows, scores


def _no_pixel_metrics() -> dict[str, None]:
    return dict.fromkeys(metric for metric in report.METRICS if not metric.startswith("image_"))


def _facts(context: Context, one: experiment.Run, evaluated: experiment.Evaluated) -> report.Row:
    positions = one.patches[0].size
    return {
        "support": context.config.support,
        "method": context.method.name,
        "encoder": context.encoder.name,
        "weights": context.encoder.weights,
        "coreset_rows": context.method.rows(one.shots * positions),
        "support_images": one.shots,
        "query_images": len(evaluated.queries),
        "fit_seconds": one.fit_seconds,
        "score_images_per_second": one.score_seconds and len(evaluated.queries) / one.score_seconds,
    }


def _save_sheet(
    context: Context, evaluated: experiment.Evaluated, one: experiment.Run, maps: np.ndarray, file: Path
) -> None:
    shown = overlay.choose([sample.defect for sample in evaluated.queries])
    sizes = {"image_size": context.config.image_size, "crop_size": context.config.crop_size}
    tiles = [
        overlay.Tile(
            image=samples.load_image(evaluated.queries[i], samples.read(evaluated.queries[i]), **sizes).pixels,
            mask=evaluated.masks[i],
            map=maps[i],
            caption=f"{evaluated.queries[i].name.removeprefix('test/')}  {one.images[i]:.2f}",
        )
        for i in shown
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        overlay.contact_sheet(tiles, low=float(np.median(maps)), high=float(maps.max())).save(file)
    except OSError as error:
        raise InputError(f"contact sheet {file} cannot be written: {error.strerror or error}") from None


def _line(row: report.Row) -> str:
    figures = ", ".join(
        f"{name} {100 * row[metric]:.1f}"
        for name, metric in (("image AUROC", "image_auroc"), ("pixel AUROC", "pixel_auroc"), ("AUPRO", "aupro"))
        if row[metric] is not None
    )
    seed = "" if row["seed"] is None else f" seed {row['seed']}"
    speed = "features from the cache"
    if row["fit_seconds"] is not None and row["score_images_per_second"] is not None:
        speed = f"fitted in {row['fit_seconds']:.2f} s, {row['score_images_per_second']:.0f} images/s"
    return f"{row['category']} {row['shots']} shots{seed}: {figures}; {speed}"
