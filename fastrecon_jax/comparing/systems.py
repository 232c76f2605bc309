"""What is compared: one method with one group of settings, whose parts may come from several runs."""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from fastrecon_jax.command_line.fields import shortened
from fastrecon_jax.comparing.runs import Cell, Run, described
from fastrecon_jax.comparing.scores import Group
from fastrecon_jax.encoders.encoder import NONE
from fastrecon_jax.errors import InputError
from fastrecon_jax.evaluation.tables import Row

# Of the settings of eval, what makes another system of a method.
_OF_IMAGES = ("image_size", "crop_size", "tile", "support_copies", "image_score", "dtype", "support")
_OF_ENCODER = ("encoder", "weights_sha256", "stages", "encoder_options")


class Key(NamedTuple):
    """A part, a number of shots, and a draw, whose seed is None where there is only one."""

    part: str
    shots: int
    seed: int | None


class System(NamedTuple):
    """One line of the leaderboard.

    Attributes:
        name: its own, for people.
        method: as the runs have it; the name of the run where they have none.
        encoder: empty where unknown.
        runs: from which its cells are.
        cells: its fits.
    """

    name: str
    method: str
    encoder: str
    runs: tuple[Run, ...]
    cells: dict[Key, Cell]

    def shots(self) -> list[int]:
        """Its numbers of shots, ascending."""
        return sorted({key.shots for key in self.cells})

    def parts(self, shots: int) -> list[str]:
        """Its parts with a number of shots, in the order of its runs."""
        return list(dict.fromkeys(key.part for key in self.cells if key.shots == shots))

    def draws(self, part: str, shots: int) -> list[int | None]:
        """Its draws of a part with a number of shots, in the order of its runs."""
        return [key.seed for key in self.cells if key[:2] == (part, shots)]


class _Piece(NamedTuple):
    """What one run has of one method."""

    run: Run
    method: str
    identity: str  # equal in all runs of a system
    cells: dict[Key, Cell]


def gather(runs: Sequence[Run]) -> tuple[list[System], list[str]]:
    """The systems of some runs, and what had to be taken for granted, as lines for people.

    Parts of one method are joined where the settings are the same, or the user gave the runs one name, and no fit is
    there twice. InputError where a part or a number of shots cannot be told, or runs of one name have a fit in common.
    """
    taken: list[str] = []
    known = _categories(runs)
    shots = sorted({group.shots for run in runs for group in run.cells if group.shots is not None})
    pieces = [piece for run in runs for piece in _pieces(run, known, shots, taken)]
    groups: list[list[_Piece]] = []
    for piece in pieces:
        same = [of for of in groups if (of[0].method, of[0].identity) == (piece.method, piece.identity)]
        free = [of for of in same if not any(piece.cells.keys() & other.cells.keys() for other in of)]
        if same and not free and piece.run.label:
            twice = next(key for other in same[0] for key in piece.cells if key in other.cells)
            raise InputError(
                f"{piece.run.path} has {described(Group(None, twice.part, piece.method, *twice[1:]))} like another run "
                f"of the name {piece.run.label}: give it another name"
            )
        if free:
            free[0].append(piece)
        else:
            groups.append([piece])
    names = _distinct([_names(of, groups) for of in groups])
    return [_system(name, of) for name, of in zip(names, groups, strict=True)], taken


def _pieces(run: Run, known: Mapping[str, set[str]], shots: Sequence[int], taken: list[str]) -> list[_Piece]:
    found: dict[str, dict[Key, Cell]] = {}
    for group, cell in run.cells.items():
        if group.shots is None:
            if len(shots) > 1:
                raise InputError(
                    f"{run.path} has no column shots, and the other runs have {', '.join(map(str, shots))}: add it"
                )
            _once(taken, f"{run.name} says no number of shots: taken as {_shots(shots)}.")
        key = Key(_part(run, group, known, taken), _shots(shots) if group.shots is None else group.shots, group.seed)
        found.setdefault(group.method or run.name, {})[key] = cell
    return [_Piece(run, method, _identity(run, method), cells) for method, cells in found.items()]


def _shots(shots: Sequence[int]) -> int:
    return shots[0] if shots else 0


def _once(taken: list[str], line: str) -> None:
    if line not in taken:
        taken.append(line)


def _categories(runs: Iterable[Run]) -> dict[str, set[str]]:
    """The data sets that have each category, of all runs that say so."""
    found: dict[str, set[str]] = {}
    for run in runs:
        for group in run.cells:
            if group.dataset and group.category:
                found.setdefault(group.category, set()).add(group.dataset)
    return found


def _part(run: Run, group: Group, known: Mapping[str, set[str]], taken: list[str]) -> str:
    """`DATASET/CATEGORY`, or the category alone where no run says of which data set it is."""
    category = group.category
    if not category:
        if len(known) > 1:
            raise InputError(
                f"{run.path} has no column category, no paths CATEGORY/test/..., and the other runs have "
                f"{shortened(', '.join(known))}: add it"
            )
        category = next(iter(known), "part")
        _once(taken, f"{run.name} says no category: taken as {category}.")
    datasets: set[str] = {group.dataset} if group.dataset else known.get(category, set())
    if len(datasets) > 1:
        raise InputError(
            f"{run.path} has no column dataset, and {category} is in {', '.join(sorted(datasets))}: add it"
        )
    return "/".join(dict.fromkeys([*datasets, category]))  # some data sets are their only category


def _identity(run: Run, method: str) -> str:
    if run.label:
        return f"named {run.label}"
    if run.config is None:
        return "scores" if any(group.method for group in run.cells) else str(run.path.resolve())
    names = _OF_IMAGES if run.encoders.get(method) == NONE else (*_OF_IMAGES, *_OF_ENCODER)
    facts: Row = {name: run.config.get(name) for name in names}
    if run.config.get("meta_training"):  # weights of each category's own, made in one way
        facts["weights_sha256"] = None
    settings = run.config.get("settings")
    facts["settings"] = settings.get(method) if isinstance(settings, dict) else None
    return json.dumps(facts, sort_keys=True)


def _names(own: Sequence[_Piece], groups: Sequence[Sequence[_Piece]]) -> list[str]:
    """Names for a system, the shortest that may do first."""
    run, method = own[0].run, own[0].method
    if run.label:
        alone = sum(of[0].run.label == run.label for of in groups) == 1
        return [run.label] if alone else [f"{method} ({run.label})"]
    encoder = run.encoders.get(method, "")
    with_encoder = [f"{method} ({encoder})"] if encoder else []
    return [method, *with_encoder, f"{method} ({run.name})", f"{method} ({run.path})"]


def _distinct(candidates: Sequence[Sequence[str]]) -> list[str]:
    """The first name of each that no other one has at the same place, or else the last with a number."""
    found = []
    for own in candidates:
        counts = [Counter(other[min(i, len(other) - 1)] for other in candidates) for i in range(len(own))]
        name = next((name for i, name in enumerate(own) if counts[i][name] == 1), own[-1])
        found.append(name)
    return [f"{name} {found[: i + 1].count(name)}" if name in found[:i] else name for i, name in enumerate(found)]


def _system(name: str, pieces: Sequence[_Piece]) -> System:
    cells = {key: cell for piece in pieces for key, cell in piece.cells.items()}
    first = pieces[0]
    encoders = dict.fromkeys(encoder for piece in pieces if (encoder := piece.run.encoders.get(piece.method)))
    return System(name, first.method, ", ".join(encoders), tuple(piece.run for piece in pieces), cells)
