"""The whole evaluation: score every category, write results as each of them ends."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from fastrecon_jax import context as contexts
from fastrecon_jax import experiment, metrics, overlay, plots, report, tables
from fastrecon_jax.config import EvalConfig
from fastrecon_jax.context import Context
from fastrecon_jax.data import samples
from fastrecon_jax.errors import InputError


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
    context = contexts.open_context(config)
    settings = contexts.settings(context)
    directory = Path(config.output_dir or contexts.default_directory(settings))
    results = report.start(directory, settings)
    tell(contexts.introduction(context, directory))
    finished = {row["category"] for row in results.rows}
    for category in context.categories:
        if category.name in finished:
            tell(f"{category.name}: taken from {directory}\n")
            continue
        evaluated = experiment.evaluate(context.detector, category, context.draws[category.name], config, context.cache)
        rows, scores = _measure(context, category, evaluated, directory)
        results = results._replace(rows=[*results.rows, *rows], scores=[*results.scores, *scores])
        report.write(directory, results)
        tell(_lines(rows))
    if len(config.shots) > 1:
        plots.save(plots.shots(results.rows, settings["description"].split(", encoder")[0]), directory / "shots.png")
    tell(f"\n{_conclusion(results.rows)}\n{settings['description']}\nresults are in {directory}\n")
    return directory


def _conclusion(rows: Sequence[report.Row]) -> str:
    """One method by category; several beside each other, with their paired differences."""
    if len({row["method"] for row in rows}) == 1:
        return tables.plain(tables.by_category(rows))
    pairs = tables.paired(rows, baseline=report.BASELINE)
    return "\n".join(
        tables.plain(lines) for lines in (tables.by_method(rows), tables.of_pairs(pairs)) if len(lines) > 1
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
            key
            | {"path": sample.name, "label": int(sample.defective), "score": float(score), "method": one.method.name}
            for sample, score in zip(evaluated.queries, one.images, strict=True)
        ]
        if context.config.save_maps and (one.method.name, one.shots) not in drawn:
            drawn.add((one.method.name, one.shots))
            name = f"{category.name}_{one.shots}shot_{one.method.name}.png"
            _save_sheet(context, evaluated, one, maps, directory / "maps" / name)
    return rows, scores


def _no_pixel_metrics() -> dict[str, None]:
    return dict.fromkeys(metric for metric in tables.METRICS if not metric.startswith("image_"))


def _facts(context: Context, one: experiment.Run, evaluated: experiment.Evaluated) -> report.Row:
    positions = one.patches[0].size
    return {
        "support": context.config.support,
        "method": one.method.name,
        "encoder": context.encoder.name,
        "weights": context.encoder.weights,
        "coreset_rows": one.method.rows(one.shots * positions),
        "support_images": one.shots,
        "query_images": len(evaluated.queries),
        "fit_seconds": one.fit_seconds,
        "score_images_per_second": one.score_seconds and len(evaluated.queries) / one.score_seconds,
    }


def _save_sheet(
    context: Context, evaluated: experiment.Evaluated, one: experiment.Run, maps: np.ndarray, file: Path
) -> None:
    shown = overlay.choose([sample.defect for sample in evaluated.queries])
    sizes = {name: getattr(context.config, name) for name in ("image_size", "crop_size", "max_pixels")}
    tiles = [
        overlay.Tile(
            image=samples.load_image(evaluated.queries[i], samples.read(evaluated.queries[i]), **sizes).pixels,
            mask=evaluated.masks[i],
            map=maps[i],
            caption=f"{evaluated.queries[i].name.removeprefix('test/')}  {one.images[i]:.3g}",
        )
        for i in shown
    ]
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        overlay.contact_sheet(tiles, low=float(np.median(maps)), high=float(maps.max())).save(file)
    except OSError as error:
        raise InputError(f"contact sheet {file} cannot be written: {error.strerror or error}") from None


def _lines(rows: Sequence[report.Row]) -> str:
    """A line for each method and number of shots of a category that has just ended."""
    groups = tables.grouped(rows, "category", "method", "shots")
    return "".join(f"{' '.join(map(str, key))} shots: {_summary(group)}\n" for key, group in groups.items())


def _summary(rows: Sequence[report.Row]) -> str:
    (mean,) = tables.means(rows)
    figures = ", ".join(
        f"{name} {tables.percent(mean[metric], mean[f'{metric}_std'])}"
        for name, metric in (("image AUROC", "image_auroc"), ("pixel AUROC", "pixel_auroc"), ("AUPRO", "aupro"))
        if mean[metric] is not None
    )
    if any(row["fit_seconds"] is None or row["score_images_per_second"] is None for row in rows):
        return f"{figures}; features from the cache"
    return f"{figures}; fitted in {rows[0]['fit_seconds']:.2f} s, {rows[0]['score_images_per_second']:.0f} images/s"
