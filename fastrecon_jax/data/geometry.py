"""From a picture to the pixels that the encoder sees: resizing and cutting."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fastrecon_jax.data.bit_depth import CONTAINER
from fastrecon_jax.data.images import MAX_PIXELS


class Preprocessing(NamedTuple):
    """How a photograph is made fit for the encoder.

    Attributes:
        image_size: side of the square to which it is resized, in pixels.
        crop_size: side of the centre that is kept, at most `image_size`.
        max_pixels: width times height up to which a file is decoded; a small file may claim any size.
        bit_depth: bits that are filled of pixels with more than 8.
    """

    image_size: int
    crop_size: int
    max_pixels: int = MAX_PIXELS
    bit_depth: int = CONTAINER


def preprocess(image: Image.Image, preprocessing: Preprocessing) -> UInt8[np.ndarray, "crop_size crop_size 3"]:
    """Resize an RGB picture to a square with Lanczos' filter, whatever its proportions, and cut out the centre.

    As the published code of FastRecon does it, there to 256 and 224 pixels.
    """
    side = preprocessing.image_size
    # Along the width first, then along the height: Pillow up to 12 does so by itself, Pillow 13 turns the passes round
    # for tall images, and since it rounds to 8 bits between them, other pixels would come out.
    narrowed = image.resize((side, image.height), Image.Resampling.LANCZOS)
    resized = narrowed.resize((side, side), Image.Resampling.LANCZOS)
    return np.asarray(_crop(resized, preprocessing.crop_size))


def preprocess_mask(mask: Image.Image, preprocessing: Preprocessing) -> Bool[np.ndarray, "crop_size crop_size"]:
    """The same for a mask from `masks.decode`, with the nearest neighbour; true for defective pixels."""
    side = preprocessing.image_size
    resized = mask.resize((side, side), Image.Resampling.NEAREST)
    return np.asarray(_crop(resized, preprocessing.crop_size)) > 0


def _crop(image: Image.Image, size: int) -> Image.Image:
    start = round((image.width - size) / 2)
    return image.crop((start, start, start + size, start + size))
