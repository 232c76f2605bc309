"""Who may call the demo, and what: names of the server, origins of pages, routes and sizes. Pure functions."""

import ipaddress
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import NamedTuple

LOOPBACK = ("localhost", "127.0.0.1", "::1")
ANY = "*"
_WILDCARDS = ("0.0.0.0", "::")
_HOST = re.compile(r"(\[[0-9a-f:.]+\]|[a-z0-9._-]+)(:[0-9]{1,5})?")
_PORTS = {"http": 80, "https": 443}
_API = "/gradio_api"
_FILE = f"{_API}/file="
UPLOAD = f"{_API}/upload"
# What the page and the clients of the API ask for. All else of Gradio stays closed: its proxies, which fetch what a
# caller names, its description of itself for other programs, and its routes for development.
_READ = re.compile(
    r"/|/config/?|/theme\.css|/favicon\.ico|/manifest\.json|/robots\.txt|/pwa_icon(/\d+)?|/(assets|static|svelte)/.+"
    rf"|{_API}/(info/?|app_id/?|login_check/?|theme\.css|startup-events|upload_progress|queue/(data|status))"
    rf"|{_API}/heartbeat/[^/]+|{_API}/call/(v2/)?[^/]+/[^/]+|{_API}/file=.+"
)
_WRITE = re.compile(rf"{_API}/(upload|queue/join/?|cancel/?|reset/?|call/(v2/)?[^/]+/?)")


class Refusal(NamedTuple):
    """An answer instead of what was asked for.

    Attributes:
        status: of HTTP.
        reason: a sentence.
    """

    status: int
    reason: str


class Request(NamedTuple):
    """What decides whether a request is answered.

    Attributes:
        method: of HTTP.
        path: decoded.
        headers: by their names in lower case; of one that came several times all values, joined by commas.
        address: of this computer by which the request came.
    """

    method: str
    path: str
    headers: Mapping[str, str]
    address: str


class Limits(NamedTuple):
    """What is answered.

    Attributes:
        names: of the server, in lower case; `*` for any.
        directory: where uploads and files of parts are.
        upload: bytes of the files of one request.
        call: bytes of any other request.
    """

    names: Collection[str]
    directory: Path
    upload: int
    call: int = 10**6


def names(host: str, allowed: Collection[str]) -> frozenset[str]:
    """The names by which the server may be called: those of loopback, its own, and those that are allowed."""
    own = () if host in _WILDCARDS else (host,)
    return frozenset(name.lower().strip("[]") for name in (*LOOPBACK, *own, *allowed))


def refusal(request: Request, limits: Limits) -> Refusal | None:
    """Why a request is not answered; None where it is."""
    return (
        _by_name(request, limits.names)
        or _by_origin(request)
        or _by_route(request, limits)
        or _by_size(request, limits)
    )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this computer alone."""
    address = _address(host)
    return host == "localhost" if address is None else address.is_loopback


def is_name(text: str) -> bool:
    """Whether this is a name or an address, without scheme, port and path, or `*`."""
    parsed = _parsed(text)
    return text == ANY or _address(text) is not None or (parsed is not None and parsed[1] is None)


def _by_name(request: Request, allowed: Collection[str]) -> Refusal | None:
    """Against DNS rebinding: a page elsewhere may have its own name lead to this address, but not use our names."""
    host = request.headers.get("host", "")
    parsed = _parsed(host)
    if parsed is None:
        return Refusal(400, f"the header Host must name the server once, not {host[:80]!r}")
    if ANY in allowed or parsed[0] in allowed or _same_address(parsed[0], request.address):
        return None
    return Refusal(400, f"the demo does not answer to the name {parsed[0][:80]!r}: start it with --allowed_hosts=NAME")


def _by_origin(request: Request) -> Refusal | None:
    """Against pages elsewhere that have a visitor's browser call the demo; programs send neither header."""
    headers = request.headers
    site, opens = headers.get("sec-fetch-site", "none"), request.method in ("GET", "HEAD") and request.path == "/"
    # A link may lead here, whereas a page elsewhere may not embed, read or post anything.
    follows = opens and headers.get("sec-fetch-mode") == "navigate" and headers.get("sec-fetch-dest") == "document"
    if site not in ("none", "same-origin") and not follows:
        return Refusal(403, "pages of other sites may not call the demo")
    origin = headers.get("origin")
    if origin is not None and not _is_same(origin, headers["host"]):
        return Refusal(403, f"pages of {origin[:80]!r} may not call the demo")
    return None


def _by_route(request: Request, limits: Limits) -> Refusal | None:
    if request.method not in ("GET", "HEAD", "POST"):
        return Refusal(405, f"there is no {request.method[:20]} here")
    routes = _WRITE if request.method == "POST" else _READ
    if not routes.fullmatch(request.path) or "\\" in request.path or ".." in request.path.split("/"):
        return Refusal(404, "there is nothing here")
    if request.path.startswith(_FILE) and not is_inside(request.path[len(_FILE) :], limits.directory):
        return Refusal(403, "this file is none of the demo's")
    return None


def _by_size(request: Request, limits: Limits) -> Refusal | None:
    if request.method != "POST":
        return None
    length = request.headers.get("content-length", "")
    if not re.fullmatch("[0-9]{1,18}", length):
        return Refusal(411, "the length of what is sent must be said (Content-Length)")
    allowed = limits.upload if request.path == UPLOAD else limits.call
    if int(length) > allowed:
        return Refusal(413, f"{int(length)} bytes are more than the {allowed} that the demo takes at once")
    return None


def is_inside(path: object, directory: Path) -> bool:
    """Whether this is the path of a file below a directory, links followed."""
    if not isinstance(path, str) or "\0" in path or not Path(path).is_absolute():
        return False
    try:
        return Path(path).resolve().is_relative_to(directory.resolve())
    except (OSError, RuntimeError):  # a name that is too long, a loop of links
        return False


def _parsed(host: str) -> tuple[str, str | None] | None:
    """Name and port of a header Host; None if it is malformed."""
    found = _HOST.fullmatch(host.lower())
    return (found[1].strip("[]"), found[2] and found[2][1:]) if found else None


def _same_address(name: str, address: str) -> bool:
    """Whether a name is the address, as a number, by which the request came: such a name cannot lead elsewhere."""
    one, other = _address(name), _address(address.partition("%")[0])
    return one is not None and one in (other, getattr(other, "ipv4_mapped", None))


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _is_same(origin: str, host: str) -> bool:
    """Whether a page's origin is the host that it calls, with the same port."""
    scheme, _, rest = origin.partition("://")
    page, called = _parsed(rest), _parsed(host)
    if scheme not in _PORTS or page is None or called is None:
        return False
    ordinary = str(_PORTS[scheme])
    return (page[0], page[1] or ordinary) == (called[0], called[1] or ordinary)


def local_names(host: str) -> str:
    """The names that need not be allowed, in words."""
    return ", ".join(LOOPBACK) if is_loopback(host) else f"{', '.join(LOOPBACK)} and this computer's IP addresses"
