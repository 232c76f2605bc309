"""Damaged pictures of all formats: read or refused, and nothing else."""

import numpy as np


def test_damaged_pictures_are_read_or_refused(load):
    script = load("fuzz_images")
    outcome = script.run(2500, seed=1)
    assert not outcome.uncaught, outcome.uncaught[0][1]
    assert {"PNG", "JPEG", "TIFF", "WEBP", "GIF", "PPM", "BMP"} <= outcome.read.keys()
    assert set(outcome.refused) > {"EPS", "PDF", "AVIF", "QOI", "DDS", "BLP"}
    assert not {"EPS", "PDF", "AVIF", "QOI", "DDS", "BLP"} & set(outcome.read)


def test_the_damages_are_those_of_the_seed(load):
    script = load("fuzz_images")
    first, again, other = (
        [data for kind, data in script.mutations(40, seed) if kind not in ("PDF", "EPS")]  # they hold the time
        for seed in (3, 3, 4)
    )
    assert first == again != other
    assert all(script.damaged(b"", np.random.default_rng(i)) is not None for i in range(20))


def test_what_raises_is_found(load, monkeypatch):
    def fail(data, name):
        raise ValueError("a surprise")

    script = load("fuzz_images")
    monkeypatch.setattr(script, "_READERS", (fail,))
    assert len(script.run(5).uncaught) == 5
