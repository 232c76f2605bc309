"""The figures of one category, computed from its scores: rows, image scores and contact sheets."""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from fastrecon_jax import methods, metrics, overlay
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.data import samples
from fastrecon_jax.encoders.encoder import NONE
from fastrecon_jax.evaluation import category as scoring
from fastrecon_jax.evaluation import mask_checks, objects, prescribed, shares, tables
from fastrecon_jax.evaluation.config import EvalConfig
from fastrecon_jax.evaluation.prescribed import Scored
from fastrecon_jax.evaluation.setup import Setup, of_category, weights
from fastrecon_jax.evaluation.shares import Key, Share
from fastrecon_jax.evaluation.tables import Row
from fastrecon_jax.runtime import devices

Maps = Float[np.ndarray, "n H W"]  # anomaly maps


class Measured(NamedTuple):
    """What goes into the results of a category.

    Attributes:
        rows: the metrics, one row for each method, number of shots and draw.
        scores: the image scores, one row for each of those and each test image.
        sheets: contact sheets, PNG, by the name of their file.
        doubts: lines on masks that may not mean what they should, or lie outside of what is inspected; mostly empty.
    """

    rows: list[Row]
    scores: list[Row]
    sheets: dict[str, bytes]
    doubts: str = ""


def measure(setup: Setup, category: samples.Category, share: Share) -> Measured:
    """The figures of a category from the scores of all its test images.

    InputError where an image for the contact sheets cannot be read again.
    """
    parts = scoring.parts(category, setup.config)
    queries, good = parts.tested, slice(len(parts.tested), len(parts.tested) + len(parts.validation))
    config, _ = of_category(setup, category)
    masks = share.masks[: len(queries)]
    doubts = mask_checks.doubts(category.name, queries, masks, config.max_pixels)
    measured = Measured([], [], {}, doubts + mask_checks.outside(category.name, queries, masks, config.preprocessing))
    labels = np.array([sample.defective for sample in queries])
    for key in scoring.keys(setup.programs, setup.draws[category.name]):
        scored = share.scored[key]
        for i, draw in enumerate(setup.draws[category.name][key.shots]):
            tested = scored_images(setup, category, share, key, i, slice(len(queries)))
            _, maps, scores = tested
            common = {"dataset": setup.dataset.name, "category": category.name, "seed": draw.seed, "shots": key.shots}
            figures = metrics.image_metrics(labels, scores)
            figures |= metrics.pixel_metrics(masks, maps) if category.has_masks else _no_pixel_metrics()
            if category.figures:
                validation = scored_images(setup, category, share, key, i, good)
                figures |= prescribed.measure(category, tested, validation, config.preprocessing)
            measured.rows.append(common | _facts(setup, key, scored) | {"query_images": len(queries)} | figures)
            measured.scores.extend(
                common
                | {"path": sample.name, "label": int(sample.defective), "score": float(score), "method": key.method}
                | ({objects.SAMPLE: sample.group} if sample.group else {})
                for sample, score in zip(queries, scores, strict=True)
            )
            if setup.config.save_maps and i == 0:  # the sheets show the first draw
                name = f"{category.name}_{key.shots}shot_{key.method}.png"
                measured.sheets[name] = _sheet(config, queries, masks, maps, scores)
    return measured


def scored_images(setup: Setup, category: samples.Category, share: Share, key: Key, draw: int, images: slice) -> Scored:
    """Some of the scored images, with their maps and scores by one draw of a method and number of shots."""
    scored = share.scored[key]
    maps = _maps(setup, key, scored.patches[draw, images])
    return Scored(scoring.queries(category, setup.config)[images], maps, scored.images[draw, images])


def _maps(setup: Setup, key: Key, patches: Float[np.ndarray, "n h w"]) -> Maps:
    if _method(setup, key).images is not None or not len(patches):
        return patches  # maps already, or none
    programs = setup.programs
    return devices.in_batches(programs.maps, patches, over=programs.mesh, batch_size=setup.config.batch_size)


def _no_pixel_metrics() -> dict[str, None]:
    return dict.fromkeys(metric for metric in tables.METRICS if not metric.startswith("image_"))


def _facts(setup: Setup, key: Key, scored: shares.Scored) -> Row:
    """What a row says besides the metrics."""
    _, count, height, width = scored.patches.shape
    method = _method(setup, key)
    blind = method.images is not None and not method.images.encodes  # beside others that take an encoder
    return {
        "support": setup.config.support,
        "method": key.method,
        "encoder": NONE if blind else setup.encoder.name,
        "weights": NONE if blind else weights(setup),
        "coreset_rows": method.rows(key.shots * height * width),
        "support_images": key.shots,
        "query_images": count,
        "fit_seconds": scored.fit_seconds,
        "score_images_per_second": scored.score_seconds and count / scored.score_seconds,
    }


def _method(setup: Setup, key: Key) -> methods.Method:
    (method,) = (compiled.method for compiled in setup.programs.methods if compiled.method.name == key.method)
    return method


def _sheet(
    config: EvalConfig,
    queries: Sequence[samples.Sample],
    masks: Bool[np.ndarray, "n H W"],
    maps: Maps,
    scores: Float[np.ndarray, " n"],
) -> bytes:
    """A contact sheet of a few images of each kind of defect, as PNG."""
    tiles = [
        overlay.Tile(
            image=samples.load_image(queries[i], samples.read(queries[i]), config.preprocessing).pixels,
            mask=masks[i],
            map=maps[i],
            caption=f"{queries[i].name.removeprefix('test/')}  {scores[i]:.3g}",
        )
        for i in overlay.choose([sample.defect for sample in queries])
    ]
    png = io.BytesIO()
    overlay.contact_sheet(tiles, low=float(np.median(maps)), high=float(maps.max())).save(png, "png")
    return png.getvalue()


def lines(rows: Sequence[Row]) -> str:
    """A line for each method and number of shots of a category that has just ended."""
    groups = tables.grouped(rows, "category", "method", "shots")
    return "".join(f"{' '.join(map(shown, key))} shots: {_summary(group)}\n" for key, group in groups.items())


def _named(mean: Row) -> dict[str, str]:
    """The metrics of a line for people by their names."""
    usual = {"image AUROC": "image_auroc", "pixel AUROC": "pixel_auroc", "AUPRO": "aupro"}
    every = tables.summary_of([mean])
    return usual | {name: metric for name, metric in every.items() if name not in tables.SUMMARY}


def _summary(rows: Sequence[Row]) -> str:
    (mean,) = tables.means(rows)
    figures = ", ".join(
        f"{name} {tables.percent(mean[metric], mean[f'{metric}_std'])}"
        for name, metric in _named(mean).items()
        if mean[metric] is not None
    )
    if any(row["fit_seconds"] is None or row["score_images_per_second"] is None for row in rows):
        return f"{figures}; features from the cache"
    return f"{figures}; fitted in {rows[0]['fit_seconds']:.2f} s, {rows[0]['score_images_per_second']:.0f} images/s"
