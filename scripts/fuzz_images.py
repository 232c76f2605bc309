"""Damages pictures of every format that Pillow writes, and reads them: each must be read or refused, nothing else.

    python scripts/fuzz_images.py --mutations=20000

prints how many were read and refused, and how long the slowest took; exits with 1 if anything but an InputError was
raised, and leaves what raised it in --output_dir. Files named as pictures come with any contents: so formats that are
not read are tried, too.
"""

import collections
import io
import itertools
import sys
import tempfile
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from absl import flags
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from fastrecon_jax.command_line import flags as command_line  # noqa: E402
from fastrecon_jax.data import images, masks  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402

_MUTATIONS = flags.DEFINE_integer("mutations", 20_000, "number of damaged files", lower_bound=1)
_SEED = flags.DEFINE_integer("seed", 0, "seed of the damages")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "", "where files go that raise; by default a temporary directory")

_PIXELS = 1_000_000  # a damaged size must not fill the memory
_SIDES = (37, 29)
_MODES = ("1", "L", "P", "RGB", "RGBA", "LA", "CMYK", "I;16", "I", "F", "YCbCr", "LAB")
# Pillow's own memory is damaged by TIFFs that compress other modes so.
_COMPRESSED_MODES = {"jpeg": ("L", "RGB"), "group4": ("1",)}
_OPTIONS: tuple[tuple[str, dict], ...] = (
    *(("TIFF", {"compression": name}) for name in ("tiff_lzw", "tiff_adobe_deflate", "jpeg", "packbits", "group4")),
    *(("JPEG", {"progressive": True}), ("JPEG", {"quality": 30, "subsampling": 2})),
    *(("WEBP", {"lossless": True}), ("PNG", {"interlace": 1}), ("JPEG", {"exif": True}), ("WEBP", {"exif": True})),
    *(("PNG", {"exif": True}), ("TIFF", {"exif": True})),
    *((kind, {"save_all": True, "pages": 3}) for kind in ("TIFF", "GIF", "WEBP", "PNG", "MPO")),
)
# What a line calls for one file: sizes and depths of the good images, photographs, and masks of an evaluation.
_READERS: tuple[Callable[[bytes, str], object], ...] = (
    lambda data, name: images.read(data, name, max_pixels=_PIXELS),
    lambda data, name: images.read(data, name, max_pixels=_PIXELS, depth=12),
    lambda data, name: images.peak(data, name, max_pixels=_PIXELS),
    lambda data, name: images.size(data, name, max_pixels=_PIXELS),
    lambda data, name: masks.decode(data, name, max_pixels=_PIXELS),
)


class Outcome(NamedTuple):
    """What came of the damaged files.

    Attributes:
        read: how many could be read, by the format of the undamaged file.
        refused: how many could not.
        uncaught: damaged files with the traceback of what they raised.
        slowest: seconds that the slowest took, in all readers.
    """

    read: collections.Counter
    refused: collections.Counter
    uncaught: list[tuple[bytes, str]]
    slowest: float


def originals() -> list[tuple[str, bytes]]:
    """Encoded pictures of every format that Pillow writes here, in all its modes, and some of their variants."""
    Image.init()
    plain = [(kind, {}) for kind in sorted(Image.SAVE)]
    encoded = [
        (kind, data)
        for (kind, options), mode in itertools.product([*plain, *_OPTIONS], _MODES)
        if (data := _encoded(kind, mode, dict(options)))
    ]
    return list(dict.fromkeys(encoded))


def _encoded(kind: str, mode: str, options: dict) -> bytes:
    """A picture in a format and mode; empty where Pillow does not write it."""
    picture = _picture(mode)
    if mode not in _COMPRESSED_MODES.get(options.get("compression", ""), _MODES):
        return b""
    if options.pop("exif", False):
        exif = Image.Exif()
        exif[0x0112], exif[0x010F] = 6, "camera"
        options["exif"] = exif
    if pages := options.pop("pages", 0):
        options["append_images"] = [picture.transpose(Image.Transpose.ROTATE_180)] * (pages - 1)
    data = io.BytesIO()
    try:
        with warnings.catch_warnings(action="ignore"):
            picture.save(data, kind, **options)
    except Exception:  # noqa: BLE001 (not every format has every mode, and each says so in its way)
        return b""
    return data.getvalue()


def _picture(mode: str) -> Image.Image:
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 256, (_SIDES[1], _SIDES[0], 3), dtype=np.uint8)
    if mode in ("I;16", "I"):
        return Image.fromarray(noise[..., 0].astype(np.uint16 if mode == "I;16" else np.int32) * 16)
    if mode == "F":
        return Image.fromarray(noise[..., 0].astype(np.float32))
    if mode == "LAB":
        return Image.frombytes("LAB", _SIDES, noise.tobytes())
    return Image.fromarray(noise).convert(mode)


def damaged(data: bytes, rng: np.random.Generator) -> bytes:
    """A file with some bytes changed, cut off, left out, doubled or overwritten by zeros, most often near its head."""
    changed = bytearray(data)
    for _ in range(int(rng.integers(1, 5))):
        # Heads decide more than pixels do.
        reach = len(changed) if rng.random() < 0.4 else min(len(changed), 200)
        at = int(rng.integers(0, max(reach, 1)))
        length = int(rng.integers(1, 9))
        match int(rng.integers(0, 7)):
            case 0 | 1:
                changed[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 2:
                changed[at : at + length] = bytes(rng.integers(0, 256, length, dtype=np.uint8))
            case 3:
                changed[at : at + length] = bytes(length) if rng.random() < 0.5 else b"\xff" * length
            case 4:
                del changed[at : at + length]
            case 5:
                changed[at:at] = changed[at : at + length]
            case _:
                del changed[int(rng.integers(0, len(changed) + 1)) :]
    return bytes(changed)


def mutations(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """So many damaged files with the formats of the undamaged ones, each format as often as the others."""
    rng = np.random.default_rng(seed)
    by_kind: dict[str, list[bytes]] = {}
    for kind, data in originals():
        by_kind.setdefault(kind, []).append(data)
    for kind in itertools.islice(itertools.cycle(by_kind), count):
        variants = by_kind[kind]
        yield kind, damaged(variants[int(rng.integers(len(variants)))], rng)


def run(count: int, seed: int = 0) -> Outcome:
    """Read so many damaged files by all readers."""
    outcome, slowest = Outcome(collections.Counter(), collections.Counter(), [], 0.0), 0.0
    for kind, data in mutations(count, seed):
        start = time.perf_counter()
        refused = False
        for read in _READERS:
            try:
                read(data, "part.png")
            except InputError:
                refused = True
            except Exception:  # noqa: BLE001 (this is what is looked for)
                outcome.uncaught.append((data, traceback.format_exc()))
        slowest = max(slowest, time.perf_counter() - start)
        (outcome.refused if refused else outcome.read)[kind] += 1
    return outcome._replace(slowest=slowest)


def main() -> int:
    """Run and report."""
    outcome = run(_MUTATIONS.value, _SEED.value)
    for kind in sorted(outcome.read | outcome.refused):
        sys.stdout.write(f"{kind:10s} {outcome.read[kind]:6d} read {outcome.refused[kind]:6d} refused\n")
    sys.stdout.write(f"{len(outcome.uncaught)} raised something else; the slowest took {outcome.slowest:.2f} s\n")
    if not outcome.uncaught:
        return 0
    directory = Path(_OUTPUT_DIR.value or tempfile.mkdtemp(prefix="fuzz_images_"))
    directory.mkdir(parents=True, exist_ok=True)
    for i, (data, error) in enumerate(outcome.uncaught):
        (directory / f"{i:04}.bin").write_bytes(data)
        (directory / f"{i:04}.txt").write_text(error)
    sys.stdout.write(f"files and tracebacks are in {directory}\n")
    return 1


if __name__ == "__main__":
    command_line.run(main)
