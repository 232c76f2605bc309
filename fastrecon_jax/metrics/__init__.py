"""How well scores separate anomalous from normal: exact metrics of images, pixels, regions and whole objects."""

from fastrecon_jax.metrics.counted import Defect, OverlapCurve
from fastrecon_jax.metrics.pooled import PooledF1, f1, worst
from fastrecon_jax.metrics.ranking import (
    Ranking,
    aupro,
    auroc,
    average_precision,
    f1_max,
    image_metrics,
    pixel_metrics,
    rank,
    region_weights,
)

__all__ = [
    "Defect",
    "OverlapCurve",
    "PooledF1",
    "Ranking",
    "aupro",
    "auroc",
    "average_precision",
    "f1",
    "f1_max",
    "image_metrics",
    "pixel_metrics",
    "rank",
    "region_weights",
    "worst",
]
