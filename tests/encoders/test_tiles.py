"""Overlapping tiles: their joined features are those of the whole image, with no seam."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from fastrecon_jax import encoders
from fastrecon_jax.encoders import tiles
from fastrecon_jax.errors import InputError
from tests.encoders import tiny_transformer
from tests.exporting import small_encoder
from tests.helpers import assert_close

assert small_encoder.build and tiny_transformer.build
STAGES = ("fine", "middle")  # strides 4 and 8: 20 pixels around a position are all that they see
TILE = (96, 48)


@functools.cache
def small():
    return encoders.create("small", stages=STAGES, weights="random")


def tiled(height, width, tile=TILE):
    return encoders.tiled(small(), tile, height=height, width=width)


def picture(height, width, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (2, height, width, 3), dtype=np.uint8)


run = jax.jit(lambda encoder, images: encoder(images))


@pytest.mark.parametrize(("height", "width"), [(96, 200), (160, 144), (248, 96), (64, 208), (200, 232)])
def test_joined_features_are_those_of_the_whole_image(height, width):
    images = picture(height, width)
    for joined, whole in zip(run(tiled(height, width), images), run(small(), images), strict=True):
        assert_close(joined, whole, 1e-5)


def test_a_constant_image_has_no_seam():
    images = np.full((1, 192, 240, 3), 90, np.uint8)
    for joined, whole in zip(run(tiled(192, 240), images), run(small(), images), strict=True):
        assert_close(joined, whole, 1e-5)
        # Apart from the frame, in which the encoder sees its own padding, all features are the same.
        inner = np.asarray(joined)[:, 6:-6, 6:-6]
        assert_close(inner, np.broadcast_to(inner[:, :1, :1], inner.shape), 1e-5)


@pytest.mark.parametrize("shift", [8, 16, 40])
def test_an_image_shifted_by_strides_has_shifted_features(shift):
    large = picture(240, 240)
    first, second = (run(tiled(192, 192), large[:, s : s + 192, s : s + 192]) for s in (0, shift))
    for a, b, stride in zip(first, second, (4, 8), strict=True):
        frame, by = math.ceil(24 / stride), shift // stride
        kept = slice(frame, 192 // stride - frame - by)
        moved = slice(frame + by, 192 // stride - frame)
        assert_close(np.asarray(b)[:, kept, kept], np.asarray(a)[:, moved, moved], 1e-5)


def test_each_feature_is_that_of_the_tile_in_which_it_lies_deepest():
    """Tiles of 8 positions that begin at 0, 4 and 7: borders at the middle of what two share."""
    tiling = tiles.Tiling(32, 16)
    assert tiling.starts(60) == (0, 16, 28)

    def numbers(part):
        return (jnp.broadcast_to(part[:, ::4, ::4, :1], (1, 8, 8, 1)),)

    # Each pixel holds its own column: a tile's features are those of its columns, so that all tiles agree.
    columns = np.broadcast_to(np.arange(60.0)[None, None, :, None], (1, 60, 60, 3)).astype(np.float32)
    (joined,) = tiles.encode(numbers, jnp.asarray(columns), tiling)
    np.testing.assert_array_equal(joined[0, :, :, 0], columns[0, ::4, ::4, 0])

    def depths(part):
        """How deep each position lies in its tile along the columns."""
        near = np.minimum(np.arange(8), np.arange(8)[::-1]) + 0.5
        return (jnp.broadcast_to(jnp.asarray(near)[None, None, :, None], (part.shape[0], 8, 8, 1)).astype(jnp.float32),)

    (joined,) = tiles.encode(depths, jnp.asarray(columns), tiling)
    position = np.arange(15)
    deepest = np.max(
        [
            np.where((position >= s) & (position < s + 8), np.minimum(position - s, s + 7 - position) + 0.5, 0)
            for s in (0, 4, 7)
        ],
        axis=0,
    )
    inner = slice(4, 11)  # edges of the image are no edges of a tile, so that its own first and last positions differ
    np.testing.assert_array_equal(joined[0, 0, inner, 0], deepest[inner])


def test_a_transformer_sees_tiles_of_its_own_size():
    whole = encoders.create("tiny_transformer", stages=("block1", "block3"), weights="random")
    side, overlap, length = 35, 21, 63
    encoder = encoders.tiled(whole, (side, overlap), height=length, width=side)
    images = picture(length, side)
    of_tiles = [run(whole, images[:, start : start + side]) for start in (0, 14, 28)]
    for i, joined in enumerate(run(encoder, images)):
        # Positions 0 to 3 of the first tile, 2 and 3 of the second, 2 to 4 of the third: 9 in all.
        expected = np.concatenate([of_tiles[0][i][:, :4], of_tiles[1][i][:, 2:4], of_tiles[2][i][:, 2:]], axis=1)
        assert_close(joined, expected, 1e-5)


def temporary(encoder, side):
    """Bytes that the program needs beside its arguments and results."""
    images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
    return run.lower(encoder, images).compile().memory_analysis().temp_size_in_bytes


def test_memory_does_not_grow_with_the_image_beyond_its_features():
    def kept(side):  # the features, and the normalised image
        images = jax.ShapeDtypeStruct((1, side, side, 3), jnp.uint8)
        return 4 * (3 * side**2 + sum(math.prod(stage.shape) for stage in jax.eval_shape(small(), images)))

    growth = temporary(tiled(960, 960), 960) - temporary(tiled(480, 480), 480)
    assert growth <= 1.5 * (kept(960) - kept(480))


def test_gradients_pass_through_tiles():
    images = jnp.asarray(picture(96, 144), jnp.float32)
    loss = lambda encoder: jax.grad(lambda x: sum(jnp.square(stage).mean() for stage in encoder(x)))(images)  # noqa: E731
    assert_close(jax.jit(loss)(tiled(96, 144)), jax.jit(loss)(small()), 1e-4)


def test_nothing_else_changes():
    assert encoders.tiled(small(), (), height=64, width=64).tiling is None
    assert encoders.tiled(tiled(96, 144), (), height=64, width=64) == dataclasses.replace(small(), tiling=None)
    assert encoders.single_operations(tiled(96, 144)).tiling == tiles.Tiling(*TILE)


@pytest.mark.parametrize(
    ("tile", "size", "message"),
    [
        ((96,), (192, 192), "--tile=96 is not allowed: with small and these stages it must be SIZE,OVERLAP"),
        ((100, 48), (192, 192), "both multiples of 8 pixels"),
        ((96, 44), (192, 192), "both multiples of 8 pixels"),
        ((96, 96), (192, 192), "the overlap from 0 to less than the size"),
        ((96, -8), (192, 192), "the overlap from 0 to less than the size"),
        ((96, 48), (96, 64), "images of 64x96 pixels: a single tile holds them; take smaller tiles or larger images"),
        ((96, 48), (192, 100), "multiples of 8, unlike 100; the nearest are 96 and 104"),
    ],
)
def test_what_cannot_be_meant(tile, size, message):
    with pytest.raises(InputError, match=message):
        tiled(*size, tile=tile)
