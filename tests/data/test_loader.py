import numpy as np
import pytest

from fastrecon_jax.data import feature_cache, folder, loader, samples
from tests.data.parts import write_category

SIZES = {"image_size": 48, "crop_size": 40}


def test_batches_are_in_order_and_the_last_is_padded(tmp_path):
    category = folder.open_category(write_category(tmp_path, good=4), "part")
    batches = list(loader.batches(category.test, batch_size=3, **SIZES))
    assert [b.count for b in batches] == [3, 3, 1]
    assert all(b.images.shape == (3, 40, 40, 3) for b in batches)
    data = [samples.read(s) for s in category.test]
    images = [samples.load_image(s, d, **SIZES) for s, d in zip(category.test, data, strict=True)]
    masks = [samples.load_mask(s, d, **SIZES) for s, d in zip(category.test, data, strict=True)]
    np.testing.assert_array_equal(np.concatenate([b.images[: b.count] for b in batches]), images)
    np.testing.assert_array_equal(np.concatenate([b.masks for b in batches]), masks)
    np.testing.assert_array_equal(batches[-1].images[1:], batches[-1].images[:1].repeat(2, 0))


def test_cached_images_are_not_decoded_and_merge_in_order(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    cache = feature_cache.open_cache(tmp_path / "cache", {"encoder": "x"})
    known = [0, 3, 4]
    for i in known:
        stages = [np.full((2, 2, 1), i, np.float32)]
        feature_cache.write(cache, feature_cache.key(cache, samples.read(category.test[i])), stages)
    first, second = loader.batches(category.test, batch_size=4, cache=cache, **SIZES)
    assert [[c is not None for c in b.cached] for b in (first, second)] == [[True, False, False, True], [True, False]]
    np.testing.assert_array_equal(
        first.images[0], samples.load_image(category.test[1], samples.read(category.test[1]), **SIZES)
    )
    encoded = [np.stack([np.full((2, 2, 1), value, np.float32) for value in (10, 20, 20, 20)])]
    assert loader.merge(first, encoded, 4)[0][:, 0, 0, 0].tolist() == [0, 10, 20, 3]
    assert loader.merge(second, encoded, 4)[0][:, 0, 0, 0].tolist() == [4, 10, 10, 10]


def test_a_batch_that_is_cached_whole_has_no_images(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    cache = feature_cache.open_cache(tmp_path / "cache", {})
    for sample in category.train:
        feature_cache.write(cache, feature_cache.key(cache, samples.read(sample)), [np.ones((2, 2, 1), np.float32)])
    (batch,) = loader.batches(category.train, batch_size=4, cache=cache, **SIZES)
    assert batch.images is None
    assert loader.merge(batch, (), 4)[0].shape == (4, 2, 2, 1)


def test_a_damaged_file_is_named(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    file = tmp_path / "part/test/good/001.png"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"test/good/001.png cannot be decoded, it is damaged"):
        list(loader.batches(category.test, batch_size=2, **SIZES))
