"""The greedy coreset in turn with the plain loop in JAX and the loops of numpy, scikit-learn and PyTorch."""

import functools
import importlib.util
import sys
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import options, timing
from fastrecon_jax import encoders, methods
from fastrecon_jax.command_line.flags import integers
from fastrecon_jax.core import coreset, k_center
from fastrecon_jax.data import datasets, loader
from fastrecon_jax.evaluation import programs
from fastrecon_jax.evaluation.config import EvalConfig

PART = {"numpy": 64, "scikit-learn": 24, "PyTorch": 8}  # centres that are timed; the time of all is in proportion
LARGE = 10_000  # rows; above, the plain loop is timed in part too
PART_OF_LARGE = 8


def run() -> None:
    """Print a table for each pool and ratio."""
    for rows in integers("rows", options.ROWS.value):
        pool = _pool(rows)
        for ratio in (0.01, 0.1):
            if ratio == 0.01 or rows < LARGE or options.LONG.value:
                sys.stdout.write(_compare(pool, coreset.size(rows, ratio)))
                sys.stdout.flush()


def _compare(pool: jax.Array, m: int) -> str:
    rows, channels = pool.shape
    ours = jax.jit(functools.partial(coreset.greedy_k_center, m=m)).lower(pool).compile()
    loops = _loops(pool)
    counts = {name: min(m, PART.get(name, m) if rows < LARGE else PART_OF_LARGE) for name in loops}
    found = {}
    parts = {"ours": lambda: found.update(ours=np.asarray(ours(pool)))}
    for name, loop in loops.items():
        parts[name] = lambda name=name, loop=loop: found.update({name: np.asarray(loop(counts[name]))})
    seconds = timing.in_turn(parts, options.REPEATS.value)
    counts["ours"] = m
    middle = {name: one * m / counts[name] for name, one in timing.medians(seconds).items()}
    table = [
        (
            name,
            f"{middle[name]:.3g}",
            f"{middle[name] / middle['ours']:.2f}",
            str(counts[name]),
            f"{np.mean(found[name] == found['ours'][: counts[name]]):.3f}",
        )
        for name in middle
    ]
    missing = "" if "PyTorch" in loops else "PyTorch is not installed (extra `bench`): left out\n"
    share = ours.memory_analysis().temp_size_in_bytes / pool.nbytes
    return (
        f"\n{timing.machine()}\n{rows} x {channels}, {m} rows, median of {options.REPEATS.value}; "
        f"ours takes {100 * share:.1f} % of the pool's memory beside it\n{missing}"
        + timing.table(("loop", "seconds", "/ ours", "centres timed", "same rows"), table)
    )


def _loops(pool: jax.Array) -> dict[str, Callable[[int], object]]:
    from sklearn.metrics import pairwise_distances

    host = np.asarray(pool)
    norms = np.einsum("nc,nc->n", host, host)
    start = jnp.full(pool.shape[:1], jnp.inf, pool.dtype)
    plain = jax.jit(k_center.one_by_one, static_argnums=2)
    loops = {
        "plain JAX": lambda m: plain(pool, start, m),
        "numpy": lambda m: _greedy(m, lambda i: norms - 2 * (host @ host[i]) + norms[i]),
        "scikit-learn": lambda m: _greedy(m, lambda i: pairwise_distances(host, host[i : i + 1])[:, 0]),
    }
    if importlib.util.find_spec("torch"):
        import torch

        tensor = torch.from_numpy(np.array(host))
        distance = torch.nn.functional.pairwise_distance
        loops["PyTorch"] = lambda m: _greedy(m, lambda i: distance(tensor, tensor[i][None]).numpy())
    return loops


def _greedy(m: int, distances_to: Callable[[int], np.ndarray]) -> list[int]:
    """As google/active-learning's kcenter_greedy: one row's distances at a time, their minimum, its argmax."""
    chosen = [0]
    nearest = distances_to(0)
    while len(chosen) < m:
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, distances_to(chosen[-1]))
    return chosen


def _pool(rows: int) -> jax.Array:
    """Features of the images of --data_dir, changed a little where they come round again, else random ones."""
    rng = np.random.default_rng(0)
    if not options.DATA_DIR.value:
        scale = np.arange(1, 65, dtype=np.float32) ** -0.5
        latent = rng.standard_normal((rows, 64), np.float32) * scale
        pool = latent @ rng.standard_normal((64, options.CHANNELS.value), np.float32)
        pool += 0.3 * rng.standard_normal(pool.shape, np.float32)
        return jnp.asarray(np.maximum(pool + 1, 0, out=pool))
    known = _features(rows)
    pool = np.resize(known, (rows, known.shape[1]))
    again = pool[len(known) :]
    again *= 1 + 0.1 * rng.standard_normal(again.shape, np.float32)
    return jnp.asarray(pool)


def _features(rows: int) -> np.ndarray:
    dataset = datasets.open_dataset(options.DATASET.value, options.DATA_DIR.value)
    (name,) = datasets.select(dataset, (options.CATEGORY.value or dataset.categories[0],))
    encoder = encoders.create(options.ENCODER.value, weights=options.WEIGHTS.value)
    compiled = programs.create(encoder, [], map_size=224)
    embed = jax.jit(jax.vmap(methods.create("fastrecon").embed))
    config, found = EvalConfig(batch_size=options.BATCH_SIZE.value), []
    how = {"batch_size": config.batch_size, "threads": options.THREADS.value}
    for batch in loader.batches(dataset.open_category(name).train, config.preprocessing, **how):
        features = np.asarray(embed(compiled.encode(compiled.encoder, jnp.asarray(batch.images))))
        found.append(features[: batch.count].reshape(-1, features.shape[-1]))
        if sum(map(len, found)) >= rows:
            break
    return np.concatenate(found)[:rows]
