"""Checkpoints of a training run: one folder per step, written whole by Orbax, and what the run was started with."""

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import PyTree, Shaped

from fastrecon_jax import files
from fastrecon_jax.errors import InputError


class Checkpoint(NamedTuple):
    """What a run is taken up from: its state, and the losses of the steps that it has taken, (step, ...)."""

    step: int
    state: PyTree
    losses: Shaped[np.ndarray, "step *_"]


def latest(directory: Path, identity: Mapping[str, Any], state: PyTree) -> Checkpoint | None:
    """The last whole checkpoint of a directory; None if it holds none.

    `identity` is what decides the run's result, as JSON holds it; `state` has the shapes and types that are read.
    InputError where the directory holds checkpoints of another run, or a checkpoint cannot be read.
    """
    if not files.is_dir(directory):
        return None
    with _manager(directory) as manager:
        step = manager.latest_step()
        if step is None:
            return None
        of_run = _read(directory, manager, step, "identity")
        if differing := sorted(_differing(_plain(identity), of_run)):
            raise InputError(
                f"{directory} holds checkpoints of another training run, which differs in {', '.join(differing)}: "
                "name another directory, or remove this one"
            )
        read = _read(directory, manager, step, "arrays")
    leaves, tree = jax.tree.flatten(state)
    stored = [read[_name(i)] for i in range(len(read) - 1)]
    if [(np.shape(x), x.dtype) for x in leaves] != [(np.shape(x), x.dtype) for x in stored]:
        raise InputError(f"{directory}: the checkpoint of step {step} holds arrays of other shapes than this run's")
    return Checkpoint(step, jax.tree.unflatten(tree, stored), np.asarray(read["losses"]))


def save(directory: Path, identity: Mapping[str, Any], checkpoint: Checkpoint) -> None:
    """Write a checkpoint, and only then remove the one before; InputError where it cannot be written."""
    import orbax.checkpoint as ocp

    arrays = {_name(i): leaf for i, leaf in enumerate(jax.tree.leaves(checkpoint.state))}
    arguments = ocp.args.Composite(
        arrays=ocp.args.StandardSave(arrays | {"losses": checkpoint.losses}), identity=ocp.args.JsonSave(dict(identity))
    )
    try:
        with _manager(directory) as manager:
            manager.save(checkpoint.step, args=arguments)
            manager.wait_until_finished()
    except OSError as error:
        raise InputError(f"{directory}: a checkpoint cannot be written: {files.reason(error)}") from None


def _manager(directory: Path) -> Any:
    import orbax.checkpoint as ocp

    logging.getLogger("absl").setLevel(max(logging.getLogger("absl").level, logging.WARNING))
    options = ocp.CheckpointManagerOptions(max_to_keep=1, enable_async_checkpointing=False)
    return ocp.CheckpointManager(directory.absolute(), options=options)


def _read(directory: Path, manager: Any, step: int, item: str) -> Any:
    import orbax.checkpoint as ocp

    kind = ocp.args.JsonRestore() if item == "identity" else ocp.args.StandardRestore()
    try:
        return manager.restore(step, args=ocp.args.Composite(**{item: kind}))[item]
    except (OSError, ValueError, KeyError) as error:
        line = str(error).strip().split("\n")[0]
        raise InputError(f"{directory}: the checkpoint of step {step} cannot be read: {line}") from None


def _name(leaf: int) -> str:
    return f"leaf_{leaf}"


def _plain(identity: Mapping[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(dict(identity)))


def _differing(one: Mapping[str, Any], other: Mapping[str, Any]) -> set[str]:
    return {name for name in one.keys() | other.keys() if one.get(name) != other.get(name)}
