"""The same picture again: from a camera that is stuck, or one that the part knows."""

import collections
from collections.abc import Hashable

from fastrecon_jax.parts.part import Part
from fastrecon_jax.parts.photos import Photo

_SOURCES = 10_000  # whose last picture is remembered


class Repeats:
    """Remembers the last picture of each source, such as a folder that a camera writes into."""

    def __init__(self):
        self._last: collections.OrderedDict[Hashable, tuple[str, str]] = collections.OrderedDict()

    def before(self, photo: Photo, source: Hashable = None) -> str:
        """Name of the picture that came before this one from the same source, if both are the same; else empty."""
        sha256, name = self._last.pop(source, ("", ""))
        self._last[source] = (photo.sha256, photo.name)
        if len(self._last) > _SOURCES:
            self._last.popitem(last=False)
        return name if sha256 == photo.sha256 else ""


def known(part: Part, photo: Photo) -> str:
    """Name of the good photograph of the part that has the same pixels; empty if none has."""
    return next((good.name for good in part.good if good.sha256 == photo.sha256), "")
