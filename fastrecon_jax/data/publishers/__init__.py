"""Published data sets: what each of them is, and how its folder or archive is read."""

from fastrecon_jax.data.publishers import (
    btad,
    demo,
    elpv,
    kolektor_sdd,
    magnetic_tile,
    mpdd,
    mvtec_ad,
    mvtec_ad_2,
    mvtec_loco,
    real_iad,
    visa,
)
from fastrecon_jax.data.publishers.publisher import (
    Counts,
    Publisher,
    check_complete,
    counts,
    find,
    open_category,
)

PUBLISHERS = {
    publisher.name: publisher
    for publisher in (
        mvtec_ad.PUBLISHER,
        mvtec_ad_2.PUBLISHER,
        mvtec_loco.PUBLISHER,
        mpdd.PUBLISHER,
        visa.PUBLISHER,
        real_iad.PUBLISHER,
        real_iad.SINGLE_VIEW,
        btad.PUBLISHER,
        kolektor_sdd.PUBLISHER,
        magnetic_tile.PUBLISHER,
        elpv.PUBLISHER,
        demo.PUBLISHER,
    )
}

__all__ = ["PUBLISHERS", "Counts", "Publisher", "check_complete", "counts", "find", "open_category"]
