import numpy as np
import pytest

from fastrecon_jax.data import folder, loader, samples
from tests.data.parts import write_category

SIZES = {"image_size": 48, "crop_size": 40}


def test_batches_are_in_order_and_the_last_is_padded(tmp_path):
    category = folder.open_category(write_category(tmp_path, good=4), "part")
    batches = list(loader.batches(category.test, batch_size=3, **SIZES))
    assert [b.count for b in batches] == [3, 3, 1]
    assert all(b.images.shape == (3, 40, 40, 3) for b in batches)
    expected = [samples.load(s, **SIZES) for s in category.test]
    np.testing.assert_array_equal(np.concatenate([b.images[: b.count] for b in batches]), [p.image for p in expected])
    np.testing.assert_array_equal(np.concatenate([b.masks for b in batches]), [p.mask for p in expected])
    np.testing.assert_array_equal(batches[-1].images[1:], batches[-1].images[:1].repeat(2, 0))


def test_a_damaged_file_is_named(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    file = tmp_path / "part/test/good/001.png"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"test/good/001.png cannot be decoded, it is damaged"):
        list(loader.batches(category.test, batch_size=2, **SIZES))
