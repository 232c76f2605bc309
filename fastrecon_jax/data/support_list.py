"""Lists of support images in text files: our own format and the two that are published with few-shot papers.

Our own, a file with one image a line, of two kinds that do not mix:

    CATEGORY/train/good/NAME.png                        the first k of a category are its k shots
    DATASET CATEGORY SHOTS ROUND train/good/NAME.png    the images of one round, in order

The published ones, a directory with CATEGORY/selected_samples_per_run.txt, or one such file for a single category:

    #SHOTS: 013 048 053                                 one list a shot count
    ROUND-SHOTS: 013 048 053                            one list a round and shot count

where a word is the name of a training image without its ending or, if there is none of that name, its number in the
sorted list, from 0. Other lines that start with # are comments.
"""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.errors import InputError

PUBLISHED = "selected_samples_per_run.txt"
_NUMBER = r"\d{1,9}"
_PUBLISHED_LINE = re.compile(rf"(#|(?P<round>{_NUMBER})-)(?P<shots>{_NUMBER}):\s*(?P<words>.*)")
_OWN_LINE = re.compile(
    rf"(?P<dataset>\S+)\s+(?P<category>\S+)\s+(?P<shots>{_NUMBER})\s+(?P<round>{_NUMBER})\s+(?P<file>\S.*)"
)


class Round(NamedTuple):
    """One list of support images.

    Attributes:
        number: the round's; None where the list has no rounds.
        indices: which training images of the category.
    """

    number: int | None
    indices: tuple[int, ...]


def read(path: Path, dataset: str, category: str, names: Sequence[str], shots: int) -> tuple[Round, ...]:
    """The rounds of k = `shots` different images that a list, a file or published directory, holds for a category.

    `names` are its training images relative to the category, sorted. InputError where the list cannot be read, holds
    nothing for the category and shots, names an image that is not there or one twice, or a round has not k images.
    """
    file = path / category / PUBLISHED if files.is_dir(path) else path
    lines = _lines(file)
    if all(_PUBLISHED_LINE.fullmatch(line) for line in lines):
        listed = _published(lines, shots)
    else:
        rows = [_OWN_LINE.fullmatch(line) for line in lines]
        listed = _own(rows, dataset, category, shots) if all(rows) else {None: _plain(lines, category, shots)}
    if not any(listed.values()):
        raise InputError(f"support list {file} has nothing for {shots} shots of {category} of {dataset}")
    return tuple(Round(number, _indices(file, words, category, names, shots)) for number, words in listed.items())


def _lines(file: Path) -> list[str]:
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8-sig").splitlines()]
    except OSError as error:
        raise InputError(
            f"--support={file} is neither first nor random nor a file that can be read: {files.reason(error)}"
        ) from None
    except UnicodeDecodeError:
        raise InputError(f"support list {file} is not a text file") from None
    return [line for line in lines if _PUBLISHED_LINE.fullmatch(line) or (line and not line.startswith("#"))]


def _published(lines: Sequence[str], shots: int) -> dict[int | None, list[str]]:
    matches = [_PUBLISHED_LINE.fullmatch(line) for line in lines]
    return {
        None if match["round"] is None else int(match["round"]): match["words"].split()
        for match in matches
        if int(match["shots"]) == shots
    }


def _own(rows: Sequence[re.Match], dataset: str, category: str, shots: int) -> dict[int | None, list[str]]:
    rounds: dict[int | None, list[str]] = {}
    for row in rows:
        if (row["dataset"], row["category"], int(row["shots"])) == (dataset, category, shots):
            rounds.setdefault(int(row["round"]), []).append(row["file"])
    return rounds


def _plain(lines: Sequence[str], category: str, shots: int) -> list[str]:
    return [line.removeprefix(f"{category}/") for line in lines if line.startswith(f"{category}/")][:shots]


def _indices(file: Path, words: Sequence[str], category: str, names: Sequence[str], shots: int) -> tuple[int, ...]:
    if len(words) != shots:
        raise InputError(f"support list {file} has {len(words)} images for {shots} shots of {category}")
    by_name = {name: i for i, name in enumerate(names)} | {Path(name).stem: i for i, name in enumerate(names)}
    indices = []
    for word in words:
        index = by_name.get(word, int(word) if re.fullmatch(_NUMBER, word) else len(names))
        if index >= len(names):
            shown = f"{word[:100]}..." if len(word) > 100 else word
            raise InputError(
                f"support list {file} names {shown}, which is not among the {len(names)} training images of {category}"
            )
        indices.append(index)
    if len(set(indices)) < shots:
        raise InputError(f"support list {file} names an image of {category} more than once: {' '.join(words)}")
    return tuple(indices)
