"""The peak memory that an evaluation records."""

import numpy as np

from fastrecon_jax.runtime import memory


def test_the_peak_holds_what_was_there_at_some_time():
    before = memory.peak()["resident"]
    held = np.ones(8_000_000)  # touched, so that it is resident
    size = held.nbytes
    del held
    after = memory.peak()
    assert after["resident"] >= max(before, size)
    assert after.keys() <= {"resident", "device"} and all(type(value) is int for value in after.values())
