"""A small data set in MVTec layout for tests."""

import errno
import pathlib

import numpy as np
from PIL import Image


def picture(rng, size=48):
    return rng.integers(90, 110, (size, size, 3), dtype=np.uint8)


def write_category(root, name="part", train=4, good=3, defective=3, masks=True, size=48):
    """Grey noise; defects are white squares."""
    rng = np.random.default_rng(len(name))
    for folder in ("train/good", "test/good", "test/scratch", "ground_truth/scratch"):
        if masks or not folder.startswith("ground_truth"):
            (root / name / folder).mkdir(parents=True)
    for folder, count in (("train/good", train), ("test/good", good)):
        for i in range(count):
            Image.fromarray(picture(rng, size)).save(root / name / folder / f"{i:03}.png")
    for i in range(defective):
        image, mask = picture(rng, size), np.zeros((size, size), np.uint8)
        at = slice(10 + i, 22 + i)
        image[at, at], mask[at, at] = 255, 255
        Image.fromarray(image).save(root / name / "test" / "scratch" / f"{i:03}.png")
        if masks:
            Image.fromarray(mask).save(root / name / "ground_truth" / "scratch" / f"{i:03}_mask.png")
    return root


def forbid(monkeypatch, folder):
    """As without permission for a folder; taking the permission away would not stop root, as whom tests may run."""

    def refuse(name, concerns):
        real = getattr(pathlib.Path, name)

        def call(self, *arguments, **options):
            if concerns(self):
                raise PermissionError(errno.EACCES, "Permission denied", str(self))
            return real(self, *arguments, **options)

        monkeypatch.setattr(pathlib.Path, name, call)

    refuse("iterdir", lambda path: folder in (path, *path.parents))
    refuse("stat", lambda path: folder in path.parents)
