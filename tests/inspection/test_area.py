"""Regions and masks from the command line to rows and pictures."""

import numpy as np
from PIL import Image

from tests.inspection import line

AREA = {"resize": "keep", "image_size": 64, "crop_size": 0}


def test_rows_and_pictures_show_what_is_inspected(tmp_path):
    mask = np.zeros((80, 90), np.uint8)
    mask[:, :30] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    model = line.fit(tmp_path, region=(10, 5, 80, 60), ignore=str(tmp_path / "mask.png"), **AREA)
    new = line.picture(7)
    new.paste((0, 255, 0), (12, 20, 22, 50))  # under the mask
    new.paste((255, 0, 0), (70, 30, 80, 50))
    (tmp_path / "new").mkdir()
    new.save(tmp_path / "new" / "a.png")
    said = []
    assert line.predict(model, tmp_path / "new", tmp_path / "out", tell=said.append) == 0
    assert (
        "inspected: 80x60 pixels from (10, 5) on, of photographs of 90x80, at 64x48 pixels; 25 % of it is ignored"
        in ("".join(said))
    )
    (row,) = line.lines(tmp_path / "out")
    assert row["inspected"] == [10, 5, 80, 60]
    assert row["verdict"] == "defective"
    for region in row["regions"]:
        assert region["x"] >= 30 and region["x"] + region["width"] <= 90
        assert region["y"] >= 5 and region["y"] + region["height"] <= 65
    with Image.open(tmp_path / "out" / row["overlay"]) as opened:
        drawn = np.asarray(opened.convert("RGB")).astype(int)
    original = np.asarray(new).astype(int)
    assert np.array_equal(drawn[:, :8], original[:, :8])  # outside of the frame
    assert np.abs(drawn[5:65, 10:30] - original[5:65, 10:30]).any(axis=-1).mean() < 0.5  # hatched
    assert (drawn[25:45, 10] == 224).all() and (drawn[25:45, 9] == 96).all()


def test_parts_of_other_shapes_are_told_apart_by_name_alone(tmp_path):
    wide, tall = line.fit(tmp_path, **AREA), line.fit(tmp_path, "bar", region=(10, 0, 40, 80), **AREA)
    images = line.write(tmp_path / "disc", 1)
    assert line.predict(f"{wide},{tall}", images, tmp_path / "out") == 0
    (row,) = line.lines(tmp_path / "out")
    assert (row["part"], row["picked"]) == ("disc", "name")
