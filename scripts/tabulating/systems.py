"""The systems of the paper's table: published figures and ours beside each other, and what ours cost."""

from collections.abc import Mapping, Sequence

from fastrecon_jax.comparing.summary import known_mean
from fastrecon_jax.evaluation import tables
from fastrecon_jax.evaluation.tables import Row

_OURS = {"DiffNet": "differnet"}  # the paper's names that are not the methods' in capitals


def accuracy(known: Sequence[Row], means: Sequence[Row], shots: Sequence[int]) -> list[list[str]]:
    """Cells of the table in percent: the published figures of each system, and ours of the same below.

    Takes rows of published.csv, means of our results from `tables.means`, and the numbers of shots, the columns.
    """
    head = ["method", "encoder", "categories", *(f"{name} {k}" for name in tables.SUMMARY for k in shots)]
    published, ours = tables.grouped(known, "method"), tables.grouped(means, "method")
    order = {(_OURS.get(name, name.lower()),): _published(rows, shots) for (name,), rows in published.items()}
    lines = [head]
    for key in dict.fromkeys([*order, *ours]):
        lines += order.get(key, [])
        lines += _ours(ours[key], shots) if key in ours else []
    return lines


def _published(rows: Sequence[Row], shots: Sequence[int]) -> list[list[str]]:
    """The line of one system; none where nothing is published of these shots."""
    cells = {(row["metric"], int(row["shots"])): row["percent"] for row in rows}
    figures = [cells.get((metric, k), "-") for metric in tables.SUMMARY.values() for k in shots]
    first = rows[0]
    line = [f"{first['method']}, published", first["encoder"] or "-", first["categories"], *figures]
    return [line] if set(figures) != {"-"} else []


def _ours(rows: Sequence[Row], shots: Sequence[int]) -> list[list[str]]:
    first, by_shots = rows[0], {mean["shots"]: mean for mean in rows}
    figures = [tables.percent(by_shots[k][m], by_shots[k][f"{m}_std"]) for m in tables.SUMMARY.values() for k in shots]
    return [[f"{first['method']}, ours", first["encoder"], str(first["categories"]), *figures]]


def cost(rows: Sequence[Row], training: Mapping[str, float], shots: Sequence[int]) -> list[list[str]]:
    """Cells of what each method takes: seconds of meta-training a part and of a fit, milliseconds an image.

    Means over parts and draws; "-" where features came from a cache, and where nothing was meta-trained.
    """
    columns = (*(f"fit {k}, s" for k in shots), *(f"image {k}, ms" for k in shots))
    lines = [["method", "encoder", "meta-training, s", *columns]]
    for record in costs(rows, training):
        figures = [record["fit_seconds"][k] for k in shots], [record["image_seconds"][k] for k in shots]
        lines.append(
            [
                *(record["method"], record["encoder"], _number(record["training_seconds"])),
                *map(_number, figures[0]),
                *(_number(value and 1e3 * value) for value in figures[1]),
            ]
        )
    return lines


def costs(rows: Sequence[Row], training: Mapping[str, float]) -> list[Row]:
    """What `cost` shows, as numbers: one record a method, with seconds by the number of shots."""
    found = []
    for (method,), of_method in tables.grouped(rows, "method").items():
        fit, image = {}, {}
        for (k,), of_shots in tables.grouped(of_method, "shots").items():
            fit[k] = known_mean([row["fit_seconds"] for row in of_shots])
            speeds = [row["score_images_per_second"] for row in of_shots]
            image[k] = known_mean([speed and 1 / speed for speed in speeds])
        record = {"method": method, "encoder": of_method[0]["encoder"], "training_seconds": training.get(method)}
        found.append(record | {"fit_seconds": fit, "image_seconds": image})
    return found


def _number(value: float | None) -> str:
    """Three digits at least."""
    return "-" if value is None else f"{value:.0f}" if value >= 100 else f"{value:.3g}"
