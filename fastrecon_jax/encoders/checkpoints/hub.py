"""Weights of the Hugging Face hub by name: `hf://OWNER/REPO[@REVISION][/FILE]`, downloaded once, their hash checked."""

import functools
import hashlib
import pathlib
import re
import sys
import urllib.parse
from typing import Any, NamedTuple

from fastrecon_jax.errors import InputError

HUB = "hf://"
FORM = f"{HUB}OWNER/REPO[@REVISION][/FILE]"
_USUAL = "model.safetensors"
_PATTERN = re.compile(r"(?P<repo>[\w.-]+/[\w.-]+)(@(?P<revision>[^/@]+))?(/(?P<file>[^@]+))?", re.ASCII)
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SECONDS = 10.0  # between two lines of progress where nobody watches


class Address(NamedTuple):
    """What `hf://...` names.

    Attributes:
        repo: owner and name.
        file: path in the repository.
        revision: branch, tag or commit; empty for the default branch.
    """

    repo: str
    file: str
    revision: str

    def __str__(self) -> str:
        """The address as a user writes it."""
        revision = f"@{urllib.parse.quote(self.revision, safe='')}" if self.revision else ""
        file = f"/{self.file}" if self.file != _USUAL else ""
        return f"{HUB}{self.repo}{revision}{file}"


def parse(source: str) -> Address | None:
    """The parts of an address; None if it is none."""
    form = _PATTERN.fullmatch(source.removeprefix(HUB)) if source.startswith(HUB) else None
    if form is None or {"", ".", ".."} & set((form["file"] or _USUAL).split("/")):
        return None
    return Address(form["repo"], form["file"] or _USUAL, urllib.parse.unquote(form["revision"] or ""))


def revision(source: str) -> str:
    """The commit that an address names.

    Args:
        source: where weights came from, as a loaded checkpoint says it.

    Returns:
        40 hexadecimal digits; empty for all other sources.
    """
    address = parse(source)
    return address.revision if address and _COMMIT.fullmatch(address.revision) else ""


def pinned(source: str, commit: str) -> str:
    """An address at a commit, so that it names the same weights however its repository changes.

    Args:
        source: any source of weights.
        commit: 40 hexadecimal digits; anything else is not used.

    Returns:
        The source at that commit; unchanged if it is no address of the hub or names a revision itself.
    """
    address = parse(source)
    if address is None or address.revision or not _COMMIT.fullmatch(commit):
        return source
    return str(address._replace(revision=commit))


def is_cached(address: Address) -> bool:
    """Whether the cache of huggingface_hub holds the file."""
    try:
        import huggingface_hub
    except ImportError:
        return False
    cached = huggingface_hub.try_to_load_from_cache(address.repo, address.file, revision=address.revision or None)
    return isinstance(cached, str)


def fetch(address: Address) -> tuple[pathlib.Path, str]:
    """The file in the cache, downloaded if it is not there, and its address with the commit that it is of.

    InputError, in one line that says what to do, if it cannot be had.
    """
    try:
        import huggingface_hub
    except ImportError as error:
        message = f'{address} needs the package huggingface_hub: run `pip install -e ".[hub]"`'
        raise InputError(f"{message}, or download {address.file} yourself and give its path") from error
    download = functools.partial(huggingface_hub.hf_hub_download, tqdm_class=_progress())
    try:
        path = pathlib.Path(download(address.repo, address.file, revision=address.revision or None))
    except Exception as error:  # the hub, its HTTP client and its cache raise unrelated types
        raise InputError(f"{address} cannot be downloaded: {_refusal(address, error)}") from error
    # .../snapshots/COMMIT/FILE
    commit = path.parts[-1 - len(pathlib.PurePosixPath(address.file).parts)]
    return path, str(address._replace(revision=commit)) if _COMMIT.fullmatch(commit) else str(address)


def check(path: pathlib.Path, data: bytes, sha256: str) -> None:
    """Refuse a file of the cache that is not what the hub published.

    The cache names each file by the hub's hash of it: SHA-256 of large files, Git's of small ones. Where the system has
    no symbolic links the cache keeps no such names, and nothing is checked.
    """
    blob = path.resolve()
    if blob.parent.name != "blobs":
        return
    found = {64: sha256, 40: hashlib.sha1(b"blob %d\0" % len(data) + data, usedforsecurity=False).hexdigest()}
    actual = found.get(len(blob.name))
    if actual is not None and actual != blob.name:
        raise InputError(
            f"{path} has not the hash that the hub published, {blob.name[:16]}..., but {actual[:16]}...: delete {blob} "
            "and run the command again, which downloads it once more"
        )


def _refusal(address: Address, error: Exception) -> str:
    """Why a download failed, and what to do."""
    import huggingface_hub
    from huggingface_hub import errors

    page = f"{huggingface_hub.constants.ENDPOINT}/{address.repo}"
    elsewhere = (
        f"or download {address.file} from {page} on another machine and pass its path as --weights, or set HF_HOME to "
        "a cache that holds it and HF_HUB_OFFLINE=1"
    )
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 403:
        return (
            f"the account whose token is in use has no access to {address.repo}: ask for it on {page}, wait until it "
            "is granted, or use the token of an account that has it (`hf auth login` or HF_TOKEN)"
        )
    if isinstance(error, errors.GatedRepoError):
        return (
            f"{address.repo} is gated: sign in on {page} and accept its conditions, then run `hf auth login` or set "
            f"HF_TOKEN to a token of that account; {elsewhere}"
        )
    if isinstance(error, errors.RepositoryNotFoundError):
        return (
            f"there is no repository {address.repo}, or it is private: check the name, or give a token of an account "
            f"that may read it (`hf auth login` or HF_TOKEN); {elsewhere}"
        )
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{address.repo} has no revision {address.revision or 'main'}: {page}/commits lists those that it has"
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return f"{address.repo} has no file {address.file}: name one of {page}/tree/main as {HUB}{address.repo}/FILE"
    if huggingface_hub.constants.is_offline_mode():
        return (
            f"HF_HUB_OFFLINE is set and the cache ({huggingface_hub.constants.HF_HUB_CACHE}) does not hold it: unset "
            f"HF_HUB_OFFLINE once where there is a network, {elsewhere}"
        )
    reason = " ".join(f"{type(error).__name__}: {error}".split())
    if "Consistency check failed" in reason:
        return f"it arrived incomplete ({reason}): run the command again, {elsewhere}"
    return f"{reason}; run the command again where {huggingface_hub.constants.ENDPOINT} can be reached, {elsewhere}"


def _progress() -> Any:
    """The hub's bar; a line every ten seconds where standard error is no terminal, in which the hub would show none."""
    from huggingface_hub.utils import tqdm

    class Progress(tqdm):  # type: ignore[misc]
        def __init__(self, *arguments: Any, **options: Any):
            if not sys.stderr.isatty():
                options |= {"disable": False, "mininterval": _SECONDS, "ascii": True}
            super().__init__(*arguments, **options)  # which disables it where HF_HUB_DISABLE_PROGRESS_BARS says so

    return Progress
