import numpy as np
import pytest

from fastrecon_jax.data import synthetic


def photo(seed, size=(96, 96)):
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[: size[0], : size[1]]
    waves = 120 + 60 * np.sin(rows / 7)[..., None] * np.cos(columns / 11)[..., None] + rng.normal(0, 4, (*size, 3))
    return np.clip(waves, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("size", [(96, 96), (64, 128), (32, 32)])
def test_each_copy_differs_in_a_small_place(size):
    image = photo(0, size)
    copies = synthetic.defective_copies(image)
    assert copies.shape == (4, *size, 3)
    assert copies.dtype == np.uint8
    for copy in copies:
        changed = (copy != image).any(-1)
        assert 0.001 < changed.mean() < 0.2
        assert np.abs(copy.astype(int) - image).max() > 10


def test_an_image_has_the_same_copies_everywhere_and_another_image_others():
    once, again, other = (synthetic.defective_copies(photo(seed)) for seed in (0, 0, 1))
    assert np.array_equal(once, again)
    places = [(copies != photo(seed)[None]).any(-1) for copies, seed in ((once, 0), (other, 1))]
    assert not np.array_equal(*places)
