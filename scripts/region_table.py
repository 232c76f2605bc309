"""How well the regions of an inspection fit the masks of the defects.

    python scripts/region_table.py --data_dir=DATA --category=bottle --shots=4,8 --outlines=extent,0.3,0.4,0.5

For each category, number of good images and random draw a part is fitted as `python -m fastrecon_jax.fit` does it. A
defect is a connected part of a mask. The table tells, for each rule of where regions end: the share of defects that a
region touches, in percent; the area of the best box of a defect as a multiple of that of the box around the mask, in
the median of those that are touched; the intersection over union of the two boxes, in the median of all defects, with 0
for those that are not touched, and of those that are; the same of the pixels of region and mask; boxes on a good image.
"""

import functools
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import as_fitted
import numpy as np
from absl import flags
from jaxtyping import Bool, Float
from scipy import ndimage
from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line import flags as command_line
from fastrecon_jax.data import datasets, samples, support
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation import tables
from fastrecon_jax.parts import fitting, held_out, inspector, regions
from fastrecon_jax.parts.engine import Engine
from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo

_DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, or all")
_SHOTS = flags.DEFINE_list("shots", ["4", "8"], "numbers of good images, each at least 2")
_OUTLINES = flags.DEFINE_list(
    "outlines",
    [str(regions.OUTLINE)],
    "where regions end: shares of the way from good maps to their peak, above 0 and below 1, or extent for the value "
    "that 99.9 % of the pixels of held-out good maps stay below",
)
_RATE = flags.DEFINE_float("target_fpr", 0.05, "false-positive rate asked for, above 0 and below 1")
_DRAWS = flags.DEFINE_integer("draws", 3, "random draws of the good images", lower_bound=1)
_METHOD = flags.DEFINE_string("method", "fastrecon+", "method")
_ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "weights of the encoder; by default its pretrained ones")
_JSON = flags.DEFINE_string("json", "", "file for the figures as records, beside the table")

EXTENT, _QUANTILE = "extent", 0.999
SMALLEST = 10  # pixels of the map; smaller connected parts of a mask are not counted
_SIDES = np.ones((3, 3), bool)

Mask = Bool[np.ndarray, "H W"]
Rule = Callable[..., list[Mask]]


class Fit(NamedTuple):
    """How a region fits a defect: of all regions on the picture the one with the best box.

    Attributes:
        touched: whether any region has a pixel of the defect.
        area: area of its box, as a multiple of that of the defect's.
        boxes: intersection over union of the boxes; 0 where none touches the defect.
        pixels: intersection over union of region and defect, likewise.
    """

    touched: bool
    area: float
    boxes: float
    pixels: float


def fits(found: list[Mask], mask: Mask) -> list[Fit]:
    """One for each connected part of a mask, of at least `SMALLEST` pixels."""
    labels, count = ndimage.label(mask, _SIDES)
    defects = [labels == number for number in range(1, count + 1)]
    return [_fit(found, defect) for defect in defects if defect.sum() >= SMALLEST]


def _fit(found: list[Mask], defect: Mask) -> Fit:
    touching = [region for region in found if (region & defect).any()]
    if not touching:
        return Fit(False, 0.0, 0.0, 0.0)
    around = _filled_box(defect)
    best = max(touching, key=lambda region: overlap(_filled_box(region), around))
    box = _filled_box(best)
    return Fit(True, box.sum() / around.sum(), overlap(box, around), overlap(best, defect))


def overlap(one: Mask, other: Mask) -> float:
    """Intersection over union."""
    return float((one & other).sum() / (one | other).sum())


def _filled_box(region: Mask) -> Mask:
    box = np.zeros_like(region)
    box[ndimage.find_objects(region.astype(np.uint8))[0]] = True
    return box


def measure(
    part: Part, rule: Rule, scores: Float[np.ndarray, " n"], maps: Float[np.ndarray, "n H W"], masks: list[Mask]
) -> tuple[list[Fit], list[int]]:
    """The fits of all defects, and the number of boxes on each good image, whose mask is empty."""
    limits, of_defects, of_good = part.limits, [], []
    for score, anomaly_map, mask in zip(scores, maps, masks, strict=True):
        found = rule(anomaly_map, seed=limits.seed, floor=limits.floor, force=score > limits.threshold)
        if mask.any():
            of_defects += fits(found, mask)
        else:
            of_good.append(len(found))
    return of_defects, of_good


def record(found: list[Fit], on_good: list[int]) -> dict[str, float]:
    """The figures of the table."""
    touched = [fit for fit in found if fit.touched] or [Fit(False, 0.0, 0.0, 0.0)]
    return {
        "defects": len(found),
        "touched": 100 * float(np.mean([fit.touched for fit in found])),
        "area": float(np.median([fit.area for fit in touched])),
        "boxes": float(np.median([fit.boxes for fit in found])),
        "boxes_touched": float(np.median([fit.boxes for fit in touched])),
        "pixels": float(np.median([fit.pixels for fit in found])),
        "pixels_touched": float(np.median([fit.pixels for fit in touched])),
        "on_good": float(np.mean(on_good)),
    }


def _rules(names: list[str], extent: float) -> dict[str, Rule]:
    return {
        name: functools.partial(regions.masks, **({"extent": extent} if name == EXTENT else {"outline": float(name)}))
        for name in names
    }


def _extent(engine: Engine, part: Part, photos: list[Photo]) -> float:
    """Where regions of older parts end."""
    changed = fitting.encode_copies(engine, np.stack([photo.pixels for photo in photos]))
    return float(np.quantile(held_out.inspect(engine, part.state, part.stages, changed).inspection.map, _QUANTILE))


def _check(names: list[str]) -> None:
    try:
        right = all(name == EXTENT or 0 < float(name) < 1 for name in names)
    except ValueError:
        right = False
    if not right:
        raise InputError(f"--outlines={','.join(names)} is not allowed: numbers above 0 and below 1, or {EXTENT}")


def _category(dataset: datasets.Dataset, name: str, shots: list[int]) -> list[dict[str, object]]:
    """The records of one category."""
    category = dataset.open_category(name)
    samples.check(category, shots=max(shots))
    if not category.has_masks:
        raise InputError(f"category {name} has no masks")
    engine = as_fitted.open_category_engine(
        category, method=_METHOD.value, encoder=_ENCODER.value, weights=_WEIGHTS.value
    )
    test = [as_fitted.load(sample, engine) for sample in category.test]
    masks = [
        samples.load_mask(sample, (photo.width, photo.height), engine.recipe.preprocessing)
        for sample, photo in zip(category.test, test, strict=True)
    ]
    pixels, records = np.stack([photo.pixels for photo in test]), []
    for k in shots:
        names = [sample.name for sample in category.train]
        draws = support.draws(dataset.name, name, names, shots=k, support=support.RANDOM, seeds=range(_DRAWS.value))
        found: dict[str, tuple[list[Fit], list[int]]] = {rule: ([], []) for rule in _OUTLINES.value}
        for draw in tqdm(draws, desc=f"{name} {k}", disable=None, leave=False):
            chosen = [as_fitted.load(category.train[i], engine) for i in draw.indices]
            part = fitting.fit(engine, chosen, name="part", rate=_RATE.value).part
            scores, maps = inspector.score(inspector.create(part, engine), pixels)
            for rule, masks_of in _rules(_OUTLINES.value, _extent(engine, part, chosen)).items():
                for sums, some in zip(found[rule], measure(part, masks_of, scores, maps, masks), strict=True):
                    sums.extend(some)
        records += [{"part": name, "shots": k, "ends": rule, **record(*some)} for rule, some in found.items()]
    return records


def main() -> None:
    """Measure and print the table."""
    try:
        shots = [int(k) for k in _SHOTS.value]
    except ValueError:
        raise InputError("--shots takes whole numbers with commas between them") from None
    if min(shots) < 2 or not 0 < _RATE.value < 1:
        raise InputError("--shots must be at least 2, --target_fpr above 0 and below 1")
    _check(_OUTLINES.value)
    dataset = datasets.open_dataset(_DATASET.value, _DATA_DIR.value)
    records = [
        one for name in datasets.select(dataset, tuple(_CATEGORY.value)) for one in _category(dataset, name, shots)
    ]
    rows = [[f"{x:.2f}" if isinstance(x, float) else str(x) for x in one.values()] for one in records]
    about = f"{_METHOD.value}, {_ENCODER.value}, {_DRAWS.value} draws"
    sys.stdout.write(f"{about}\n\n{tables.markdown([list(records[0]), *rows])}")
    if _JSON.value:
        files.write(Path(_JSON.value), json.dumps(records, indent=1).encode())


if __name__ == "__main__":
    command_line.run(main)
