"""Figures that the publishers of some data sets prescribe besides the usual ones.

Those of pixels are measured at the size of the photographs. What of a photograph is cut off before the encoder counts
as normal: it gets the lowest score of all test and validation images.
"""

import io
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image

from fastrecon_jax import metrics
from fastrecon_jax.data import masks, samples
from fastrecon_jax.data.geometry import Preprocessing
from fastrecon_jax.data.publishers.mvtec_loco import LOGICAL, STRUCTURAL
from fastrecon_jax.data.saturation import Saturation
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import full_size
from fastrecon_jax.metrics import Defect, OverlapCurve, PooledF1

LIMIT = 0.05  # false positive rate up to which overlap is measured
Figures = dict[str, float | None]


class Scored(NamedTuple):
    """Photographs with what one draw of one method found in them.

    Attributes:
        samples: the photographs.
        maps: their anomaly maps at the working size.
        images: their image scores.
    """

    samples: Sequence[samples.Sample]
    maps: Float[np.ndarray, "n h w"]
    images: Float[np.ndarray, " n"]


def measure(category: samples.Category, tested: Scored, good: Scored, preprocessing: Preprocessing) -> Figures:
    """The prescribed figures of a category, by the names that it lists.

    Args:
        category: says which figures, and for saturated overlap how much of a defect is enough.
        tested: the test images.
        good: the validation images.
        preprocessing: what of the photographs the maps show.

    Returns:
        The figures; None where they are not defined.

    Raises:
        InputError: a mask cannot be read, or marks a defect of no kind that the category lists.
    """
    found: Figures = {}
    outside = min(float(scored.maps.min()) for scored in (tested, good) if scored.samples)
    if {"aupro_05", "seg_f1"} & set(category.figures):
        found |= _of_regions(tested, good, preprocessing, outside)
    if "auspro_05" in category.figures:
        found |= _of_defects(category, tested, preprocessing, outside) | _of_images(tested)
    if "sample_auroc" in category.figures:
        found["sample_auroc"] = _of_objects(tested)
    return {name: found[name] for name in category.figures}


def threshold(good: Scored, preprocessing: Preprocessing) -> float | None:
    """The score above which a pixel counts as defective, from maps of whole good images; None without any."""
    figure = PooledF1()
    _add_good(figure, good, preprocessing, 0.0)
    return figure.threshold


def _add_good(figure: PooledF1, good: Scored, preprocessing: Preprocessing, outside: float) -> None:
    for _, scores in full_size.maps(good.samples, good.maps, preprocessing, outside):
        figure.add_good(scores)


def _of_regions(tested: Scored, good: Scored, preprocessing: Preprocessing, outside: float) -> Figures:
    """AU-PRO, and F1 of the pixels above a threshold from good images."""
    curve, figure = OverlapCurve(), PooledF1()
    _add_good(figure, good, preprocessing, outside)
    for image in full_size.marked(tested.samples, tested.maps, preprocessing, outside):
        curve.add_regions(image.scores, image.mask)
        if figure.threshold is not None:
            figure.add(image.scores, image.mask)
    return {"aupro_05": curve.area(limit=LIMIT), "seg_f1": figure.value}


def _of_defects(category: samples.Category, tested: Scored, preprocessing: Preprocessing, outside: float) -> Figures:
    """AU-sPRO of logical and structural anomalies, each beside the good images, and their mean."""
    kinds = {kind.value: kind for kind in category.saturation}
    curves = {LOGICAL: OverlapCurve(), STRUCTURAL: OverlapCurve()}
    for image in full_size.marked(tested.samples, tested.maps, preprocessing, outside):
        defects = _defects(image.sample, image.mask, kinds, preprocessing.max_pixels)
        for kind, curve in curves.items():
            if image.sample.defect in (samples.GOOD, kind):
                curve.add_defects(image.scores, image.mask, defects)
    logical, structural = (curve.area(limit=LIMIT) for curve in curves.values())
    both = None if logical is None or structural is None else (logical + structural) / 2
    return {"auspro_05": both, "auspro_05_logical": logical, "auspro_05_structural": structural}


def _defects(
    sample: samples.Sample, union: Bool[np.ndarray, "H W"], kinds: dict[int, Saturation], max_pixels: int
) -> list[Defect]:
    found = []
    for data in sample.read_defects() if sample.read_mask and sample.read_defects else ():
        name = f"a mask of {sample.path}"
        mask = np.asarray(masks.decode(data, name, max_pixels=max_pixels)) > 0
        with Image.open(io.BytesIO(data)) as image:
            values = {int(value) for value in np.unique(np.asarray(image))} - {0}
        if mask.shape != union.shape or len(values) != 1 or not values <= kinds.keys():
            raise InputError(
                f"{name} is not possible: it has the values {sorted(values)}, expected is one of "
                f"{', '.join(map(str, sorted(kinds)))} as in defects_config.json, at the size of the photograph"
            )
        found.append(Defect(mask, kinds[values.pop()].area(int(mask.sum()))))
    return found


def _of_images(tested: Scored) -> Figures:
    """Image AUROC of logical and structural anomalies, each beside the good images."""
    kinds = np.array([sample.defect for sample in tested.samples])
    figures: Figures = {}
    for name, kind in (("logical", LOGICAL), ("structural", STRUCTURAL)):
        chosen = np.isin(kinds, (samples.GOOD, kind))
        of_kind = metrics.image_metrics(kinds[chosen] == kind, tested.images[chosen])
        figures[f"image_auroc_{name}"] = of_kind["image_auroc"]
    return figures


def _of_objects(tested: Scored) -> float | None:
    """AUROC of objects that several photographs show."""
    labels = np.array([sample.defective for sample in tested.samples])
    _, labels, scores = metrics.worst([sample.group for sample in tested.samples], labels, tested.images)
    return metrics.image_metrics(labels, scores)["image_auroc"]
