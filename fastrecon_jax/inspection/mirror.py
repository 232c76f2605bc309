"""Results elsewhere: a folder on this machine that is copied to an address such as `s3://bucket/out` while it fills."""

import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fastrecon_jax import files
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place
from fastrecon_jax.inspection import ledger
from fastrecon_jax.remote import RemotePath

Tell = Callable[[str], object]
EVERY = 30.0  # seconds between two copies, at least
_SHARE = 20  # copying takes at most one part in so many of the time
_WRITTEN = 2.0  # seconds after which a picture is not being written any more
_RESULTS = (ledger.RUN, ledger.LINES, ledger.TABLE)


@contextlib.contextmanager
def directory(place: Place, tell: Tell) -> Iterator[tuple[Path, Tell]]:
    """A folder for the results that belong to a place, and what tells lines for people; a path is its own folder.

    For an address the folder is temporary. It begins with the rows that are there, is copied every 30 s or more and at
    the end, however that comes, and lines and errors name the address instead of it. What a killed process has not
    copied is inspected again. InputError where the address cannot be read or written, or holds other files.
    """
    if isinstance(place, Path):
        yield place, tell
        return
    with tempfile.TemporaryDirectory(prefix="fastrecon_") as name:
        folder, end = Path(name), threading.Event()
        copies = _Copies(place, folder)
        copies.fetch()
        copying = threading.Thread(target=copies.push_until, args=(end,), daemon=True)
        copying.start()
        try:
            yield folder, lambda text: tell(text.replace(name, str(place)))
        except InputError as error:
            raise InputError(str(error).replace(name, str(place))) from None
        finally:
            end.set()
            copying.join()
            copies.push(all_of_it=True)


class _Copies:
    def __init__(self, place: RemotePath, folder: Path):
        self._place, self._folder = place, folder
        self._pushed: dict[str, bytes] = {}  # the last copies, but for pictures, which are not kept here

    def fetch(self) -> None:
        """Begin with the rows of an earlier run."""
        there = files.names(self._place)
        if there and ledger.RUN not in there:
            raise ledger.other_files(str(self._place))
        for name in set(_RESULTS) & set(there):
            with files.local(self._place / name) as copy:
                (self._folder / name).write_bytes(copy.read_bytes())

    def push_until(self, end: threading.Event) -> None:
        """Copy now and then; what fails is tried again, and told at the end."""
        pause = EVERY
        while not end.wait(pause):
            start = time.monotonic()
            with contextlib.suppress(InputError):
                self.push()
            pause = max(EVERY, _SHARE * (time.monotonic() - start))

    def push(self, *, all_of_it: bool = False) -> None:
        """Copy what is new, pictures before the rows that name them; InputError where it cannot be written."""
        top = {path.name: path.read_bytes() for path in self._folder.iterdir() if _is_result(path)}
        for picture in sorted(self._folder.glob("*/*")):
            if all_of_it or time.time() - picture.stat().st_mtime > _WRITTEN:
                files.write(self._place / picture.parent.name / picture.name, picture.read_bytes())
                picture.unlink()  # the disk of this machine need not hold them all
        for name, data in top.items():
            if self._pushed.get(name) != data:
                files.write(self._place / name, data)
                self._pushed[name] = data


def _is_result(path: Path) -> bool:
    return path.is_file() and not files.is_hidden(path)
