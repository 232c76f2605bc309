"""Which files are images, and what is said of those that are not."""

import pytest

from fastrecon_jax.data import picture_files
from fastrecon_jax.data.picture_files import Skipped


@pytest.mark.parametrize(
    ("name", "image"),
    [
        *[("a.png", True), ("a.JPG", True), ("a.jfif", True), ("a.webp", True), ("a.gif", True), ("a.pgm", True)],
        *[("a.heic", False), (".a.png", False), ("._a.png", False), ("a.txt", False), ("png", False)],
    ],
)
def test_images_by_name(tmp_path, name, image):
    assert picture_files.is_image(tmp_path / name) == image


def test_pictures_of_other_formats_and_folders_are_counted(tmp_path):
    for name in ("a.png", "b.heic", "c.HEIC", "d.avif", "notes.txt", "Thumbs.db", ".b.heic", "list.csv", "e.mp4"):
        (tmp_path / name).touch()
    for name in ("inside", "@eaDir", ".cache", "System Volume Information", "other.folder"):
        (tmp_path / name).mkdir()
    skipped = picture_files.skipped(tmp_path.iterdir())
    assert skipped == Skipped(((".avif", 1), (".heic", 2), (".mp4", 1)), 2)
    assert skipped.number == 4
    assert str(skipped).startswith("4 files skipped: .avif (1), .heic (2), .mp4 (1); ")
    assert "2 folders inside are not searched: pass 'FOLDER/**/*.png'" in str(skipped)


def test_places_add_up():
    assert str(Skipped()) == ""
    total = Skipped(((".avif", 1),), 1) + Skipped(((".avif", 2), (".svg", 1)), 0, 3)
    assert total == Skipped(((".avif", 3), (".svg", 1)), 1, 3)
    assert "1 folder inside is not searched" in str(total)
    assert "3 images skipped in train/ and test/ themselves" in str(total)
