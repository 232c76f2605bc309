"""The built-in data set in its folder, so that it can be prepared like the others."""

import sys
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.data import cache, demo, folder
from fastrecon_jax.data.publishers.publisher import Counts, Publisher
from fastrecon_jax.errors import InputError


def built(directory: Path | None = None) -> Path:
    """The folder of the built-in set, made on first use, by default in the user's cache.

    The directory may be absent, empty or hold the set. InputError where it cannot be written or holds something else.
    """
    directory = directory or cache.directory() / f"demo-{demo.VERSION}"
    if not files.exists(directory) or (files.is_dir(directory) and not files.children(directory)):
        try:
            sys.stderr.write(f"making the built-in data set in {directory}, once\n")
            demo.build(directory)
        except OSError as error:
            reason = files.reason(error)
            raise InputError(
                f"the demo set cannot be written to {directory}: {reason}; pass another place as --data_dir"
            ) from None
    if {path.name for path in files.children(directory) if folder.holds(path, ".")} != set(demo.CATEGORIES):
        raise InputError(
            f"{directory} holds something else than the demo set, or a part of it: pass an empty or a new directory as "
            "--data_dir, or remove it"
        )
    return directory


PUBLISHER = Publisher(
    name="demo",
    title="the built-in demo set",
    layout="nothing: it is made on the spot",
    homepage="",
    licence="Apache-2.0",
    counts=dict.fromkeys(demo.CATEGORIES, Counts(24, 24, 24)),
    archives=(),
    holds=folder.holds,
    open=folder.open_category,
    default=built,
)
