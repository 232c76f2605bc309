"""The tiny data sets of `datasets/*/dummy_data`, as folders and as archives."""

import shutil
from pathlib import Path

BUILDERS = Path(__file__).resolve().parents[2] / "datasets"

# Of each data set: a category, then its training, good test and defective test images.
SETS = {
    "mvtec_ad": ("bottle", (3, 2, 4)),
    "mvtec_ad_2": ("vial", (3, 2, 3)),
    "mvtec_loco": ("pushpins", (3, 2, 3)),
    "mpdd": ("bracket_black", (3, 2, 4)),
    "visa": ("candle", (3, 2, 2)),
    "real_iad": ("audiojack", (3 * 2, 2 * 2 + 2, 2)),
    "real_iad_sv": ("audiojack", (3, 2, 2)),
    "btad": ("01", (3, 2, 2)),
    "kolektor_sdd": ("kolektor_sdd", (4, 1, 3)),
    "magnetic_tile": ("magnetic_tile", (5, 1, 5)),
    "elpv": ("mono", (4, 1, 2)),
    "demo": ("brick", (3, 2, 2)),
}
# Numbers of their other images.
OTHERS = {"mvtec_ad_2": {"validation": 2, "private": 4}, "mvtec_loco": {"validation": 2}}
ARCHIVES = {
    "mvtec_ad": "mvtec_anomaly_detection.tar.xz",
    "mvtec_ad_2": "mvtec_ad_2.tar.gz",
    "mvtec_loco": "mvtec_loco_anomaly_detection.tar.xz",
    "mpdd": "MPDD.zip",
    "visa": "VisA_20220922.tar",
    "btad": "btad.zip",
    "kolektor_sdd": "KolektorSDD.zip",
    "magnetic_tile": "Magnetic-tile-defect-datasets.-master.zip",
    "elpv": "elpv-dataset-master.zip",
}
_FORMATS = {".xz": "xztar", ".gz": "gztar", ".zip": "zip", ".tar": "tar"}


def folder(name):
    return BUILDERS / name / "dummy_data"


def archive(name, into, inside=""):
    """Packs a dummy set under its publisher's name, optionally with folders around it."""
    into.mkdir(parents=True, exist_ok=True)
    file = into / ARCHIVES[name]
    root = into / "packing"
    shutil.copytree(folder(name), root / inside)
    made = Path(shutil.make_archive(str(into / "packed"), _FORMATS[file.suffix], root))
    shutil.rmtree(root)
    return made.rename(file)
