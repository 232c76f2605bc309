"""The calls of the API before Gradio sees them: files are those that were uploaded, named by their paths alone."""

import json
from pathlib import Path
from typing import Any

from fastrecon_jax.errors import InputError
from fastrecon_jax.serving import access

_META = {"_type": "gradio.FileData"}


def checked(body: bytes, directory: Path) -> bytes:
    """A call as JSON in which each file is one below `directory`, and addresses are gone; InputError if it is none.

    Gradio would fetch what an address names. Its clients send one beside the path of an upload, which says the same.
    """
    try:
        call = json.loads(body)
    except (ValueError, RecursionError):
        raise InputError("the call is not JSON") from None
    if not isinstance(call, dict):
        raise InputError("the call is not an object of JSON")
    left: list[Any] = [call]
    while left:
        value = left.pop()
        if isinstance(value, dict) and ("path" in value or "url" in value):
            _check_file(value, directory)
        if isinstance(value, dict | list):
            left.extend(value.values() if isinstance(value, dict) else value)
    return json.dumps(call).encode()


def _check_file(file: dict[str, Any], directory: Path) -> None:
    if not access.is_inside(file.get("path"), directory):
        named = str(file.get("path") or file.get("url"))[:200]
        raise InputError(f"{named!r} is not an uploaded file: upload it first, the demo opens and fetches nothing else")
    file |= {"url": None, "meta": _META}
