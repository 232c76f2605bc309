"""The support that was drawn, written as lists that `support_list` and other programs read."""

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fastrecon_jax import files
from fastrecon_jax.data.support import Draw
from fastrecon_jax.data.support_list import PUBLISHED
from fastrecon_jax.errors import InputError


class Drawn(NamedTuple):
    """What was drawn of one category.

    Attributes:
        category: its name.
        names: its training images relative to the category, sorted.
        draws: by number of shots.
    """

    category: str
    names: Sequence[str]
    draws: Mapping[int, Sequence[Draw]]


def write(path: Path, dataset: str, drawn: Sequence[Drawn]) -> None:
    """Write what was drawn: a file if the path has an ending, otherwise a directory in the published form.

    InputError where it cannot be written, or the published form cannot name an image.
    """
    if path.suffix:
        files.make_directory(path.parent, f"the directory of --write_support={path}")
        files.write_text(path, _own_form(dataset, drawn))
        return
    contents = {of.category: _published_form(path, of) for of in drawn}
    for category, text in contents.items():
        files.make_directory(path / category, f"--write_support={path}")
        files.write_text(path / category / PUBLISHED, text)


def _own_form(dataset: str, drawn: Sequence[Drawn]) -> str:
    if all(map(_is_one_list, drawn)):
        return "".join(f"{of.category}/{of.names[i]}\n" for of in drawn for i in of.draws[max(of.draws)][0].indices)
    return "".join(
        f"{dataset} {of.category} {shots} {draw.seed or 0} {of.names[i]}\n"
        for of in drawn
        for shots, draws in of.draws.items()
        for draw in draws
        for i in draw.indices
    )


def _is_one_list(of: Drawn) -> bool:
    """Whether there is one draw without a number, of which fewer shots are the first."""
    longest = of.draws[max(of.draws)][0].indices
    return all(
        draw.seed is None and draw.indices == longest[:shots] for shots, draws in of.draws.items() for draw in draws
    )


def _published_form(path: Path, of: Drawn) -> str:
    stems = Counter(Path(name).stem for name in of.names)
    lines = []
    for shots, draws in of.draws.items():
        for draw in draws:
            words = [Path(of.names[i]).stem for i in draw.indices]
            for word in words:
                if stems[word] > 1 or len(word.split()) != 1:
                    raise InputError(
                        f"--write_support={path} is not possible: the published form cannot name image {word} of "
                        f"{of.category}, whose name {'is not its own' if stems[word] > 1 else 'has spaces'}; pass a "
                        f"file such as {path}.txt"
                    )
            lines.append(f"{'#' if draw.seed is None else f'{draw.seed}-'}{shots}: {' '.join(words)}\n")
    return "".join(lines)
