"""TDG's transformations: mirrored, shifted, turned by quarters, grey; and how maps of them are brought back."""

import itertools
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

SHIFT = 0.15  # of the side
GREY = (0.299, 0.587, 0.114)  # weights of red, green and blue, ITU-R BT.601


class Transformation(NamedTuple):
    """What is done to an image, in this order.

    Attributes:
        flip: mirrored left to right.
        across: direction of the shift to the right: -1, 0 or 1.
        down: likewise downwards.
        quarters: quarter turns against the clock, 0 to 3.
        grey: without colour.
    """

    flip: bool = False
    across: int = 0
    down: int = 0
    quarters: int = 0
    grey: bool = False


def _listed() -> dict[int, tuple[Transformation, ...]]:
    flips = (False, True)
    rotations = tuple(Transformation(quarters=quarters) for quarters in range(4))
    small = tuple(Transformation(f, x, 0, q) for f, x, q in itertools.product(flips, (0, 1), range(4)))
    shifts = [Transformation(f, x, y, q) for f, x, y, q in itertools.product(flips, (0, 1), (0, 1), range(4))]
    shifts += [Transformation(f, x, -1) for f, x in itertools.product(flips, (-1, 0, 1))]
    shifts += [Transformation(f, -1, y) for f, y in itertools.product(flips, (0, 1))]
    grey = [Transformation(f, quarters=q, grey=True) for f, q in itertools.product(flips, range(4))]
    grey += [Transformation(across=x, down=y, grey=True) for x, y in ((-1, 0), (1, 0), (0, -1), (0, 1))]
    return {4: rotations, 16: small, 42: tuple(shifts), 54: (*shifts, *grey)}


# By their number M: quarter turns alone; those of the small preset; the authors' for grey photographs; all of theirs.
LISTS = _listed()


def distance(side: int) -> int:
    """By how many pixels images are shifted.

    Args:
        side: side of the images, in pixels.

    Returns:
        15 % of it, rounded, at least 1.
    """
    return max(1, round(SHIFT * side))


def transformed(images: Float[Array, "b s s c"], listed: tuple[Transformation, ...]) -> Float[Array, "M b s s c"]:
    """All transformations of images; what moves into the frame is the mirror image of what is there.

    Args:
        images: square images, (b, s, s, c), c = 3 where a transformation is grey.
        listed: M transformations.

    Returns:
        The images, (M, b, s, s, c).

    References:
        Sheynin et al., A hierarchical transformation-discriminating generative model for few shot anomaly detection,
        ICCV 2021 (arXiv 2104.14535), section 3.
    """
    step = distance(images.shape[1])
    moved = {}  # each mirrored and shifted image once, whatever its turns
    for flip, across, down in dict.fromkeys(transformation[:3] for transformation in listed):
        mirrored = images[:, :, ::-1] if flip else images
        moved[flip, across, down] = _shifted(mirrored, down * step, across * step, "reflect")
    return jnp.stack([_coloured(jnp.rot90(moved[t[:3]], t.quarters, (1, 2)), grey=t.grey) for t in listed])


def brought_back(
    maps: Float[Array, "M h w"], listed: tuple[Transformation, ...], shift: int
) -> tuple[Float[Array, "M h w"], Float[Array, "M h w"]]:
    """Maps of transformed images, in the frame of the image.

    Args:
        maps: square maps of the transformed images, (M, h, h), about their centre.
        listed: the M transformations.
        shift: by how many positions the images were shifted, see `distance`.

    Returns:
        The maps with the transformations undone, (M, h, h), and 1 where they are defined, 0 where a shift moved the
        position out of the frame; there the maps are 0, too.
    """
    whole = jnp.ones(maps.shape[1:])
    back = [_undone(values, t, shift) for values, t in zip(maps, listed, strict=True)]
    return jnp.stack(back), jnp.stack([_undone(whole, t, shift) for t in listed])


def _undone(values: Float[Array, "h w"], transformation: Transformation, shift: int) -> Float[Array, "h w"]:
    turned = jnp.rot90(values, -transformation.quarters)[None]
    moved = _shifted(turned, -transformation.down * shift, -transformation.across * shift, "constant")[0]
    return moved[:, ::-1] if transformation.flip else moved


def _shifted(x: Float[Array, "b h w *c"], down: int, across: int, mode: str) -> Float[Array, "b h w *c"]:
    """Moved downwards and to the right; no scatter stands in its gradient, so that this adds in one order."""
    _, h, w, *rest = x.shape
    if mode == "constant" and (abs(down) >= h or abs(across) >= w):
        return jnp.zeros_like(x)
    pads = [(0, 0), (abs(down), abs(down)), (abs(across), abs(across)), *[(0, 0)] * len(rest)]
    top, left = abs(down) - down, abs(across) - across
    return jnp.pad(x, pads, mode)[:, top : top + h, left : left + w]


def _coloured(x: Float[Array, "b h w c"], *, grey: bool) -> Float[Array, "b h w c"]:
    if not grey:
        return x
    luminance = sum(weight * x[..., i] for i, weight in enumerate(GREY))
    return jnp.stack([luminance] * len(GREY), axis=-1)
