"""Writes the built-in data set in the layout of MVTec AD."""

import concurrent.futures
import itertools
import pathlib
import zlib
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from fastrecon_jax import files
from fastrecon_jax.data.demo import camera, canvas, capsule, circuit, cloth, gear, textures
from fastrecon_jax.errors import InputError

TRAIN = TEST_GOOD = TEST_DEFECTIVE = 24

# Pixels: what a defect must change at least, and at most, to be one.
_VISIBLE = (30, canvas.SIZE**2 // 4)


class Category(NamedTuple):
    """How to paint a part, and what can be wrong with it."""

    paint: Callable[..., canvas.Photo]
    defects: tuple[str, ...]


class _Task(NamedTuple):
    """One image: what its pixels depend on, all of it."""

    seed: int
    category: str
    split: str
    kind: str
    index: int

    def generator(self, purpose: str, attempt: int = 0) -> np.random.Generator:
        words = (self.category, self.split, self.kind, purpose)
        return np.random.default_rng([self.seed, self.index, attempt, *(zlib.crc32(word.encode()) for word in words)])


PARTS = {
    "brick": Category(textures.brick, textures.BRICK_DEFECTS),
    "capsule": Category(capsule.paint, capsule.DEFECTS),
    "circuit": Category(circuit.paint, circuit.DEFECTS),
    "cloth": Category(cloth.paint, cloth.DEFECTS),
    "gear": Category(gear.paint, gear.DEFECTS),
    "gravel": Category(textures.gravel, textures.GRAVEL_DEFECTS),
}
CATEGORIES = tuple(PARTS)


def build(directory: pathlib.Path, *, seed: int = 0, categories: Sequence[str] = CATEGORIES) -> None:
    """Write `CATEGORY/{train/good,test/good,test/DEFECT,ground_truth/DEFECT}` under a directory.

    Every image is 256x256 RGB and depends on the seed and its own name only. The directory appears complete or not at
    all; if it holds anything already, or another process makes it meanwhile, that one is kept. InputError where the
    seed is negative, a category unknown or the directory a file; OSError where it cannot be written.
    """
    if seed < 0:
        raise InputError(f"seed is {seed}; it must be 0 or more")
    unknown = sorted(set(categories) - set(CATEGORIES))
    if unknown:
        raise InputError(f"unknown categories {unknown}; the demo has {list(CATEGORIES)}")
    if files.exists(directory) and not files.is_dir(directory):
        raise InputError(f"{directory} is a file; the demo needs a directory of that name")
    if files.is_dir(directory) and files.children(directory):
        return
    tasks = [task for category in categories for task in _tasks(seed, category)]
    files.build_directory(directory, lambda draft: _write_all(draft, tasks))


def photograph(category: str, split: str, kind: str, index: int, *, seed: int = 0) -> UInt8[np.ndarray, "H W 3"]:
    """One RGB image of those that `build` writes, without the others; an index beyond those that it writes is possible.

    `split` is train or test, `kind` good or one of the category's defects.
    """
    return _photograph(_Task(seed, category, split, kind, index))[0]


def _tasks(seed: int, category: str) -> list[_Task]:
    """Every image of one category."""
    kinds = PARTS[category].defects
    good = [("train", "good", TRAIN), ("test", "good", TEST_GOOD)]
    bad = [("test", kind, TEST_DEFECTIVE // len(kinds)) for kind in kinds]
    return [_Task(seed, category, split, kind, i) for split, kind, count in good + bad for i in range(count)]


def _write_all(root: pathlib.Path, tasks: list[_Task]) -> None:
    for task in tasks:
        (root / task.category / task.split / task.kind).mkdir(parents=True, exist_ok=True)
        if task.kind != "good":
            (root / task.category / "ground_truth" / task.kind).mkdir(parents=True, exist_ok=True)
    with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
        for _ in pool.map(_write, itertools.repeat(root), tasks):  # raises what a task raised, cancels the rest
            pass


def _write(root: pathlib.Path, task: _Task) -> None:
    image, mask = _photograph(task)
    folder = root / task.category
    # Nothing in a photograph repeats: for its grain this is the fastest and the smallest.
    how = {"compress_level": 1, "compress_type": zlib.Z_HUFFMAN_ONLY}
    Image.fromarray(image).save(folder / task.split / task.kind / f"{task.index:03d}.png", **how)
    if mask is not None:
        levels = mask.astype(np.uint8) * np.uint8(255)
        Image.fromarray(levels).save(folder / "ground_truth" / task.kind / f"{task.index:03d}_mask.png")


def _photograph(task: _Task) -> tuple[UInt8[np.ndarray, "H W 3"], Bool[np.ndarray, "H W"] | None]:
    """One image; of a defective part also where it differs from the same part without the defect."""
    paint = PARTS[task.category].paint
    scene = paint(task.generator("scene"), task.split)
    if task.kind == "good":
        return camera.photograph(scene, task.generator("camera")), None
    for attempt in range(100):
        defect = canvas.Defect(task.kind, task.generator("defect", attempt))
        marred = paint(task.generator("scene"), task.split, defect)
        mask = camera.changed(scene, marred)
        if _VISIBLE[0] <= mask.sum() <= _VISIBLE[1]:
            return camera.photograph(marred, task.generator("camera")), mask
    raise AssertionError(f"no visible defect for {task}")
