"""Files elsewhere, `s3://bucket/line3/a.png`: what fsspec reaches, with as much of pathlib's interface as is used."""

import contextlib
import dataclasses
import datetime
import posixpath
import re
import stat
import types
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from fastrecon_jax.errors import InputError

_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
_MAGIC = re.compile(r"[*?[]")  # of patterns
_TIMES = ("mtime", "LastModified", "last_modified", "updated", "modified", "created")  # of the file systems' facts


def is_remote(path: str) -> bool:
    """Whether a text is an address such as `gs://bucket/a.png` rather than a path."""
    return _ADDRESS.match(path) is not None


@dataclasses.dataclass(frozen=True, order=True)
class RemotePath:
    """A file or folder that fsspec reaches; failures are OSErrors, or InputErrors that say what is not installed.

    Attributes:
        url: its address, `PROTOCOL://...`.
        facts: what a listing has told of it, so that nobody has to ask again; empty if it was not listed.
    """

    url: str
    facts: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    def __str__(self) -> str:
        """The address."""
        return self.url

    def __fspath__(self) -> str:
        """The address, which no function of the system can open."""
        return self.url

    def __truediv__(self, name: str) -> "RemotePath":
        """What lies in this folder by that name."""
        return RemotePath(f"{self.url.rstrip('/')}/{name}")

    @property
    def name(self) -> str:
        """The last part of the address."""
        return posixpath.basename(self.url.rstrip("/"))

    @property
    def suffix(self) -> str:
        """The ending of its name, with the dot."""
        return posixpath.splitext(self.name)[1]

    @property
    def stem(self) -> str:
        """Its name without the ending."""
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "RemotePath":
        """The folder that it lies in."""
        return RemotePath(self.url.rstrip("/").rpartition("/")[0])

    def absolute(self) -> "RemotePath":
        """Itself."""
        return self

    def with_suffix(self, suffix: str) -> "RemotePath":
        """The same with another ending."""
        return self.parent / f"{self.stem}{suffix}"

    def stat(self) -> types.SimpleNamespace:
        """`st_mode`, `st_size` and `st_mtime_ns`, as the system tells of its files; zeros for what is not told."""
        facts = self.facts or self._ask("info")
        mode = stat.S_IFDIR if facts.get("type") == "directory" else stat.S_IFREG
        time = next((facts[name] for name in _TIMES if facts.get(name)), 0)
        return types.SimpleNamespace(st_mode=mode, st_size=facts.get("size") or 0, st_mtime_ns=_nanoseconds(time))

    def iterdir(self) -> Iterator["RemotePath"]:
        """What the folder holds, with facts."""
        found = _listed(self, self._ask("ls", detail=True))
        return (path for path in found if path.url.rstrip("/") != self.url.rstrip("/"))  # object stores list it, too

    def glob(self) -> Iterator["RemotePath"]:
        """The files and folders that the address means as a pattern, with facts."""
        fixed = _MAGIC.split(self.url)[0].rpartition("/")[0]
        return _listed(RemotePath(fixed), self._ask("glob", detail=True).values())

    def read_bytes(self) -> bytes:
        """The contents."""
        return self._ask("cat_file")

    def write_bytes(self, data: bytes) -> None:
        """Replace the contents; its folder is made where it lacks. Object stores do it whole or not at all."""
        try:
            self._ask("pipe_file", data)
        except FileNotFoundError:  # of file systems with folders; object stores have none to make
            self.parent._ask("makedirs", exist_ok=True)
            self._ask("pipe_file", data)

    def _ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        """What the file system's function of that name gives for this path."""
        system, path = self.file_system()
        try:
            return getattr(system, name)(path, *arguments, **options)
        except OSError:
            raise
        except Exception as error:  # each file system has its own, such as botocore's
            raise OSError(f"{type(error).__name__}: {error}") from error

    def file_system(self) -> tuple[Any, str]:
        """The file system, of which fsspec makes one for each set of options, and the path in it."""
        import fsspec  # takes a while to import

        try:
            return fsspec.core.url_to_fs(self.url)
        except ImportError as error:
            extra = "s3:// and gs:// come with `pip install 'fastrecon_jax[cloud]'`"
            raise InputError(f"{self.url} cannot be reached: {error}; {extra}") from None
        except ValueError as error:
            raise InputError(f"{self.url} cannot be reached: {error}") from None


def _listed(folder: RemotePath, found: Iterable[Mapping[str, Any]]) -> Iterator[RemotePath]:
    """What was found below a folder; file systems name it by their own paths, from which parts of the address miss."""
    start = len(folder.file_system()[1].rstrip("/"))
    return (RemotePath(folder.url.rstrip("/") + facts["name"][start:], facts) for facts in found)


def _nanoseconds(time: Any) -> int:
    """A time since 1970, from seconds, a datetime or its text."""
    if isinstance(time, str):
        with contextlib.suppress(ValueError):
            time = datetime.datetime.fromisoformat(time)
    seconds = time.timestamp() if isinstance(time, datetime.datetime) else time
    return round(seconds * 1e9) if isinstance(seconds, int | float) else 0
