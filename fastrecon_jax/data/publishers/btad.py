"""BTAD, beanTech anomaly detection: three products, with `ok` and `ko` in place of the names of defects."""

import functools

from fastrecon_jax.data import folder
from fastrecon_jax.data.publishers.publisher import Counts, Publisher

_OK = "ok"


PUBLISHER = Publisher(
    name="btad",
    title="BTAD",
    layout="btad.zip, or folders 01, 02 and 03, each with train/ok, test/ok, test/ko and ground_truth/ko",
    homepage="https://avires.dimi.uniud.it/papers/btad/btad.zip",
    licence="CC BY-SA (the archive's README.txt)",
    counts={"01": Counts(400, 21, 49), "02": Counts(399, 30, 200), "03": Counts(1000, 400, 41)},
    archives=("btad*.zip", "btech*.zip", "btad*.tar*"),
    holds=functools.partial(folder.holds, good=_OK),
    open=functools.partial(folder.open_category, good=_OK),
)
