"""What a pickle refers to by name, and which of it is never part of a checkpoint."""

import dataclasses

MAX_LINE = 256  # bytes of a name
_MAX_KEY = 2**31  # larger integers can be chosen to collide in a dict
_LONGEST = 8  # parts of a tuple that may be a key

# Names that no training leaves in a checkpoint. Nothing is called either way; a file that asks for it is not trusted.
_HOSTILE = {
    *(
        "os",
        "posix",
        "nt",
        "sys",
        "subprocess",
        "pty",
        "shutil",
        "socket",
        "runpy",
        "importlib",
        "webbrowser",
        "ctypes",
    ),
    *("pickle", "marshal", "types", "code", "pdb", "timeit", "asyncio", "multiprocessing", "pip", "urllib", "http"),
}
_HARMLESS_BUILTINS = {"object", "set", "frozenset", "complex", "bytearray", "slice", "range", "list", "dict", "tuple"}


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Name:
    """What the pickle refers to by module and attribute; it is never imported."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Foreign:
    """Stands for an object of a class that is not known: the class's name, none of its contents."""

    text: str


def is_key(value: object) -> bool:
    """Whether a value may be a key: its hash costs nothing, and cannot be chosen to collide with others.

    Args:
        value: what the pickle gives as a key.

    Returns:
        True for str and for small int.
    """
    return type(value) is str or (type(value) is int and abs(value) <= _MAX_KEY)


def is_plain_tuple(value: tuple) -> bool:
    """Whether a tuple is one of a few values, rather than tuples inside each other, whose hash may take for ever.

    Args:
        value: what the pickle gives as a key.

    Returns:
        True for a short one of str, int, float, bool and None.
    """
    return len(value) <= _LONGEST and all(type(part) in (str, int, float, bool, type(None)) for part in value)


def is_hostile(module: str, attribute: str) -> bool:
    """Whether a name is a function of the system's, or an attribute of a class, rather than a class.

    Args:
        module: module that the pickle names.
        attribute: what it names in that module.

    Returns:
        True if no training leaves it in a checkpoint.
    """
    if module in ("builtins", "__builtin__"):
        return attribute not in _HARMLESS_BUILTINS
    return module.split(".")[0] in _HOSTILE or "." in attribute
