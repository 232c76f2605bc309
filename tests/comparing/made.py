"""Runs for tests, written as `eval` and as other programs write them."""

import csv

import numpy as np

from fastrecon_jax import metrics
from fastrecon_jax.evaluation import results, support_file, tables

SETTINGS = {"encoder": "x", "weights": "x", "weights_sha256": "0", "image_size": 256, "crop_size": 224, "partial": []}


def images(good=8, defective=12):
    """Names and labels of test images."""
    names = [f"test/good/{i:03}.png" for i in range(good)] + [f"test/cut/{i:03}.png" for i in range(defective)]
    return names, np.array([False] * good + [True] * defective)


def scored(labels, apart, seed):
    """Scores whose classes lie so far apart."""
    return np.random.default_rng(seed).normal(size=len(labels)) + apart * labels


def fits(methods, parts=("a", "b"), shots=(2,), seeds=(0, 1), names=None):
    """Scores by method, part, shots and draw, for methods with how far apart they bring the classes."""
    names, labels = names or images()
    return {
        (method, part, k, seed): (names, labels, scored(labels, apart, [i, j, k, seed or 0]))
        for i, (method, apart) in enumerate(methods.items())
        for j, part in enumerate(parts)
        for k in shots
        for seed in seeds
    }


def ours(directory, found, *, dataset="mpdd", pixels=0.9, support=True, **config):
    """The output directory of an evaluation."""
    rows, scores = [], []
    for (method, part, shots, seed), (names, labels, values) in found.items():
        facts = dict.fromkeys(results.COLUMNS, 1) | dict.fromkeys(tables.METRICS, pixels)
        facts |= {"dataset": dataset, "category": part, "seed": seed, "shots": shots, "method": method}
        facts |= {"support": "random", "encoder": "x", "weights": "x"}
        facts |= {"fit_seconds": 0.5 * shots, "score_images_per_second": 20.0}
        rows.append(facts | metrics.image_metrics(labels, values))
        common = {"dataset": dataset, "category": part, "seed": seed, "shots": shots, "method": method}
        scores += [
            common | {"path": name, "label": int(label), "score": float(value)}
            for name, label, value in zip(names, labels, values, strict=True)
        ]
    methods = list(dict.fromkeys(method for method, *_ in found))
    parts = list(dict.fromkeys(part for _, part, *_ in found))
    settings = {name: {"lam": 1} for name in methods}
    facts = {"description": "x.", "draws": 2, "category": parts, "method": methods, "settings": settings}
    directory.mkdir(parents=True)
    results.write(directory, results.Results(facts | SETTINGS | config, rows, scores))
    if support:
        lines = [
            (dataset, part, k, "" if seed is None else seed, f"train/good/{seed or 0}{n}.png")
            for _, part, k, seed in found
            for n in range(k)
        ]
        write(directory / support_file.NAME, support_file.COLUMNS, dict.fromkeys(lines))
    return directory


def write(file, columns, lines):
    """A CSV file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.writer(opened, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(lines)
    return file


def theirs(directory, found, columns=("category", "shots", "seed")):
    """scores.csv of another program, with absolute paths and some of the optional columns."""
    lines = []
    for (method, part, shots, seed), (names, labels, values) in found.items():
        known = {"category": part, "shots": shots, "seed": seed, "method": method, "dataset": "mpdd"}
        own = [known[name] for name in columns]
        lines += [
            (f"C:\\data\\{part}\\{name}", int(label), value, *own)
            for name, label, value in zip(names, labels, values, strict=True)
        ]
    write(directory / "scores.csv", ("path", "label", "score", *columns), lines)
    return directory
