"""The figures of one category: rows, scores and contact sheets, computed from its scores."""

import base64
import io
import json
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from fastrecon_jax import metrics, overlay
from fastrecon_jax.data import samples
from fastrecon_jax.evaluation import category as experiment
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.setup import Context
from fastrecon_jax.evaluation.tables import Row


class Measured(NamedTuple):
    """What goes into the results of a category.

    Attributes:
        rows: of figures, one for each run.
        scores: one for each run and test image.
        sheets: contact sheets, PNG, by name of the file.
    """

    rows: list[Row]
    scores: list[Row]
    sheets: dict[str, bytes]


def measure(context: Context, category: samples.Category, evaluated: experiment.Evaluated) -> Measured:
    """Compute the figures of all runs of a category.

    Args:
        context: of the evaluation.
        category: that was evaluated.
        evaluated: its scores.

    Returns:
        The figures.

    Raises:
        InputError: an image for the contact sheets cannot be read again.
    """
    rows, scores, sheets = [], [], {}
    labels = np.array([sample.defective for sample in evaluated.queries])
    for one in evaluated.runs:
        maps = experiment.maps(context.programs, one.patches, batch_size=context.config.batch_size)
        key = {"dataset": context.dataset.name, "category": category.name, "seed": one.draw.seed, "shots": one.shots}
        figures = metrics.image_metrics(labels, one.images)
        figures |= metrics.pixel_metrics(evaluated.masks, maps) if category.has_masks else _no_pixel_metrics()
        rows.append(key | _facts(context, one, evaluated) | figures)
        scores += [
            key
            | {"path": sample.name, "label": int(sample.defective), "score": float(score), "method": one.method.name}
            for sample, score in zip(evaluated.queries, one.images, strict=True)
        ]
        name = f"{category.name}_{one.shots}shot_{one.method.name}.png"
        if context.config.save_maps and name not in sheets:
            sheets[name] = _sheet(context, evaluated, one, maps)
    return Measured(rows, scores, sheets)


def _no_pixel_metrics() -> dict[str, None]:
    return dict.fromkeys(metric for metric in tables.METRICS if not metric.startswith("image_"))


def _facts(context: Context, one: experiment.Run, evaluated: experiment.Evaluated) -> Row:
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


def _sheet(
    context: Context, evaluated: experiment.Evaluated, one: experiment.Run, maps: Float[np.ndarray, "n H W"]
) -> bytes:
    shown = overlay.choose([sample.defect for sample in evaluated.queries])
    preprocessing = context.config.preprocessing
    tiles = [
        overlay.Tile(
            image=samples.load_image(evaluated.queries[i], samples.read(evaluated.queries[i]), preprocessing).pixels,
            mask=evaluated.masks[i],
            map=maps[i],
            caption=f"{evaluated.queries[i].name.removeprefix('test/')}  {one.images[i]:.3g}",
        )
        for i in shown
    ]
    png = io.BytesIO()
    overlay.contact_sheet(tiles, low=float(np.median(maps)), high=float(maps.max())).save(png, "png")
    return png.getvalue()


def pack(measured: Measured) -> bytes:
    """The figures to send.

    Args:
        measured: of a category.

    Returns:
        JSON.
    """
    sheets = {name: base64.b64encode(png).decode() for name, png in measured.sheets.items()}
    return json.dumps([measured.rows, measured.scores, sheets]).encode()


def unpack(data: bytes) -> Measured:
    """The figures as they were sent.

    Args:
        data: from `pack`.

    Returns:
        The figures.
    """
    rows, scores, sheets = json.loads(data)
    return Measured(rows, scores, {name: base64.b64decode(text) for name, text in sheets.items()})


def lines(rows: Sequence[Row]) -> str:
    """A line for each method and number of shots of a category that has just ended.

    Args:
        rows: of the category.

    Returns:
        The lines.
    """
    groups = tables.grouped(rows, "category", "method", "shots")
    return "".join(f"{' '.join(map(str, key))} shots: {_summary(group)}\n" for key, group in groups.items())


def _summary(rows: Sequence[Row]) -> str:
    (mean,) = tables.means(rows)
    figures = ", ".join(
        f"{name} {tables.percent(mean[metric], mean[f'{metric}_std'])}"
        for name, metric in (("image AUROC", "image_auroc"), ("pixel AUROC", "pixel_auroc"), ("AUPRO", "aupro"))
        if mean[metric] is not None
    )
    if any(row["fit_seconds"] is None or row["score_images_per_second"] is None for row in rows):
        return f"{figures}; features from the cache"
    return f"{figures}; fitted in {rows[0]['fit_seconds']:.2f} s, {rows[0]['score_images_per_second']:.0f} images/s"
