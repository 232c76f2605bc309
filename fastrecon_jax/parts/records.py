"""From JSON to typed records: every field of its type, and no other; those with a default may be missing."""

import dataclasses
import functools
import math
import types
from typing import Any, Union, get_args, get_origin, get_type_hints


class MalformedError(Exception):
    """A value that is not of its type; the message says where it is."""


def build(kind: Any, value: Any, where: str = "header") -> Any:
    """A value of a type, made from what JSON gave; `where` it stands is for the message.

    The type is a dataclass, a NamedTuple, str, int, float, bool, None, a union of them, tuple[T, ...] or dict[str, T].
    MalformedError if the value is not of that type, a field is missing or unknown, or a number is not finite.
    """
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind) or hasattr(kind, "_fields"):
        return _record(kind, value, where)
    origin, arguments = get_origin(kind), get_args(kind)
    if origin is tuple:
        items = enumerate(_instance(list, value, where))
        return tuple(build(arguments[0], item, f"{where}[{i}]") for i, item in items)
    if origin is dict:
        items = _instance(dict, value, where).items()
        return {key: build(arguments[1], item, f"{where}.{key}") for key, item in items}
    if kind is type(None) and value is None:
        return None
    if origin in (Union, types.UnionType):
        return _union(arguments, value, where)
    if kind is float and type(value) is int:  # JSON writes 1.0 as either
        value = float(value)
    if type(value) is not kind or (kind is float and not math.isfinite(value)):
        raise MalformedError(f"{where} is {str(value)[:40]!r}, expected {getattr(kind, '__name__', kind)}")
    return value


def _record(kind: Any, value: Any, where: str) -> Any:
    hints = _hints(kind)
    fields = _instance(dict, value, where)
    wrong = (set(hints) - set(fields) - _optional(kind)) | (set(fields) - set(hints))
    if wrong:
        raise MalformedError(f"{where}: {', '.join(sorted(map(str, wrong)))[:200]} missing or unknown")
    return kind(**{name: build(hints[name], value, f"{where}.{name}") for name, value in fields.items()})


_hints = functools.cache(get_type_hints)  # it takes longer than all the rest


def _optional(kind: Any) -> set[str]:
    """Fields with a default: an older program did not know them."""
    if not dataclasses.is_dataclass(kind):
        return set(kind._field_defaults)
    return {field.name for field in dataclasses.fields(kind) if field.default is not dataclasses.MISSING}


def _union(members: tuple[Any, ...], value: Any, where: str) -> Any:
    for member in members:
        try:
            return build(member, value, where)
        except MalformedError:
            continue
    raise MalformedError(f"{where} is {str(value)[:40]!r}, expected one of {', '.join(map(str, members))}")


def _instance(kind: type, value: Any, where: str) -> Any:
    if not isinstance(value, kind):
        raise MalformedError(f"{where} is {str(value)[:40]!r}, expected a {kind.__name__}")
    return value
