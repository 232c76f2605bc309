"""Large images as overlapping tiles: each is encoded by itself, and their features are joined to those of the image."""

import dataclasses
import itertools
import math
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from fastrecon_jax.encoders.registry import Registration
from fastrecon_jax.errors import InputError

HELP = (
    "SIZE,OVERLAP in pixels: images are encoded as square tiles that overlap, whose features are joined, so that an "
    "encoder sees a large image at the size that it was trained at; by default each image is encoded as a whole"
)
Outputs = tuple[Float[Array, "b _ _ _"], ...]


@dataclasses.dataclass(frozen=True)
class Tiling:
    """How images are cut into tiles.

    Attributes:
        size: side of a tile, in pixels.
        overlap: by how much neighbouring tiles overlap at least, in pixels, from 0 to below `size`.
    """

    size: int
    overlap: int

    def starts(self, length: int) -> tuple[int, ...]:
        """Where the tiles along a side begin; the last one ends with the image, and overlaps more for it.

        Args:
            length: the side of the image, in pixels.

        Returns:
            First pixels, rising; 0 alone if one tile is enough.
        """
        last = max(length - self.size, 0)
        return (*range(0, last, self.size - self.overlap), last)


def read(tile: Sequence[int], entry: Registration, stages: Sequence[str]) -> Tiling | None:
    """The tiles that `--tile` asks for.

    Args:
        tile: size and overlap, in pixels, or nothing.
        entry: what is registered of the encoder.
        stages: stages that it gives.

    Returns:
        The tiling; None without tiles.

    Raises:
        InputError: they are no two numbers, or no multiples of the coarsest stage's stride, so that positions of
            neighbouring tiles would lie between each other; or the encoder takes no tiles.
    """
    if not tile:
        return None
    if entry.inside:
        raise InputError(
            f"--tile={','.join(map(str, tile))} is not possible with {entry.name}, which does not pad: the positions "
            "of its tiles would not lie on those of the image"
        )
    unit = math.lcm(entry.multiple, *(entry.stride(stage) for stage in stages))
    whole = len(tile) == 2 and all(number % unit == 0 for number in tile)
    if not whole or not 0 <= tile[1] < tile[0]:
        raise InputError(
            f"--tile={','.join(map(str, tile))} is not allowed: with {entry.name} and these stages it must be "
            f"SIZE,OVERLAP, both multiples of {unit} pixels, the overlap from 0 to less than the size"
        )
    return Tiling(*tile)


def check_images(tiling: Tiling, entry: Registration, stages: Sequence[str], height: int, width: int) -> None:
    """Refuse images that a single tile holds, and those whose tiles would not lie on the positions of the stages.

    Args:
        tiling: tiles.
        entry: what is registered of the encoder.
        stages: stages that it gives.
        height: rows of the images, in pixels.
        width: their columns.

    Raises:
        InputError: they cannot be meant.
    """
    named = f"--tile={tiling.size},{tiling.overlap} is not allowed with images of {width}x{height} pixels"
    if max(height, width) <= tiling.size:
        raise InputError(f"{named}: a single tile holds them; take smaller tiles or larger images")
    unit = math.lcm(*(entry.stride(stage) for stage in stages))
    for side in (height, width):
        if side % unit:
            below = side // unit * unit
            raise InputError(
                f"{named}: their sides must be multiples of {unit}, unlike {side}; the nearest are {below} and "
                f"{below + unit}"
            )


def encode(
    run: Callable[[Float[Array, "b h w 3"]], Outputs], images: Float[Array, "b H W 3"], tiling: Tiling
) -> Outputs:
    """The stages of images from those of their tiles.

    A position's feature comes from the tile in which it lies farthest from the edges, edges of the image aside. Where
    the encoder sees less than half the overlap around a position, the features are those of the whole image.

    Args:
        run: images of a tile's size to their stages.
        images: normalised, (b, H, W, 3), sides in multiples of the stages' strides.
        tiling: size and overlap of the tiles; a side of the image that is shorter than a tile is not divided.

    Returns:
        Stages of the whole images, (b, h_i, w_i, c_i) each.
    """
    b, height, width, channels = images.shape
    rows, columns = tiling.starts(height), tiling.starts(width)
    if len(rows) == len(columns) == 1:
        return run(images)
    tall, wide = min(tiling.size, height), min(tiling.size, width)
    stages = jax.eval_shape(run, jax.ShapeDtypeStruct((b, tall, wide, channels), images.dtype))
    strides = [
        (_stride(stage.shape[1], tall, (*rows, height)), _stride(stage.shape[2], wide, (*columns, width)))
        for stage in stages
    ]
    corners = jnp.asarray(list(itertools.product(rows, columns)))  # (t, 2), in pixels
    # Which positions of a tile each stage takes, (t, 2, 2): first and beyond the last, of rows and of columns.
    kept = [
        jnp.asarray(list(itertools.product(_shares(rows, tall, height, down), _shares(columns, wide, width, across))))
        for down, across in strides
    ]

    def place(joined: Outputs, tile: tuple[Int[Array, "2"], list[Int[Array, "2 2"]]]) -> tuple[Outputs, None]:
        (top, left), shares = tile
        pixels = _window(images, top, left, tall, wide)
        return tuple(map(_with_tile, joined, run(pixels), strides, itertools.repeat((top, left)), shares)), None

    # Tile after tile is written into the features of the image: beside these, memory is that of one tile.
    empty = tuple(
        jnp.zeros((b, height // down, width // across, stage.shape[3]), stage.dtype)
        for stage, (down, across) in zip(stages, strides, strict=True)
    )
    return jax.lax.scan(place, empty, (corners, kept))[0]


def _with_tile(
    joined: Float[Array, "b H W c"],
    stage: Float[Array, "b h w c"],
    strides: tuple[int, int],
    corner: tuple[Int[Array, ""], Int[Array, ""]],
    share: Int[Array, "2 2"],
) -> Float[Array, "b H W c"]:
    """The features of an image with the share that one tile has in them."""
    top, left = (pixel // stride for pixel, stride in zip(corner, strides, strict=True))
    _, h, w, _ = stage.shape
    inside = [
        (jnp.arange(side) >= first) & (jnp.arange(side) < beyond)
        for side, (first, beyond) in zip((h, w), share, strict=True)
    ]
    chosen = (inside[0][:, None] & inside[1][None])[None, :, :, None]
    before = _window(joined, top, left, h, w)
    # A product instead of `where`, whose condition would have to be broadcast to all channels beforehand.
    mixed = stage * chosen.astype(stage.dtype) + before * (~chosen).astype(stage.dtype)
    return jax.lax.dynamic_update_slice(joined, mixed, (0, top, left, 0), allow_negative_indices=False)


def _window(
    x: Float[Array, "b H W c"], top: Int[Array, ""], left: Int[Array, ""], height: int, width: int
) -> Float[Array, "b h w c"]:
    # A negative index would count from the end of a side, which of a symbolic batch has no number.
    sizes = (x.shape[0], height, width, x.shape[3])
    return jax.lax.dynamic_slice(x, (0, top, left, 0), sizes, allow_negative_indices=False)


def _stride(positions: int, size: int, edges: Sequence[int]) -> int:
    """Pixels per position of a tile, whose positions lie on those of the image."""
    stride = size // positions
    if stride * positions != size or any(edge % stride for edge in edges):
        raise ValueError(f"a tile of {size} pixels has {positions} positions: they do not lie on those of the image")
    return stride


def _shares(starts: tuple[int, ...], size: int, length: int, stride: int) -> list[tuple[int, int]]:
    """Which positions of each tile along a side go into the image: first and beyond the last, within the tile."""
    # Between two tiles the border is the middle of their overlap: there a position is as deep in one as in the other.
    # A position i, centred at (i + 1/2) stride, belongs to the first while its centre does not lie beyond that.
    borders = [math.floor((before + size + after) / 2 / stride + 0.5) for before, after in itertools.pairwise(starts)]
    ends = [0, *borders, length // stride]
    return [
        (first - start // stride, beyond - start // stride)
        for start, (first, beyond) in zip(starts, itertools.pairwise(ends), strict=True)
    ]
