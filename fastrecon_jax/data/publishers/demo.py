"""The built-in data set in its folder, so that it can be prepared like the others."""

from pathlib import Path

from absl import logging

from fastrecon_jax.data import cache, demo, folder
from fastrecon_jax.data.publishers.publisher import Counts, Publisher
from fastrecon_jax.errors import InputError


def _holds(root: Path, category: str) -> bool:
    return (root / category / "train" / folder.GOOD).is_dir()


def built(directory: Path | None = None) -> Path:
    """The folder of the built-in set, made on first use.

    Args:
        directory: where to keep it; by default in the user's cache.

    Returns:
        The folder.

    Raises:
        InputError: it cannot be written.
    """
    directory = directory or cache.directory() / f"demo-{demo.VERSION}"
    if not directory.exists():
        try:
            logging.info("making the built-in data set in %s, once", directory)
            demo.build(directory)
        except OSError as error:
            raise InputError(
                f"the demo set cannot be written to {directory}: {error.strerror}; pass another place as --data_dir"
            ) from None
    return directory


PUBLISHER = Publisher(
    name="demo",
    title="the built-in demo set",
    layout="nothing: it is made on the spot",
    homepage="",
    licence="Apache-2.0",
    counts=dict.fromkeys(demo.CATEGORIES, Counts(24, 24, 24)),
    archives=(),
    holds=_holds,
    open=folder.open_category,
    default=built,
)
