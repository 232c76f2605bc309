"""Which files are pictures by their names: those that are read, and those that are only counted."""

import collections
from collections.abc import Iterable
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.command_line.console import count

ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".bmp", ".tif", ".tiff", ".webp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm"),
    *(".apng", ".jfif", ".jpe", ".mpo", ".dib"),
)
# Pictures, films and arrays that are not read: a format without a decoder that is safe, or one that is no photograph.
_OTHER_WORDS = (
    "heic heif hif avif jxl jp2 j2k j2c jpf jpx jxr wdp mng svg svgz pdf ps eps ai psd psb xcf kra tga icb vda "
    "dds qoi blp exr hdr pfm pam pcx sgi ras sun xbm xpm wbmp ico icns cur emf wmf flif "
    "raw cr2 cr3 crw nef nrw arw srf sr2 dng orf rw2 raf pef srw 3fr iiq erf mef mos x3f rwl "
    "dcm dicom fits fts nii nrrd mha mhd czi lif nd2 vsi svs ndpi mrxs "
    "mp4 m4v avi mov mkv webm wmv mpg mpeg mjpeg mjpg npy npz"
)
_OTHERS = frozenset(f".{word}" for word in _OTHER_WORDS.split())


class Skipped(NamedTuple):
    """What lies where images are looked for, and is not looked at.

    Attributes:
        endings: number of pictures of formats that are not read, by the ending of their names, sorted.
        folders: number of folders inside, which are not searched.
        strays: number of images of a data set that lie beside the folders `good` and those of defects.
    """

    endings: tuple[tuple[str, int], ...] = ()
    folders: int = 0
    strays: int = 0

    @property
    def number(self) -> int:
        """How many pictures were skipped."""
        return sum(number for _, number in self.endings)

    def __add__(self, other: "Skipped") -> "Skipped":  # type: ignore[override]
        """Of two places together."""
        endings = collections.Counter(dict(self.endings)) + collections.Counter(dict(other.endings))
        return Skipped(tuple(sorted(endings.items())), self.folders + other.folders, self.strays + other.strays)

    def __str__(self) -> str:
        """Lines for people, such as `4 files skipped: .heic (3), .avif (1)`; empty if there is nothing to say."""
        lines = []
        if self.endings:
            listed = ", ".join(f"{ending} ({number})" for ending, number in self.endings)
            lines.append(f"{count(self.number, 'file')} skipped: {listed}; these formats are not read\n")
        if self.folders:
            are = "is" if self.folders == 1 else "are"
            lines.append(f"{count(self.folders, 'folder')} inside {are} not searched: pass 'FOLDER/**/*.png'\n")
        if self.strays:
            lines.append(f"{count(self.strays, 'image')} skipped in train/ and test/ themselves, in no folder there\n")
        return "".join(lines)


def is_image(path: files.Place) -> bool:
    """Whether a file is an image that is read, by the ending of its name; hidden files are not."""
    return path.suffix.lower() in ENDINGS and not files.is_hidden(path)


def skipped(children: Iterable[files.Place]) -> Skipped:
    """What of the contents of a folder is not looked at; what is hidden does not count, nor what is no picture."""
    children = [path for path in children if not files.is_hidden(path)]
    endings = collections.Counter(path.suffix.lower() for path in children if path.suffix.lower() in _OTHERS)
    # Only what has no ending of a file is asked for its kind, which takes a while on network drives.
    folders = sum(
        files.false_if_unreadable(files.is_dir, path) for path in children if path.suffix.lower() not in ENDINGS
    )
    return Skipped(tuple(sorted(endings.items())), folders)
