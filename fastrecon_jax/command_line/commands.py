"""The commands by name, found as modules so that one command does not import the others."""

import dataclasses
import importlib
import sys
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import NamedTuple

from fastrecon_jax.command_line import console, flags, presets
from fastrecon_jax.errors import InputError


class Command(NamedTuple):
    """A command.

    Attributes:
        module: with `CONFIG`, the frozen dataclass of its settings, `main`, which reads and runs them, and, where the
            command has presets, `PRESETS`.
        summary: one line for the list of commands.
    """

    module: str
    summary: str


COMMANDS = {
    "eval": Command("fastrecon_jax.eval", "evaluate methods on a data set: tables, plots, scores"),
    "compare": Command("fastrecon_jax.compare", "several runs as one table: what a difference is worth"),
    "fit": Command("fastrecon_jax.fit", "fit and calibrate a part on 1 to 8 good photographs"),
    "predict": Command("fastrecon_jax.predict", "inspect photographs with a fitted part, once or as they arrive"),
    "join": Command("fastrecon_jax.inspection.join", "join the results of predict --shard"),
    "extend": Command("fastrecon_jax.extend", "add good photographs to a part"),
    "report": Command("fastrecon_jax.report", "a page on what a part finds and forgives, from good photographs"),
    "export": Command("fastrecon_jax.export", "write a part as ONNX or StableHLO"),
    "demo": Command("fastrecon_jax.demo", "a page to fit and inspect on, at http://127.0.0.1:7860"),
    "pretrain": Command("fastrecon_jax.pretrain", "meta-train an encoder on other categories"),
    "prepare": Command("fastrecon_jax.data.tfds.command", "prepare a published data set with TFDS"),
    "encoders": Command("fastrecon_jax.encoders.command", "list the encoders and whether their weights are here"),
    "doctor": Command("fastrecon_jax.doctor", "check this installation and say what is wrong with it"),
}


def load(name: str) -> ModuleType:
    """The module of a command.

    Raises:
        InputError: there is no such command.
    """
    if name not in COMMANDS:
        raise InputError(f"unknown command {name!r}: allowed are {', '.join(COMMANDS)}")
    return importlib.import_module(COMMANDS[name].module)


def flags_of(name: str) -> set[str]:
    """Names of the flags of a command, without absl's own; the errors are those of `load`."""
    module = load(name)
    names = {"preset"} if hasattr(module, "PRESETS") else set()
    for field in dataclasses.fields(module.CONFIG):
        names |= set(field.metadata[flags.OPTIONS]()) if flags.OPTIONS in field.metadata else {field.name}
    return names


def usage() -> str:
    """The list of commands."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name.ljust(width)}  {command.summary}" for name, command in COMMANDS.items()]
    return (
        "usage: fastrecon COMMAND --flag=value ...\n\n" + "\n".join(lines) + "\n\nfastrecon COMMAND --help: its flags\n"
    )


def run(config: type, main: Callable[[], int | None], known: Mapping[str, presets.Preset] | None = None) -> None:
    """Define the flags of a command, parse them and run it; ends the process with its exit code.

    `known` are the command's presets, with which it has a flag --preset.
    """
    flags.define(config)
    names = [field.name for field in dataclasses.fields(config) if field.metadata.get(flags.POSITIONAL)]
    if known is None:
        flags.run(main, *names)
        return
    presets.define(known)

    def filled_in() -> int | None:
        tell(presets.fill_in(known))
        return main()

    flags.run(filled_in)


def tell(text: str) -> None:
    """Write text for people and flush it, into a log file too, so that what a long run does is seen while it runs.

    Signs that a terminal would act upon are escaped, except the ends of lines: who puts a name into a line that may
    hold such an end escapes the name, see `console.shown`.
    """
    sys.stdout.write(console.shown(text, keep="\n"))
    sys.stdout.flush()
