"""A part that engines carry to their workers: light until its first call, then batches of pictures to columns."""

import dataclasses
import functools
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from fastrecon_jax.errors import InputError

COLUMNS = (
    *("path", "verdict", "score", "threshold", "p_value", "confidence"),
    *("reason", "warning", "regions", "error"),
)
_SOURCES = ("image", "bytes", "path")  # columns that hold pictures; the first of them that is there is taken

Batch: TypeAlias = Mapping[str, Sequence[Any]] | Iterable[Any]
Columns: TypeAlias = dict[str, list[Any]]


@dataclasses.dataclass(frozen=True)
class Inspector:
    """A fitted part for engines such as Ray Data and Apache Beam: `Inspector("part.safetensors")(paths)`.

    It pickles as its arguments, whatever it has loaded. The part is opened at the first call, which also sets up the
    process as the commands do (`fastrecon_jax.configure`); until then JAX is not imported. Pictures are read and
    decoded by threads while earlier ones are inspected, in padded batches of one shape: one program is compiled.

    Attributes:
        model: file of the part, .safetensors, that every worker can read.
        weights: where the encoder's weights are, if not where they were at the fit.
        batch_size: images that are inspected at once.
        target_fpr: share of good parts that may be judged defective, instead of that of the fit.
        threshold: image score above which an image is defective, instead of that of the fit.
        max_pixels: width times height up to which an image is decoded; by default 128 million.
        threads: number of threads that read and decode; 0 for one a processor.
        plugin: modules that register methods or encoders.
    """

    model: str | os.PathLike
    weights: str = ""
    batch_size: int = 8
    target_fpr: float | None = None
    threshold: float | None = None
    max_pixels: int | None = None
    threads: int = 0
    plugin: tuple[str, ...] = ()

    def __post_init__(self):
        """Keep the path as text, which every engine can carry."""
        object.__setattr__(self, "model", os.fspath(self.model))

    def __call__(self, batch: Batch) -> Columns:
        """Inspect pictures.

        Args:
            batch: paths, arrays as in `fastrecon_jax.Inspector.predict`, Pillow images, or bytes of image files, of any
                sizes; or columns, of which `path` names the pictures and `image` or `bytes` holds them, if they are
                not to be read from their paths.

        Returns:
            A list for each of `COLUMNS`, with an entry for each picture in their order. `regions` holds a list of
            dictionaries: `x`, `y`, `width`, `height`, `area` and `peak`. A picture that cannot be used has its `error`
            and None for the rest; it stops nothing.

        Raises:
            InputError: the part or its weights cannot be used, or the batch has no column of pictures.
        """
        rows = list(self._opened.rows(_named(batch)))
        return {name: [row[name] for row in rows] for name in COLUMNS}

    def __getstate__(self) -> dict[str, Any]:
        """The arguments alone: what was loaded stays where it is."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    @functools.cached_property
    def _opened(self) -> Any:
        from fastrecon_jax.batch import opened  # JAX, which a process that only hands the part on does not need

        return opened.open_part(**self.__getstate__())


def _named(batch: Batch) -> Iterator[tuple[str, Any]]:
    """Names and pictures of a batch; one without a path is called by its place."""
    columns = batch if isinstance(batch, Mapping) else {"image": list(batch)}
    column = next((name for name in _SOURCES if name in columns), None)
    if column is None:
        raise InputError(f"a batch of {', '.join(columns)} has no pictures: one column must be {', '.join(_SOURCES)}")
    for i, source in enumerate(columns[column]):
        named = columns["path"][i] if "path" in columns else source
        yield str(named) if isinstance(named, str) or hasattr(named, "__fspath__") else f"image {i}", source
