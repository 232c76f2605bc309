"""What people read: streams that show every name, numbers, and names without signs that a terminal acts upon."""

import sys
import unicodedata

_JOINERS = "\u200c\u200d"  # of Persian, Indic scripts and emoji: they change letters, not lines
_UNSEEN = ("Cc", "Cf", "Cs", "Zl", "Zp")  # controls, formats such as marks of direction, surrogates, ends of lines
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def show_everything() -> None:
    """Let standard output and error escape what their encoding cannot hold, instead of ending the program."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # else something of the caller's stands in its place, or nothing
            stream.reconfigure(errors="backslashreplace")


def shown(text: object, keep: str = "") -> str:
    r"""A name for people: signs that a terminal acts upon, or that cannot be seen, as `\x1b`, `\n`, `\u202e`.

    Those in `keep` stay as they are.
    """
    text = str(text)
    if text.isascii() and text.isprintable():
        return text
    return "".join(sign if sign in keep else _escaped(sign) for sign in text)


def _escaped(sign: str) -> str:
    if unicodedata.category(sign) not in _UNSEEN or sign in _JOINERS:
        return sign
    code = ord(sign)
    wide = f"\\U{code:08x}" if code >= 2**16 else f"\\u{code:04x}"
    return _SHORT.get(sign) or (wide if code >= 2**8 else f"\\x{code:02x}")


def count(number: int, singular: str, plural: str = "") -> str:
    """Such as `1 category` and `8 images`; the plural is the singular with an s unless it is given."""
    return f"{number} {singular if number == 1 else plural or singular + 's'}"


def percent(share: float) -> str:
    """A fraction as `1 %`, with two digits that count; tiny ones as `under 0.01 %`."""
    return f"{100 * share:.2g} %" if share >= 1e-4 else "under 0.01 %"
