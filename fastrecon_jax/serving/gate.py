"""What stands between a browser and Gradio: who may call and what is decided in `access`, files in `bodies`."""

import contextlib
import json
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import Any, TypeAlias

from fastrecon_jax.errors import InputError
from fastrecon_jax.serving import access, bodies
from fastrecon_jax.serving.access import Limits, Refusal, Request

Scope: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send: TypeAlias = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

_POLICY = (
    "default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' data: blob:; worker-src 'self' blob:; "
    "frame-ancestors 'none'; form-action 'self'; base-uri 'self'"
)
# By these, browsers load nothing from elsewhere, whatever a page asks for, and no page elsewhere can use what is here.
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-content-type-options", b"nosniff"),
)


class Gate:
    """Answers what may be asked for, with headers that keep other pages out, and refuses the rest in a line of text."""

    def __init__(self, application: Application, limits: Limits, stored: int):
        self._application, self._limits, self._stored = application, limits, stored

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the start and the end of the server."""
        if scope["type"] == "lifespan":
            return await self._application(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})

        async def guarded(message: MutableMapping[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", ()), *_HEADERS]
            await send(message)

        request = _request(scope)
        refused = access.refusal(request, self._limits) or self._full(request)
        if not refused and request.method == "POST" and request.path != access.UPLOAD:
            try:
                scope, receive = await _checked(scope, receive, self._limits.directory)
            except InputError as error:
                refused = Refusal(400, str(error))
        if refused:
            # Clients take the reasons of refused calls from JSON, and those of uploads as text.
            return await _answer(refused, guarded, as_json=request.method == "POST" and request.path != access.UPLOAD)
        return await self._application(scope, receive, guarded)

    def _full(self, request: Request) -> Refusal | None:
        if request.path != access.UPLOAD:
            return None
        if _size(self._limits.directory) + int(request.headers["content-length"]) <= self._stored:
            return None
        return Refusal(507, "the demo holds as much as --max_stored_mb allows: uploads are removed after an hour")


def _request(scope: Scope) -> Request:
    headers: dict[str, str] = {}
    for key, value in scope["headers"]:
        name, text = key.decode("latin-1").lower(), value.decode("latin-1")
        headers[name] = f"{headers[name]},{text}" if name in headers else text
    return Request(scope["method"], scope["path"], headers, (scope.get("server") or ("",))[0])


async def _checked(scope: Scope, receive: Receive, directory: Path) -> tuple[Scope, Receive]:
    """The same request with its body checked, which is short."""
    body, more = b"", True
    while more:
        message = await receive()
        if message["type"] != "http.request":
            raise InputError("the call ended too early")
        body, more = body + message.get("body", b""), message.get("more_body", False)
    body = bodies.checked(body, directory)
    # Whatever it was called: it is JSON now.
    replaced = ((b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()))
    kept = [(key, value) for key, value in scope["headers"] if key.lower() not in dict(replaced)]
    pending = [{"type": "http.request", "body": body, "more_body": False}]

    async def replayed() -> MutableMapping[str, Any]:
        return pending.pop() if pending else await receive()

    return {**scope, "headers": [*kept, *replaced]}, replayed


async def _answer(refused: Refusal, send: Send, *, as_json: bool) -> None:
    kind, text = "text/plain; charset=utf-8", f"{refused.reason}\n"
    if as_json:
        kind, text = "application/json", json.dumps({"detail": refused.reason})
    headers = [(b"content-type", kind.encode()), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": refused.status, "headers": headers})
    await send({"type": "http.response.body", "body": text.encode()})


def _size(directory: Path) -> int:
    """Bytes of the files below a directory, of which some may be removed meanwhile."""
    size = 0
    for file in directory.rglob("*"):
        with contextlib.suppress(OSError):
            size += file.stat().st_size if file.is_file() else 0
    return size
