"""The command report: a part's file to a page and its figures."""

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from tqdm import tqdm

from fastrecon_jax import files
from fastrecon_jax.command_line.console import count
from fastrecon_jax.inspection import fit, reading, summary
from fastrecon_jax.parts import inspector, part_file
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.reporting import page, study, subjects
from fastrecon_jax.reporting.config import SUFFIX, ReportConfig
from fastrecon_jax.reporting.page import Study
from fastrecon_jax.version import __version__


def report(config: ReportConfig, *, tell: Callable[[str], object]) -> files.Place:
    """Try a part on copies of good photographs and write the page, and the figures as JSON beside it.

    `tell` takes lines for people. InputError if something that the user gave cannot be used; an earlier page stays.
    """
    model = files.place(config.model, "model")
    file = fit.target(config.output or str(model.with_suffix(f".report{SUFFIX}")), "output")
    header = part_file.read_header(model)
    part, engine = part_file.load(model, lambda recipe: open_engine(recipe, weights=config.weights))
    tell(summary.introduction(engine))
    paths = reading.find(config.images, purpose=reading.EXTEND) if config.images else []
    photos = reading.read_all(paths, engine.recipe.preprocessing._replace(max_pixels=config.max_pixels))
    whole = inspector.create(part, engine)
    tried, how = subjects.choose(whole, photos)
    number = study.number_of_images(tried)
    tell(
        f"part {part.name}: {count(number, 'copy', 'copies')} of {count(len(tried), 'good image')} ({how}) to inspect\n"
    )
    with tqdm(total=number, unit="image", disable=None, leave=False) as bar:
        options: dict[str, Any] = {"batch_size": config.batch_size}
        found = Study(
            part=part,
            sha256=header.sha256,
            device=f"fastrecon_jax {__version__}, jax {jax.__version__}, {jax.devices()[0].device_kind}",
            tried=how,
            names=tuple(subject.name for subject in tried),
            defects=study.defects(tried, progress=bar.update, **options),
            frames=study.frames(whole, np.stack([subject.pixels for subject in tried]), **options),
            sensitivities=study.sensitivities(tried, progress=bar.update, **options),
            precision=study.precision(part.limits.scores, part.limits.rate),
        )
    figures_file = file.with_suffix(".json")
    files.write_text(figures_file, json.dumps(figures(found), indent=1, allow_nan=False) + "\n")
    files.write_text(file, page.html(found))
    tell("".join(f"{sentence}\n" for sentence in page.sentences(found)))
    tell(f"the report is in {file} ({file.stat().st_size / 1e6:.1f} MB), its figures in {figures_file}\n")
    return file


def figures(found: Study) -> dict[str, Any]:
    """The figures of a report, for programs."""
    part, recipe, limits = found.part, found.part.recipe, found.part.limits
    return {
        "part": part.name,
        "sha256": found.sha256,
        "computed_with": found.device,
        "encoder": recipe.encoder,
        "stages": recipe.stages,
        "method": recipe.method,
        "target_fpr": limits.rate,
        "threshold": limits.threshold,
        "borderline": limits.borderline,
        "good": [{"name": photo.name, "score": photo.score} for photo in part.good],
        "tried": {"how": found.tried, "names": found.names},
        "defects": [
            {
                "kind": defect.kind,
                "smallest": defect.smallest and defect.smallest._asdict(),
                "sizes": [size._asdict() for size in defect.sizes],
            }
            for defect in found.defects
        ],
        "frames": {name: shown.trial._asdict() for name, shown in found.frames.items()},
        "sensitivities": [
            {
                "name": one.name,
                "unit": one.unit,
                "stay_good": one.good._asdict(),
                "not_defective": one.passed._asdict(),
                "amounts": [amount._asdict() for amount in one.amounts],
            }
            for one in found.sensitivities
        ],
        "more_images": [one._asdict() for one in found.precision],
    }
