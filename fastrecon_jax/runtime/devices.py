"""The devices of this process: a batch of images is split over them, weights and states are on each."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

CHOICES = ("auto", "none")
IMAGES = "images"  # the mesh's one axis
SPLIT = PartitionSpec(IMAGES)  # along the first axis
SPLIT_SECOND = PartitionSpec(None, IMAGES)
COPIED = PartitionSpec()

Tree = TypeVar("Tree")


def mesh(choice: str) -> Mesh | None:
    """The devices to compute on.

    Args:
        choice: `auto` for all devices of this process, `none` for the first alone.

    Returns:
        A mesh with one axis; None for a single device, with which nothing is different from a program without meshes.
    """
    found = jax.local_devices()
    if choice == "none" or len(found) == 1:
        return None
    return jax.make_mesh((len(found),), (IMAGES,), axis_types=(AxisType.Auto,), devices=found)


def count(over: Mesh | None) -> int:
    """How many devices there are.

    Args:
        over: from `mesh`.

    Returns:
        At least 1.
    """
    return over.size if over else 1


def rounded(over: Mesh | None, batch_size: int) -> int:
    """The batch size that gives each device the same number of images.

    Args:
        over: from `mesh`.
        batch_size: as asked for.

    Returns:
        The next multiple of the number of devices.
    """
    return -(-batch_size // count(over)) * count(over)


def split(over: Mesh | None, program: Callable, arguments: tuple[PartitionSpec, ...], results: Any) -> Callable:
    """Let each device run a program on its own images; nothing passes between them.

    Args:
        over: from `mesh`.
        program: of arrays, for any number of images.
        arguments: for each argument `COPIED`, or how the images are split.
        results: likewise for the result.

    Returns:
        The program, itself if there is no mesh.
    """
    if over is None:
        return program
    # Loops that begin with constants would have to be marked for check_vma, which only gradients need.
    return jax.shard_map(program, mesh=over, in_specs=arguments, out_specs=results, check_vma=False)


def put(over: Mesh | None, tree: Tree, how: PartitionSpec) -> Tree:
    """Bring arrays to the devices.

    Args:
        over: from `mesh`.
        tree: of arrays.
        how: `COPIED` to each, or `SPLIT` along the first axis, whose length is a multiple of the number of devices.

    Returns:
        The same arrays.
    """
    if over is None:
        return jax.tree.map(jnp.asarray, tree)
    return jax.device_put(tree, NamedSharding(over, how))


def first(over: Mesh | None, tree: Tree) -> Tree:
    """Bring arrays that may be split to the first device.

    Args:
        over: from `mesh`.
        tree: of arrays.

    Returns:
        The same arrays.
    """
    return tree if over is None else jax.device_put(tree, over.devices.flat[0])


def in_batches(program: Callable, rows: Any, *, over: Mesh | None, batch_size: int) -> Any:
    """Apply a program to many rows, in batches of one shape.

    Args:
        program: of a batch, to a tree of arrays with the same leading axis.
        rows: a tree of arrays (n, ...), n at least 1; the last batch is padded with zeros.
        over: from `mesh`; each batch is split over it.
        batch_size: rows at a time.

    Returns:
        The program's tree, of arrays (n, ...) in NumPy.
    """
    count, batch_size = len(jax.tree.leaves(rows)[0]), rounded(over, batch_size)

    def batch(start: int) -> Any:
        missing = max(start + batch_size - count, 0)
        return jax.tree.map(
            lambda x: np.pad(x[start : start + batch_size], ((0, missing), *((0, 0),) * (x.ndim - 1))), rows
        )

    parts = [jax.device_get(program(put(over, batch(start), SPLIT))) for start in range(0, count, batch_size)]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)
