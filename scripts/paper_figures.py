"""Every figure of docs/paper/note.md: FastRecon+'s two directions on real and empty frames, and standard errors.

    python scripts/paper_figures.py
    python scripts/paper_figures.py --data_dir=DATA/mvtec_ad --category=bottle,transistor
    python scripts/paper_figures.py --records_only

For each part, number of shots and draw it fits fastrecon+, and takes the largest distances forward and backward of
good and defective test images and of frames without the part. It writes docs/figures/two_directions.json, in which
records of other parts stay, docs/paper/two_directions.svg from all of these records of --encoder, and
docs/figures/standard_errors.json from docs/figures/methods.json. `python scripts/write_tables.py` then writes the
tables. The third command measures nothing, and makes the picture and the standard errors anew.
"""

import itertools
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import matplotlib as mpl
import numpy as np
from absl import flags
from jaxtyping import Array, Bool, Float, UInt8
from matplotlib.figure import Figure
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[1]
sys.path.append(str(ROOT))  # it runs from a checkout that is not installed, too

from fastrecon_jax import detector, files, metrics  # noqa: E402
from fastrecon_jax.command_line import flags as command_line  # noqa: E402
from fastrecon_jax.data import copies, samples  # noqa: E402
from fastrecon_jax.detector import Stages  # noqa: E402
from fastrecon_jax.errors import InputError  # noqa: E402
from fastrecon_jax.evaluation import category as scoring  # noqa: E402
from fastrecon_jax.evaluation import setup  # noqa: E402
from fastrecon_jax.evaluation.config import EvalConfig  # noqa: E402
from fastrecon_jax.methods import fastrecon_plus  # noqa: E402
from fastrecon_jax.parts import empty_frames  # noqa: E402
from fastrecon_jax.runtime import compiler, devices  # noqa: E402

_DATASET = flags.DEFINE_string("dataset", "", "as for the evaluation; by default folder with --data_dir, else demo")
_DATA_DIR = flags.DEFINE_string("data_dir", "", "directory that holds the categories; by default the demo set")
_CATEGORY = flags.DEFINE_list("category", ["all"], "categories, or all")
_SHOTS = flags.DEFINE_list("shots", ["1", "4", "8"], "numbers of good images")
_SEEDS = flags.DEFINE_list("seeds", ["0", "1"], "seeds of the random draws")
_ENCODER = flags.DEFINE_string("encoder", "efficientnet_lite0", "encoder")
_WEIGHTS = flags.DEFINE_string("weights", "", "weights of the encoder; by default its pretrained ones")
_IMAGE_SIZE = flags.DEFINE_integer("image_size", 256, "side in pixels to which images are resized")
_CROP_SIZE = flags.DEFINE_integer("crop_size", 224, "side in pixels of the centre that is kept")
_MAX_QUERIES = flags.DEFINE_integer("max_queries", 40, "at most this many test images a part; 0 for all")
_PANELS = flags.DEFINE_list(
    "panels", ["bottle", "metal_plate", "transistor", "capsule", "circuit", "gear"], "parts of the picture, at most 9"
)
_RECORDS_ONLY = flags.DEFINE_bool("records_only", False, "measure nothing: from the records that are there")
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "", "where figures/ and paper/ are written; by default docs")

ALL = "all parts"
DRAWS = 5  # random draws behind each deviation of methods.json
FRAMES = ("white", "black", "grey", "mean colour", "border")  # without the part, of those of `empty_frames`
KINDS = {"good": "tab:blue", "defective": "tab:orange", "empty": "tab:green"}
Record = dict[str, Any]


class Maxima(NamedTuple):
    """The largest logarithm of the distances forward and backward of n images, for d draws: (d, n) each."""

    forward: Float[Array, "d n"]
    backward: Float[Array, "d n"]


def config() -> EvalConfig:
    """The flags as settings of an evaluation, which refuses what is not allowed."""
    lists = {"shots": _SHOTS.value, "seeds": _SEEDS.value}
    numbers = {name: command_line.integers(name, values) for name, values in lists.items()}
    for name, values in numbers.items():
        if not values:
            raise InputError(f"--{name} is empty: pass at least one number")
    return EvalConfig(
        dataset=_DATASET.value,
        data_dir=_DATA_DIR.value,
        category=tuple(_CATEGORY.value),
        method=("fastrecon+",),
        encoder=_ENCODER.value,
        weights=_WEIGHTS.value,
        image_size=_IMAGE_SIZE.value,
        crop_size=_CROP_SIZE.value,
        max_queries=_MAX_QUERIES.value,
        mesh="none",
        distributed="off",
        **numbers,
    )


def measure(opened: setup.Setup, category: samples.Category) -> list[Record]:
    """One record for each number of shots of a part."""
    config, (compiled,) = opened.config, opened.programs.methods
    queries = scoring.queries(category, config)
    defective = np.array([sample.defective for sample in queries])
    of_queries = _encoded(opened, _pixels(opened, queries))
    # The draw for more shots contains the one for fewer: each support image is encoded once.
    most = max(config.shots)
    drawn = [_pixels(opened, [category.train[i] for i in draw.indices]) for draw in opened.draws[category.name][most]]
    supports = [_encoded(opened, pixels) for pixels in drawn]
    changed = [_encoded_copies(opened, pixels, compiled.method.copies) for pixels in drawn]
    # Frames of the draw with the most shots, for all shots.
    frames = [{name: frame for name, frame in empty_frames.make(x).items() if name in FRAMES} for x in drawn]
    of_frames = [_encoded(opened, np.stack(list(of_draw.values()))) for of_draw in frames]

    def maxima(state: Any, stages: Stages) -> tuple[Array, Array]:
        found = jax.vmap(lambda image: fastrecon_plus.directions(state, compiled.method.embed(image)))(stages)
        return found.forward.max((1, 2)), found.backward.max((1, 2))

    program = compiler.jit(lambda states, stages: jax.vmap(maxima, (0, None))(states, stages))
    of_each = compiler.jit(lambda states, stages: jax.vmap(maxima)(states, stages))
    records = []
    for k in config.shots:
        states = compiled.fit(
            _stacked(supports, k),
            detector.keys([draw.seed for draw in opened.draws[category.name][k]]),
            _stacked(changed, k),
        )
        tests = Maxima(*map(np.asarray, program(states, of_queries)))
        empty = Maxima(*map(np.asarray, of_each(states, _stacked(of_frames))))
        record = {"data": opened.dataset.name, "part": category.name, "encoder": opened.encoder.name, "shots": k}
        record |= summary(tests, defective, empty, list(frames[0]))
        if k == most:
            record["points"] = _points(tests, defective, empty)
        records.append(record)
    return records


def _pixels(opened: setup.Setup, chosen: Sequence[samples.Sample]) -> UInt8[np.ndarray, "n H W 3"]:
    preprocessing = opened.config.preprocessing
    return np.stack([samples.load_image(sample, samples.read(sample), preprocessing).pixels for sample in chosen])


def _encoded(opened: setup.Setup, pixels: UInt8[np.ndarray, "n H W 3"]) -> Stages:
    programs = opened.programs

    def encode(batch: Any) -> Stages:
        return programs.encode(programs.encoder, batch)

    return devices.in_batches(encode, pixels, over=None, batch_size=opened.config.batch_size)


def _encoded_copies(opened: setup.Setup, pixels: UInt8[np.ndarray, "k H W 3"], kinds: Sequence[str]) -> Stages:
    changed = np.stack([copies.make(image, kinds) for image in pixels])
    stages = _encoded(opened, changed.reshape(-1, *changed.shape[2:]))
    return tuple(stage.reshape(*changed.shape[:2], *stage.shape[1:]) for stage in stages)


def _stacked(draws: Sequence[Stages], k: int | None = None) -> Stages:
    """The first k images of each draw, (d, k, ...) each; all by default."""
    return tuple(jnp.stack([stage[:k] for stage in stages]) for stages in zip(*draws, strict=True))


def summary(tests: Maxima, defective: Bool[np.ndarray, " n"], empty: Maxima, names: Sequence[str]) -> Record:
    """What a record says of one number of shots: mean over draws and good images; shares and AUROC in percent."""
    good = ~defective
    gaps = (tests.backward - tests.forward)[:, good]
    record = {"good": int(good.sum()), "gap": _rounded(gaps.mean()), "gap_std": _rounded(gaps.std())}
    scores = {"forward": (tests.forward, empty.forward), "both": (both_ways(tests), both_ways(empty))}
    for name, (of_tests, of_empty) in scores.items():
        above = of_empty > of_tests[:, good].max(axis=1, keepdims=True)  # (d, frames)
        aurocs = [metrics.image_metrics(defective, draw)["image_auroc"] for draw in of_tests]
        record |= {
            f"{name}_above": _rounded(100 * above.mean(), 1),
            f"{name}_auroc": _rounded(100 * np.mean(aurocs), 1),
        }
    missed = [name for name, seen in zip(names, above.T, strict=True) if not seen.all()]
    return record | {"missed": ", ".join(missed) or "none"}


def both_ways(maxima: Maxima) -> Float[np.ndarray, "d n"]:
    """The logarithm of the image score, see `fastrecon_plus.score`."""
    return np.maximum(maxima.forward, maxima.backward - fastrecon_plus.Settings.backward_margin)


def _points(tests: Maxima, defective: Bool[np.ndarray, " n"], empty: Maxima) -> Mapping[str, list[list[float]]]:
    """The first draw's points (forward, backward) of each kind."""
    of_tests, of_empty = (np.stack([x[0] for x in maxima], axis=1) for maxima in (tests, empty))
    kinds = (of_tests[~defective], of_tests[defective], of_empty)
    return {
        name: [[_rounded(x) for x in point] for point in of_kind] for name, of_kind in zip(KINDS, kinds, strict=True)
    }


def _rounded(value: Any, digits: int = 3) -> float:
    return round(float(value), digits)


def merged(known: Sequence[Record], new: Sequence[Record]) -> list[Record]:
    """Records in order, new ones instead of known ones of the same part; behind them the means over all parts."""
    keys = ("encoder", "data", "part", "shots")
    of_parts = {tuple(record[key] for key in keys): record for record in (*known, *new) if record["part"] != ALL}
    records = [of_parts[key] for key in sorted(of_parts)]
    for encoder, shots in sorted({(record["encoder"], record["shots"]) for record in records}):
        same = [record for record in records if (record["encoder"], record["shots"]) == (encoder, shots)]
        gaps = [record["gap"] for record in same]
        means = {
            key: _rounded(np.mean([record[key] for record in same]), 1)
            for key in ("forward_above", "both_above", "forward_auroc", "both_auroc")
        }
        of_all = {"data": ALL, "part": ALL, "encoder": encoder, "shots": shots, "good": sum(r["good"] for r in same)}
        records.append(of_all | {"gap": _rounded(np.mean(gaps)), "gap_std": _rounded(np.std(gaps))} | means)
    return records


def two_directions(records: Sequence[Record]) -> dict[str, Any]:
    """The file of figures of the two directions."""
    by_shots = {"rows": "part", "columns": "shots"}
    return {
        "what": "Largest distances forward and backward of good test images and of five frames without the part, by "
        "default at most 40 test images a part and two random draws; mean and standard deviation over images and "
        "draws, in the last line over parts",
        "command": [
            "python scripts/paper_figures.py",
            "python scripts/paper_figures.py --data_dir=mvtec_ad --category=bottle,transistor",
            "python scripts/paper_figures.py --data_dir=mpdd --category=metal_plate",
        ],
        "date": None,
        "machine": None,
        "encoder": None,
        "unit": "differences of natural logarithms; shares and AUROC in percent",
        "layouts": {
            "table": {**by_shots, "cell": "{gap:+.2f} ± {gap_std:.2f}"},
            "frames": {**by_shots, "cells": {"forward,": "{forward_above:.0f}", "both ways,": "{both_above:.0f}"}},
            "auroc": {**by_shots, "cells": {"forward,": "{forward_auroc:.1f}", "both ways,": "{both_auroc:.1f}"}},
            "missed": {**by_shots, "cell": "{missed}"},
        },
        "records": list(records),
    }


def standard_errors(figures: Mapping[str, Any]) -> dict[str, Any]:
    """Image AUROC of methods.json: means over the data sets with standard errors over data sets and over draws."""
    records = [record for record in figures["records"] if record["data"] != "mean"]
    keys = ("encoder", "method", "shots")
    by_key: dict[tuple, dict[str, Record]] = {}
    for record in records:
        by_key.setdefault(tuple(record[key] for key in keys), {})[record["data"]] = record
    sets = set().union(*by_key.values())
    # What was measured on some of the data sets alone has no mean that compares.
    complete = {key: of_data for key, of_data in by_key.items() if set(of_data) == sets}
    ours = {(encoder, shots): of_data for (encoder, name, shots), of_data in complete.items() if name == "fastrecon+"}
    found = []
    for key, of_data in complete.items():
        values = {data: record["image_auroc"] for data, record in of_data.items()}
        record = dict(zip(keys, key, strict=True)) | dict(zip(("image_auroc", "over_data"), _mean(values), strict=True))
        kept = [of_data[data].get("image_auroc_std") for data in values]
        kept = [std for std in kept if std is not None]
        if kept:  # the mean over the data sets that have one; draws are independent from one to the next
            record["over_draws"] = _rounded(math.sqrt(sum(std**2 for std in kept) / DRAWS) / len(kept), 2)
            record["sets_with_draws"] = len(kept)
        if key[1] != "fastrecon+" and (encoder_shots := (key[0], key[2])) in ours:
            gains = {data: ours[encoder_shots][data]["image_auroc"] - value for data, value in values.items()}
            record |= dict(zip(("gain", "gain_over_data"), _mean(gains), strict=True))
        found.append(record)
    by_shots = {"rows": "method", "columns": "shots"}
    return {
        "what": f"Image AUROC, mean over {len(sets)} data sets, and by how much fastrecon+ is above each method, with "
        "standard errors over the data sets (of the paired differences), and over the draws of those data sets whose "
        "deviations are kept",
        "command": ["python scripts/paper_figures.py --records_only"],
        "date": None,
        "machine": None,
        "encoder": None,
        "unit": "percent",
        "layouts": {
            "table": {**by_shots, "cell": "{image_auroc:.1f} ± {over_data:.1f}", "bold": "fastrecon+"},
            "gain": {**by_shots, "cell": "{gain:+.1f} ± {gain_over_data:.1f}"},
            "draws": {**by_shots, "cell": "{over_draws:.2f}"},
        },
        "records": found,
    }


def _mean(values: Mapping[str, float]) -> tuple[float, float]:
    """The mean and its standard error."""
    of_data = np.array(list(values.values()))
    error = of_data.std(ddof=1) / math.sqrt(len(of_data)) if len(of_data) > 1 else math.nan
    return _rounded(of_data.mean(), 2), _rounded(error, 2)


def picture(records: Sequence[Record], panels: Sequence[str], encoder: str) -> Figure:
    """A panel for each part that has points: largest distance forward against backward, and where they are equal."""
    shown = [r for name in panels for r in records if (r["part"], r["encoder"]) == (name, encoder) and "points" in r]
    # Of several numbers of shots, the largest.
    shown = list({r["part"]: r for r in sorted(shown, key=lambda r: r["shots"])}.values())
    shown.sort(key=lambda r: list(panels).index(r["part"]))
    if not shown:
        raise InputError(f"--panels={','.join(panels)} names no part with points for --encoder={encoder}")
    columns = min(len(shown), 3)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3.0 * columns, 3.0 * rows + 0.5), layout="constrained")
    for axes, record in itertools.zip_longest(figure.subplots(rows, columns, squeeze=False).flat, shown):
        if record is None:
            axes.set_axis_off()
            continue
        for kind, colour in KINDS.items():
            x, y = np.array(record["points"][kind]).T
            marker = "^" if kind == "empty" else "o"
            axes.scatter(x, y, s=18, alpha=0.7, linewidths=0, color=colour, marker=marker, label=kind)
        axes.axline((0, 0), slope=1, color="grey", linewidth=0.8, zorder=0)
        points = np.concatenate([np.array(record["points"][kind]) for kind in KINDS])
        low, high = points.min() - 0.08, points.max() + 0.08
        axes.set(xlim=(low, high), ylim=(low, high), aspect="equal")
        axes.set_title(f"{record['part']}, {record['shots']} shots", fontsize="medium")
    figure.supxlabel("log of the largest distance forward", fontsize="medium")
    figure.supylabel("log of the largest distance backward", fontsize="medium")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper center", ncols=len(KINDS), frameon=False)
    return figure


def _read(path: Path) -> Record:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from None


def _written(figures: Mapping[str, Any]) -> str:
    """JSON with one record a line, as the other files of figures have it."""
    text = json.dumps({**figures, "records": []}, ensure_ascii=False, indent=2)
    records = ",\n".join(f"    {json.dumps(record, ensure_ascii=False)}" for record in figures["records"])
    return text.removesuffix("[]\n}") + f"[\n{records}\n  ]\n}}\n"


def save(figure: Figure, path: Path) -> None:
    """Write the picture as SVG, the same bytes for the same points; InputError where it cannot be written."""
    with mpl.rc_context({"svg.hashsalt": "fastrecon_jax", "svg.fonttype": "none"}):
        try:
            figure.savefig(path, format="svg", metadata={"Date": None, "Creator": None})
        except OSError as error:
            raise InputError(f"picture {path} cannot be written: {files.reason(error)}") from None


def main() -> None:
    """Measure, and write the figures."""
    settings = config()
    if not 1 <= len(_PANELS.value) <= 9:
        raise InputError("--panels takes 1 to 9 parts")
    output = files.expanded(_OUTPUT_DIR.value, "output_dir") if _OUTPUT_DIR.value else ROOT / "docs"
    for name in ("figures", "paper"):
        files.make_directory(output / name, f"directory {output / name}")
    path = output / "figures" / "two_directions.json"
    known = _read(path)["records"] if path.is_file() else []
    new: list[Record] = []
    if not _RECORDS_ONLY.value:
        opened = setup.open_setup(settings)
        for category in tqdm(opened.categories, disable=None, leave=False):
            new += measure(opened, category)
    records = merged(known, new)
    if records:  # before the picture, which may be refused: what was measured is kept
        files.write_text(path, _written(two_directions(records)))
    save(picture(records, _PANELS.value, settings.encoder), output / "paper" / "two_directions.svg")
    errors = standard_errors(_read(ROOT / "docs" / "figures" / "methods.json"))
    files.write_text(output / "figures" / "standard_errors.json", _written(errors))
    sys.stdout.write(f"the figures are in {output / 'figures'} and {output / 'paper'}\n")


if __name__ == "__main__":
    command_line.run(main)
