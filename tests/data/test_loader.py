import numpy as np
import pytest
from PIL import Image

from fastrecon_jax.data import feature_cache, folder, loader, samples
from fastrecon_jax.data.geometry import Preprocessing
from tests.data.parts import write_category

SIZES = Preprocessing(48, 40)


def picture(sample):
    return samples.load_image(sample, samples.read(sample), SIZES)


def keep(cache, sample, value):
    stages = (np.full((2, 2, 1), value, np.float32),)
    entry = feature_cache.Entry(stages, picture(sample).size)
    feature_cache.write(cache, feature_cache.key(cache, samples.read(sample)), entry)


def test_batches_are_in_order_and_the_last_is_padded(tmp_path):
    category = folder.open_category(write_category(tmp_path, good=4), "part")
    batches = list(loader.batches(category.test, SIZES, batch_size=3))
    assert [b.count for b in batches] == [3, 3, 1]
    assert all(b.images.shape == (3, 40, 40, 3) for b in batches)
    pictures = [picture(s) for s in category.test]
    images = [p.pixels for p in pictures]
    masks = [samples.load_mask(s, p.size, SIZES) for s, p in zip(category.test, pictures, strict=True)]
    np.testing.assert_array_equal(np.concatenate([b.images[: b.count] for b in batches]), images)
    np.testing.assert_array_equal(np.concatenate([b.masks for b in batches]), masks)
    np.testing.assert_array_equal(batches[-1].images[1:], batches[-1].images[:1].repeat(2, 0))


def test_cached_images_are_not_decoded_and_merge_in_order(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    cache = feature_cache.open_cache(tmp_path / "cache", {"encoder": "x"})
    known = [0, 3, 4]
    for i in known:
        keep(cache, category.test[i], i)
    first, second = loader.batches(category.test, SIZES, batch_size=4, cache=cache)
    assert [[c is not None for c in b.cached] for b in (first, second)] == [[True, False, False, True], [True, False]]
    np.testing.assert_array_equal(first.images[0], picture(category.test[1]).pixels)
    encoded = [np.stack([np.full((2, 2, 1), value, np.float32) for value in (10, 20, 20, 20)])]
    assert loader.merge(first, encoded, 4)[0][:, 0, 0, 0].tolist() == [0, 10, 20, 3]
    assert loader.merge(second, encoded, 4)[0][:, 0, 0, 0].tolist() == [4, 10, 10, 10]


def test_a_batch_that_is_cached_whole_has_no_images(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    cache = feature_cache.open_cache(tmp_path / "cache", {})
    for sample in category.train:
        keep(cache, sample, 1)
    (batch,) = loader.batches(category.train, SIZES, batch_size=4, cache=cache)
    assert batch.images is None
    assert loader.merge(batch, (), 4)[0].shape == (4, 2, 2, 1)


def test_the_mask_of_a_cached_image_is_checked_against_its_size(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    cache = feature_cache.open_cache(tmp_path / "cache", {})
    keep(cache, category.test[3], 1)
    Image.fromarray(np.zeros((8, 9), np.uint8)).save(tmp_path / "part/ground_truth/scratch/000_mask.png")
    with pytest.raises(ValueError, match="is 9x8, it must be of the image's size, 48x48"):
        list(loader.batches(category.test[3:4], SIZES, batch_size=1, cache=cache))


def test_a_damaged_file_is_named(tmp_path):
    category = folder.open_category(write_category(tmp_path), "part")
    file = tmp_path / "part/test/good/001.png"
    file.write_bytes(file.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"test/good/001.png cannot be decoded, it is damaged"):
        list(loader.batches(category.test, SIZES, batch_size=2))
