"""The devices of this process: batches of images are split over them, weights and states are copied to each."""

from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

CHOICES = ("auto", "none")
IMAGES = "images"  # name of the only mesh axis
SPLIT = PartitionSpec(IMAGES)  # along an array's first axis
SPLIT_SECOND = PartitionSpec(None, IMAGES)
COPIED = PartitionSpec()

Tree = TypeVar("Tree")


def mesh(choice: str) -> Mesh | None:
    """A mesh of all devices of this process for `auto`; None for `none`, or where there is a single device."""
    local = jax.local_devices()
    if choice == "none" or len(local) == 1:
        return None
    return jax.make_mesh((len(local),), (IMAGES,), axis_types=(AxisType.Auto,), devices=local)


def count(over: Mesh | None) -> int:
    """The number of devices; 1 without a mesh."""
    return over.size if over else 1


def rounded(over: Mesh | None, batch_size: int) -> int:
    """The batch size rounded up to a multiple of the number of devices."""
    return -(-batch_size // count(over)) * count(over)


def split(over: Mesh | None, program: Callable, arguments: tuple[PartitionSpec, ...], results: Any) -> Callable:
    """The program split over the devices, each working on its own images without communication.

    `arguments` and `results` say for each array whether it is `COPIED` or along which axis its images are split.
    Without a mesh the program is returned as it is.
    """
    if over is None:
        return program
    # Loops that begin with constants would have to be marked for check_vma, which only gradients need.
    return jax.shard_map(program, mesh=over, in_specs=arguments, out_specs=results, check_vma=False)


def put(over: Mesh | None, tree: Tree, how: PartitionSpec) -> Tree:
    """Put a tree of arrays on the devices, `COPIED` or `SPLIT`; the number of devices must divide a split axis."""
    if over is None:
        return jax.device_put(tree)  # which compiles nothing, unlike jnp.asarray
    return jax.device_put(tree, NamedSharding(over, how))


def first(over: Mesh | None, tree: Tree) -> Tree:
    """Gather a tree of arrays, split or not, on the first device."""
    return tree if over is None else jax.device_put(tree, over.devices.flat[0])


def in_batches(program: Callable, rows: Any, *, over: Mesh | None, batch_size: int) -> Any:
    """Apply a program to a tree of arrays (n, ...) in batches of one shape, and join the results as NumPy arrays.

    Each batch is split over the devices. The last one is padded with zeros, which are cut off the results.
    """
    count, batch_size = len(jax.tree.leaves(rows)[0]), rounded(over, batch_size)

    def batch(start: int) -> Any:
        missing = max(start + batch_size - count, 0)
        return jax.tree.map(
            lambda x: np.pad(x[start : start + batch_size], ((0, missing), *((0, 0),) * (x.ndim - 1))), rows
        )

    parts = [jax.device_get(program(put(over, batch(start), SPLIT))) for start in range(0, count, batch_size)]
    return jax.tree.map(lambda *arrays: np.concatenate(arrays)[:count], *parts)
