"""Lists of support images in text files: our own format and the two that are published with few-shot papers.

Our own, a file with one image a line, of two kinds that do not mix:

    CATEGORY/train/good/NAME.png                        the first k of a category are its k shots
    DATASET CATEGORY SHOTS ROUND train/good/NAME.png    the images of one round, in order

The published ones, a directory with CATEGORY/selected_samples_per_run.txt, or one such file for a single category; in
place of one file there may be several, selected_samples_per_run_SEED.txt, each of them a round:

    #SHOTS: 013 048 053                                 one list a shot count
    ROUND-SHOTS: 013 048 053                            one list a round and shot count

where a word is the name of a training image without its ending or, if there is none of that name, its number in the
sorted list, from 0. Other lines that start with # are comments.

Paths may be written as Windows and `find` write them, with backslashes, with `./` or the folder of the data set in
front, and letters with accents in one piece or two; names may hold spaces.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.command_line.console import shown
from fastrecon_jax.errors import InputError

PUBLISHED = "selected_samples_per_run.txt"
_NUMBERED = re.compile(r"selected_samples_per_run_(\d{1,10})\.txt")
_NUMBER = r"\d{1,10}"
_PUBLISHED_LINE = re.compile(rf"(#|(?P<round>{_NUMBER})-)(?P<shots>{_NUMBER}):\s*(?P<words>.*)")
_ROUND_LINE = re.compile(rf"\S.*\s{_NUMBER}\s+{_NUMBER}\s+\S.*")  # of any data set and category
_FORMS = (
    "CATEGORY/train/good/NAME.png",
    "DATASET CATEGORY SHOTS ROUND train/good/NAME.png",
    "ROUND-SHOTS: NAME NAME",
)
_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}  # at the start of what PowerShell writes
_SHOWN = 100  # signs of a line in a message


class Round(NamedTuple):
    """One list of support images.

    Attributes:
        number: the round's; None where the list has no rounds.
        indices: which training images of the category.
    """

    number: int | None
    indices: tuple[int, ...]


class _Entry(NamedTuple):
    """A name in the list, and the number of its line, from 1."""

    line: int
    name: str


def read(path: Path, dataset: str, category: str, names: Sequence[str], shots: int) -> tuple[Round, ...]:
    """The rounds of k = `shots` different images that a list, a file or published directory, holds for a category.

    `names` are its training images relative to the category, sorted. InputError where the list cannot be read, has a
    line of another form than the others, holds nothing for the category and shots, names an image that is not there or
    one twice, or a round has not k images.
    """
    path = files.expanded(str(path), "support")
    if not files.is_dir(path):
        return _read(path, dataset, category, names, shots)
    file = path / category / PUBLISHED
    rounds = [] if files.is_file(file) else _numbered(path / category)
    return tuple(
        listed._replace(number=number)
        for number, own in rounds
        for listed in _read(own, dataset, category, names, shots)
    ) or _read(file, dataset, category, names, shots)


def _numbered(folder: Path) -> list[tuple[int, Path]]:
    """The files of single seeds, by seed."""
    found = ((path, _NUMBERED.fullmatch(path.name)) for path in files.children(folder)) if files.is_dir(folder) else ()
    return sorted((int(match[1]), path) for path, match in found if match)


def _read(file: Path, dataset: str, category: str, names: Sequence[str], shots: int) -> tuple[Round, ...]:
    every = _lines(file)
    lines = [line for line in every if not line.name.startswith("#")]
    if not lines or _PUBLISHED_LINE.fullmatch(lines[0].name):
        _check(file, lines, lambda line: bool(_PUBLISHED_LINE.fullmatch(line)), _FORMS[2])
        listed = _published(every, shots)
    elif _ROUND_LINE.fullmatch(lines[0].name) and not _below(lines[0].name, category, names):
        _check(file, lines, lambda line: bool(_ROUND_LINE.fullmatch(line)), _FORMS[1])
        listed = _rounds(lines, dataset, category, names, shots)
    else:
        _check(file, lines, lambda line: "/" in _posix(line), _FORMS[0])
        listed = {None: _plain(lines, category, names)[:shots]}
    if not any(listed.values()):
        first = f"; its line {every[0].line} is {_short(every[0].name)}" if every else ", it is empty"
        raise InputError(f"support list {file} has nothing for {shots} shots of {category} of {dataset}{first}")
    return tuple(Round(number, _indices(file, entries, category, names, shots)) for number, entries in listed.items())


def _lines(file: Path) -> list[_Entry]:
    """The lines that say something, without the spaces around them."""
    try:
        data = file.read_bytes()
        text = data.decode(_MARKS.get(data[:2], "utf-8-sig"))
    except OSError as error:
        raise InputError(
            f"--support={file} is neither first nor random nor a file that can be read: {files.reason(error)}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"support list {file} is not a text file") from None
    # Not splitlines: a name may hold the signs at which it splits besides the ends of lines.
    numbered = [_Entry(i, line.strip()) for i, line in enumerate(re.split(r"\r\n|\n|\r", text), 1)]
    return [line for line in numbered if line.name]


def _check(file: Path, lines: Sequence[_Entry], fits: Callable[[str], bool], form: str) -> None:
    for line in lines:
        if not fits(line.name):
            raise InputError(f"support list {file}, line {line.line} does not fit {form}: {_short(line.name)}")


def _short(text: str) -> str:
    return shown(text if len(text) <= _SHOWN else f"{text[:_SHOWN]}...")


def _posix(path: str) -> str:
    """A path with slashes, as `find` and Windows write it too."""
    return re.sub(r"^(\./+)+", "", re.sub(r"[\\/]+", "/", path))


def _composed(text: str) -> str:
    """A name with its accents in one piece, as which two names are compared."""
    return unicodedata.normalize("NFC", text)


def _below(path: str, category: str, names: Sequence[str]) -> str:
    """The path below the category's folder; empty if it does not start there, nor is an image of the category."""
    whole, folder = _posix(path), f"{category}/"
    if path.removeprefix(folder) in names:  # as it stands, with whatever backslashes a name holds
        return path.removeprefix(folder)
    for form, wanted in ((whole, folder), (_composed(whole), _composed(folder))):
        if form.startswith(wanted):
            return form.removeprefix(wanted)
        _, found, below = form.partition(f"/{wanted}")
        if found and _composed(below) in map(_composed, names):
            return below
    return ""


def _published(lines: Sequence[_Entry], shots: int) -> dict[int | None, list[_Entry]]:
    matches = [(line.line, match) for line in lines if (match := _PUBLISHED_LINE.fullmatch(line.name))]
    return {
        None if match["round"] is None else int(match["round"]): [_Entry(line, word) for word in match["words"].split()]
        for line, match in matches
        if int(match["shots"]) == shots
    }


def _rounds(
    lines: Sequence[_Entry], dataset: str, category: str, names: Sequence[str], shots: int
) -> dict[int | None, list[_Entry]]:
    """By the number of the round; data set and category are compared as a whole, since both may hold spaces."""
    wanted = r"\s+".join(re.escape(word) for word in f"{_composed(dataset)} {_composed(category)}".split())
    own = re.compile(rf"{wanted}\s+(?P<shots>{_NUMBER})\s+(?P<round>{_NUMBER})\s+(?P<file>\S.*)")
    known = set(map(_composed, names))
    rounds: dict[int | None, list[_Entry]] = {}
    for line in lines:
        match = own.fullmatch(_composed(line.name))
        if match and int(match["shots"]) == shots:
            name = _posix(match["file"])
            # `plate 2` of `set plate 2 2 0 FILE` may be a category with a number in its name: another one.
            if name in known or not re.match(rf"{_NUMBER}\s+\S", name):
                rounds.setdefault(int(match["round"]), []).append(_Entry(line.line, name))
    return rounds


def _plain(lines: Sequence[_Entry], category: str, names: Sequence[str]) -> list[_Entry]:
    below = [_Entry(line.line, _below(line.name, category, names)) for line in lines]
    return [entry for entry in below if entry.name]


def _indices(file: Path, entries: Sequence[_Entry], category: str, names: Sequence[str], shots: int) -> tuple[int, ...]:
    if len(entries) != shots:
        raise InputError(f"support list {file} has {len(entries)} images for {shots} shots of {category}")
    composed = {_composed(name): i for i, name in enumerate(names)}
    by_name = composed | {name: i for i, name in enumerate(names)}
    by_name |= {Path(name).stem: i for name, i in by_name.items()}
    indices = []
    for line, word in entries:
        number = int(word) if re.fullmatch(_NUMBER, word) else len(names)
        index = by_name.get(word, by_name.get(_composed(word), number))
        if index >= len(names):
            raise InputError(
                f"support list {file} names {_short(word)}, which is not among the {len(names)} training images of "
                f"{category}: line {line}"
            )
        indices.append(index)
    if len(set(indices)) < shots:
        words = " ".join(entry.name for entry in entries)
        raise InputError(f"support list {file} names an image of {category} more than once: {words}")
    return tuple(indices)
