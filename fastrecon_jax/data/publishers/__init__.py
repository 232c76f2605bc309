"""Published data sets: what each of them is, and how its folder or archive is read."""

from fastrecon_jax.data.publishers import btad, demo, elpv, kolektor_sdd, magnetic_tile, mpdd, mvtec_ad, visa
from fastrecon_jax.data.publishers.publisher import (
    Counts,
    Publisher,
    check_complete,
    counts,
    find,
    open_category,
)

PUBLISHERS = {
    module.PUBLISHER.name: module.PUBLISHER
    for module in (mvtec_ad, mpdd, visa, btad, kolektor_sdd, magnetic_tile, elpv, demo)
}

__all__ = ["PUBLISHERS", "Counts", "Publisher", "check_complete", "counts", "find", "open_category"]
