"""Maps of float16 as TIFF, which Pillow does not write."""

import struct
import zlib

import numpy as np
from jaxtyping import Float

_SHORT, _LONG = 3, 4  # types of fields, of 2 and 4 bytes
_DEFLATE, _BLACK_IS_ZERO, _IEEE_FLOAT = 8, 1, 3


def encode(scores: Float[np.ndarray, "H W"]) -> bytes:
    """A map as a little-endian TIFF of one channel and one strip of float16, compressed without loss (deflate).

    References:
        TIFF, Revision 6.0, Adobe 1992; Adobe Photoshop TIFF Technical Notes 2002 (Compression 8).
    """
    height, width = scores.shape
    # Higher levels take twice the time and save 5 %.
    data = zlib.compress(np.ascontiguousarray(scores, "<f2").tobytes(), 1)
    fields = [
        (256, _LONG, width),
        (257, _LONG, height),
        (258, _SHORT, 16),  # bits of a sample
        (259, _SHORT, _DEFLATE),
        (262, _SHORT, _BLACK_IS_ZERO),
        (273, _LONG, 0),  # where the strip begins: filled in below
        (277, _SHORT, 1),  # samples of a pixel
        (278, _LONG, height),  # rows of the strip
        (279, _LONG, len(data)),
        (339, _SHORT, _IEEE_FLOAT),
    ]
    # The head of 8 bytes, the number of fields, 12 bytes for each, the end of the list; then the strip.
    start = 8 + 2 + 12 * len(fields) + 4
    listed = b"".join(
        struct.pack("<HHI", tag, kind, 1) + struct.pack("<I", start if tag == 273 else value)
        for tag, kind, value in fields
    )
    return b"II*\0" + struct.pack("<IH", 8, len(fields)) + listed + struct.pack("<I", 0) + data
