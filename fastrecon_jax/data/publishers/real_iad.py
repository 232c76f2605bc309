"""Real-IAD: 30 kinds of objects, each object photographed from five sides, split as lists in JSON say.

`real_iad` is the protocol of all views (`realiad_jsons`), `real_iad_sv` that of one camera, C1 (`realiad_jsons_sv`).
Layout, form of the lists and what names an object: the publisher's repository (Tencent/AnomalyDetection_Real-IAD); the
folders of unpacked downloads also from anomalib's `realiad.py`. How many images a category has, only its list says.
"""

import functools
import re
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fastrecon_jax import files
from fastrecon_jax.data.publishers.publisher import Publisher, by_name, matching
from fastrecon_jax.data.samples import GOOD, Category, Sample, from_file
from fastrecon_jax.errors import InputError

ALL_VIEWS, ONE_VIEW = "realiad_jsons", "realiad_jsons_sv"
_CATEGORIES = (
    *("audiojack", "bottle_cap", "button_battery", "end_cap", "eraser", "fire_hood", "mint", "mounts", "pcb"),
    *("phone_battery", "plastic_nut", "plastic_plug", "porcelain_doll", "regulator", "rolled_strip_base"),
    *("sim_card_set", "switch", "tape", "terminalblock", "toothbrush", "toy", "toy_brick", "transistor1", "u_block"),
    *("usb", "usb_adaptor", "vcpill", "wooden_beads", "woodstick", "zipper"),
)
_OBJECT = re.compile(r"(?P<object>.+_\d{4}_[A-Z_]*[A-Z])_C\d_")  # audiojack_0001_OK_C1_20230922141159.jpg
_LISTS = "realiad_jsons*.zip"
_SPLITS = ("train", "test")
_KEYS = {"anomaly_class", "image_path", "mask_path"}


def _list_file(root: Path, category: str, protocol: str) -> Path | None:
    """The list of a category: the archive of lists is unpacked beside the images, in a folder of its own or not."""
    places = [base / below for base in (root, root.parent) for below in (Path(ALL_VIEWS) / protocol, Path(protocol))]
    return next((place / f"{category}.json" for place in places if files.is_file(place / f"{category}.json")), None)


def _holds(root: Path, category: str, *, protocol: str) -> bool:
    return files.is_dir(root / category) and _list_file(root, category, protocol) is not None


def _lists_beside(archive: Path, category: str) -> dict[str, bytes]:
    """The lists of a category whose images are in an archive: they are in another one beside it, unpacked or not."""
    found: dict[str, bytes] = {}
    for protocol in (ALL_VIEWS, ONE_VIEW):
        name = f"{protocol}/{category}.json"
        file = _list_file(archive.parent, category, protocol)
        try:
            if file is not None:
                found[f"{ALL_VIEWS}/{name}"] = file.read_bytes()
                continue
            for packed in (*matching(archive.parent, _LISTS), *matching(archive.parent.parent, _LISTS)):
                with zipfile.ZipFile(packed) as opened:
                    for member in opened.namelist():
                        if member == name or member.endswith(f"/{name}"):
                            found[f"{ALL_VIEWS}/{name}"] = opened.read(member)
        except (OSError, zipfile.BadZipFile, RuntimeError) as error:
            raise InputError(f"the lists beside {archive} cannot be read: {error}") from None
    if not found:
        raise InputError(f"{archive} needs realiad_jsons.zip beside it or one folder above, which lists its images")
    return found


def _read(root: Path, category: str, protocol: str) -> tuple[Path, str, dict[str, Any]]:
    """The folder that the paths of a list begin in, its word for good, and its entries by split."""
    file = _list_file(root, category, protocol)
    if file is None:
        raise InputError(f"{root} has no list {category}.json in {protocol} beside it")
    listed = files.read_json(file)
    meta = listed.get("meta") if isinstance(listed, dict) else None
    if not isinstance(meta, dict) or not all(isinstance(listed.get(split), list) for split in _SPLITS):
        raise InputError(f"{file} does not hold meta, train and test, as the published lists do")
    for split in _SPLITS:
        for i, entry in enumerate(listed[split]):
            if not isinstance(entry, dict) or not entry.keys() >= _KEYS or not isinstance(entry["image_path"], str):
                raise InputError(f"{file}: entry {i} of {split} does not have {', '.join(sorted(_KEYS))}")
    # As the publisher's loader joins them, and as others do: the prefix is the name of the category's folder.
    folders = (root / str(meta.get("prefix", category)), root / category)
    images = [entry["image_path"] for split in _SPLITS for entry in listed[split]]
    folder = next((folder for folder in folders if any(files.is_file(folder / image) for image in images)), folders[1])
    return folder, str(meta.get("normal_class", "OK")), listed


def _sample(folder: Path, entry: dict[str, Any], good: str, *, trained: bool) -> Sample:
    path = folder / entry["image_path"]
    match = _OBJECT.match(path.name)
    if not match:
        raise InputError(f"the name of {path} does not say which object it shows: expected NAME_0001_OK_C1_TIME.jpg")
    # A view that does not show its object's defect has no mask, and counts as good.
    defective = not trained and entry["mask_path"] is not None and entry["anomaly_class"] != good
    mask = folder / str(entry["mask_path"])
    if defective and not files.is_file(mask):
        raise InputError(f"defective image {path} has no mask: expected {mask}")
    return from_file(
        folder,
        path,
        defect=str(entry["anomaly_class"]) if defective else GOOD,
        mask=mask if defective else None,
        group=match["object"],
    )


def _open(root: Path, category: str, *, protocol: str) -> Category:
    """The images of the list that are there."""
    folder, good, listed = _read(root, category, protocol)
    train, test = (
        by_name(
            [
                _sample(folder, entry, good, trained=split == "train")
                for entry in listed[split]
                if files.is_file(folder / entry["image_path"])
            ]
        )
        for split in _SPLITS
    )
    return Category(category, train, test, True, figures=("sample_auroc",))


def _expected(root: Path, category: str, *, protocol: str) -> Sequence[str]:
    folder, _, listed = _read(root, category, protocol)
    return [f"{folder.relative_to(root)}/{entry['image_path']}" for split in _SPLITS for entry in listed[split]]


def _one_size(folders: Sequence[Path]) -> Path:
    if len(folders) > 1:
        names = ", ".join(folder.name for folder in folders)
        raise InputError(
            f"{folders[0].parent} holds Real-IAD in several sizes, {names}: pass the folder of one of them"
        )
    return folders[0]


def _publisher(name: str, title: str, protocol: str) -> Publisher:
    return Publisher(
        name=name,
        title=title,
        layout="a folder realiad_256, realiad_512 or realiad_1024 with CATEGORY.zip or the unpacked CATEGORY folders, "
        f"and beside it realiad_jsons.zip or what is in it, {protocol}/CATEGORY.json",
        homepage="https://realiad4ad.github.io/Real-IAD/",
        licence="CC BY-NC-SA 4.0",
        counts=dict.fromkeys(_CATEGORIES),
        archives=("{category}.zip",),
        holds=functools.partial(_holds, protocol=protocol),
        open=functools.partial(_open, protocol=protocol),
        expected=functools.partial(_expected, protocol=protocol),
        beside=_lists_beside,
        one_of=_one_size,
    )


PUBLISHER = _publisher("real_iad", "Real-IAD", ALL_VIEWS)
SINGLE_VIEW = _publisher("real_iad_sv", "Real-IAD, one view", ONE_VIEW)
