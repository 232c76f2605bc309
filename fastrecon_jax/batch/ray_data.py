"""Ray Data: paths in blocks, workers that inspect them, a Parquet file for each block."""

import contextlib
import logging
import os
import re
import sys
from collections.abc import Callable, Iterator, Sequence

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext

from fastrecon_jax.batch import tables
from fastrecon_jax.batch.cluster import Workers
from fastrecon_jax.batch.inspector import Inspector
from fastrecon_jax.command_line.console import count
from fastrecon_jax.errors import InputError
from fastrecon_jax.files import Place

_MOST = 1024  # images in a block, which is what a worker that is lost does again
_BLOCKS = 8  # for each worker, at least, so that all of them end at about the same time

# Of what a worker raises Ray passes on the text alone.
_MISTAKE = re.compile(rf"^{InputError.__module__}\.{InputError.__name__}: (.*)$", re.MULTILINE)


class Worker:
    """An `Inspector` from tables of paths to tables of rows."""

    def __init__(self, inspector: Inspector):
        self._inspector = inspector

    def __call__(self, paths: pa.Table) -> pa.Table:
        """The rows of a block."""
        return tables.table(self._inspector({"path": paths["path"].to_pylist()}))


def inspect(
    inspector: Inspector, paths: Sequence[str], place: Place, workers: Workers, *, tell: Callable[[str], object]
) -> None:
    """Inspect images and write their rows, each once, however many workers are lost; InputError if none can begin."""
    with _cluster(workers) as number:
        gpus = f" and {workers.gpus:g} GPUs" if workers.gpus else ""
        each = f"{count(workers.cpus, 'core')}{gpus} each"
        tell(f"{count(number, 'worker')} of {each}, Ray {ray.__version__}\n")
        size = min(max(len(paths) // (_BLOCKS * number), inspector.batch_size), _MOST)
        blocks = [pa.table({"path": paths[start : start + size]}) for start in range(0, len(paths), size)]
        threads = str(workers.cpus)  # XLA's and BLAS's, so that workers leave each other's cores alone
        rows = ray.data.from_arrow(blocks).map_batches(
            Worker,
            fn_constructor_args=[inspector],
            batch_format="pyarrow",
            batch_size=None,
            compute=ActorPoolStrategy(size=min(number, len(blocks))),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus or None,
            runtime_env={"env_vars": {"NPROC": threads, "OMP_NUM_THREADS": threads}},
        )
        system, path = tables.system(place)
        try:
            # Writing waits for no core: workers may have taken all of them.
            rows.write_parquet(path, filesystem=system, ray_remote_args={"num_cpus": 0})
        except ray.exceptions.RayError as error:
            if mistake := _MISTAKE.search(str(error)):
                raise InputError(mistake[1]) from None
            raise


@contextlib.contextmanager
def _cluster(workers: Workers) -> Iterator[int]:
    """Meet a cluster, or start one on this machine until the end, and give the number of workers."""
    own = not ray.is_initialized()
    if own:
        os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # it would send them to its makers
        try:
            ray.init(workers.address or "local", log_to_driver=False, logging_level=logging.ERROR)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise InputError(f"--cluster_address={workers.address}: {error}") from None
    logging.getLogger("ray.data").setLevel(logging.CRITICAL)  # what fails is raised, too
    context = DataContext.get_current()
    context.enable_progress_bars = sys.stderr.isatty()
    context.print_on_execution_start = False
    try:
        there = ray.cluster_resources()
        room = there.get("GPU", 0) / workers.gpus if workers.gpus else there.get("CPU", 0) / workers.cpus
        if room < 1:
            what = f"{workers.gpus:g} GPUs" if workers.gpus else f"{workers.cpus} cores"
            raise InputError(f"the cluster has no worker's {what}: see --cpus_per_worker and --gpus_per_worker")
        yield min(workers.number or int(room), int(room))
    finally:
        if own:
            ray.shutdown()
