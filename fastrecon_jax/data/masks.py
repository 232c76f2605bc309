"""Masks as annotation tools store them: what of one is marked."""

import numpy as np
from jaxtyping import Bool, Num
from PIL import Image

from fastrecon_jax.data import images
from fastrecon_jax.data.images import MAX_PIXELS

_FAINT = 8  # a largest value below this part of the range is a number of a label, not a brightness
_COLOURED = 64  # difference of two channels, of 255, from which a colour is no noise of a JPEG


def decode(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
    """A mask as an 8-bit grey picture, 255 where it marks; InputError as `images.read` raises it.

    Greys mark from half of their range on, so that the noise of a JPEG marks nothing; where the largest value is small,
    such as in masks of 0 and 1, all above zero. Colours mark by their brightest channel, or by being colours. A palette
    stands for its colours. Where the colour is the same everywhere and alpha is not, alpha is the mask.
    """
    image = images.open_upright(data, name, max_pixels=max_pixels)
    with images.named(name):
        return Image.fromarray(_marked(image).astype(np.uint8) * 255)


def share(mask: Image.Image) -> float:
    """The share of a mask from `decode` that is marked, 0 to 1."""
    return mask.histogram()[255] / (mask.width * mask.height)


def _marked(image: Image.Image) -> Bool[np.ndarray, "H W"]:
    if image.mode == "P" and "transparency" in image.info:
        image = image.convert("RGBA")
    if image.mode in ("RGBA", "LA", "PA", "La", "RGBa"):
        image = image.convert("RGBA" if image.mode in ("RGBA", "PA", "RGBa") else "LA")
        alpha = np.asarray(image.getchannel("A"))
        colours = image.getextrema()[:-1]
        if all(low == high for low, high in colours) and alpha.min() != alpha.max():
            return _bright(alpha)
    image = images.without_alpha(image)
    if image.mode not in ("1", "L", "F", "RGB") and not image.mode.startswith("I"):
        image = image.convert("RGB")
    pixels = np.asarray(image)
    if pixels.ndim == 2:
        return _bright(pixels)
    coloured = pixels.max(axis=-1) - pixels.min(axis=-1) >= _COLOURED
    return _bright(pixels.max(axis=-1)) | coloured


def _bright(pixels: Num[np.ndarray, "H W"] | Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """Pixels above half of their range, or of the largest value if that is smaller; all above zero if it is small."""
    if pixels.dtype.kind == "f":
        pixels = np.nan_to_num(pixels)
    largest = float(pixels.max())
    whole = _range(pixels.dtype, largest)
    return pixels > (0 if _FAINT * largest < whole else min(whole, largest) / 2)


def _range(kind: np.dtype, largest: float) -> float:
    """The value that means white."""
    if kind.kind in "bu":
        return {"bool": 1.0, "uint8": 255.0}.get(kind.name, 65535.0)
    return next((whole for whole in (1.0, 255.0, 65535.0) if largest <= whole), largest)
