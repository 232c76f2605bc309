"""Drift is said once of each kind, rarely where there is none, and nowhere where the good photographs are unknown."""

import json

import numpy as np
import pytest
from PIL import ImageEnhance, ImageFilter

from fastrecon_jax.inspection import drift
from fastrecon_jax.inspection.drift import Monitor, Reference
from fastrecon_jax.parts import fitting, part_file
from fastrecon_jax.parts.appearance import Appearance
from tests.inspection import line
from tests.inspection.test_predict_watch import watch
from tests.parts.helpers import engine, photo
from tests.parts.test_part_file import rewrite

NAMES = ("score", *Appearance._fields)


def known(logarithms):
    """What good photographs say whose quantities have these logarithms, (k, 4)."""
    return {name: drift.summarise(np.exp(column).tolist()) for name, column in zip(NAMES, logarithms.T, strict=True)}


def first_note(monitor, values):
    """The number of images until something is said, and what."""
    for number, row in enumerate(np.exp(values).tolist(), 1):
        if note := monitor.take(dict(zip(NAMES, row, strict=True))):
            return number, note
    return None, ""


@pytest.mark.parametrize("k", [1, 2, 4, 8])
def test_false_alarms_stay_below_the_stated_rate(k):
    rng, rate, runs, alarms = np.random.default_rng(k), 0.1, 60, 0
    for _ in range(runs):
        monitor = Monitor(known(rng.normal(0, 0.05, (k, 4))), rate=rate)
        alarms += first_note(monitor, rng.normal(0, 0.05, (400, 4)))[0] is not None
    assert alarms <= rate * runs


@pytest.mark.parametrize("k", [1, 4, 16])
@pytest.mark.parametrize(
    ("shift", "words"),
    [
        ((0, -0.2, 0, 0), "% darker"),
        ((0, 0.2, 0, 0), "% brighter"),
        ((0, 0, -0.2, 0), "% less contrast"),
        ((0, 0, 0, -0.2), "% less sharp"),
    ],
)
def test_a_change_is_found_and_named(k, shift, words):
    rng = np.random.default_rng(3)
    monitor = Monitor(known(rng.normal(0, 0.02, (k, 4))))
    assert first_note(monitor, rng.normal(0, 0.02, (100, 4)))[0] is None
    number, note = first_note(monitor, rng.normal(0, 0.02, (200, 4)) + np.array(shift))
    assert number <= 50
    assert words in note and note.endswith("than the good ones (p < 0.001)")
    assert first_note(monitor, rng.normal(0, 0.02, (400, 4)) + np.array(shift)) == (None, "")  # once


def test_a_small_change_needs_the_longest_window():
    rng = np.random.default_rng(0)
    monitor = Monitor(known(rng.normal(0, 0.05, (32, 4))))
    number, note = first_note(monitor, rng.normal(0, 0.05, (400, 4)) + np.array([0, 0.055, 0, 0]))
    assert number >= 50 and "brighter" in note


def test_scores_are_looked_at_above_alone_and_not_for_a_single_photograph():
    rng = np.random.default_rng(0)
    good = rng.normal(0, 0.05, (8, 4))
    number, note = first_note(Monitor(known(good)), rng.normal(0, 0.05, (60, 4)) + np.array([0.2, 0, 0, 0]))
    assert number == 20 and "score" in note and "% higher" in note
    # A photograph is held out of a model of one image less, and scores higher by it.
    assert first_note(Monitor(known(good)), rng.normal(0, 0.05, (400, 4)) - np.array([0.2, 0, 0, 0]))[0] is None


def test_p_values_by_scipy():
    from scipy import stats

    rng = np.random.default_rng(0)
    good, window = rng.normal(0, 0.5, 6), rng.normal(0.3, 0.7, 50)
    reference = drift.summarise(np.exp(good).tolist())
    squares = float(np.sum(np.square(window - window.mean())))
    p = drift.p_value(reference, 50, float(window.mean()), squares, one_sided=False)
    assert p == pytest.approx(stats.ttest_ind(window, good).pvalue)
    upper = drift.p_value(reference, 50, float(window.mean()), squares, one_sided=True)
    assert upper == pytest.approx(stats.ttest_ind(window, good, alternative="greater").pvalue)


def test_equal_images_are_no_drift_of_less_than_a_percent():
    same = Reference(0.0, 0.0, 0, 1)
    assert drift.p_value(same, 200, 0.005, 0.0, one_sided=False) > 0.1
    assert drift.p_value(same, 200, 0.2, 0.0, one_sided=False) < 1e-6


def test_what_is_not_known_is_not_compared():
    fitted = fitting.fit(engine(), [photo(seed) for seed in range(2)], name="disc", rate=0.05).part
    assert tuple(drift.references(fitted)) == NAMES
    assert tuple(drift.references(fitted._replace(appearance=None))) == ("score",)
    single = fitting.fit(engine(), [photo(0)], name="disc", rate=0.05).part
    assert tuple(drift.references(single)) == NAMES[1:]
    nothing = Monitor({})
    assert first_note(nothing, np.ones((60, 4))) == (None, "")


def test_memory_does_not_grow():
    monitor = Monitor(known(np.zeros((4, 4))))
    windows = [one for several in monitor._windows.values() for one in several]
    first_note(monitor, np.random.default_rng(0).normal(0, 0.005, (500, 4)))
    assert [vars(one).keys() for one in windows] == [{"size", "tests", "count", "mean", "squares"}] * len(windows)


def dark(folder, count, *, start, change):
    folder.mkdir(exist_ok=True)
    for seed in range(start, start + count):
        change(line.picture(seed)).save(folder / f"{seed:03}.png")
    return folder


def lenient(folder):
    """A part by which nearly everything passes."""
    return line.fit(folder, target_fpr=1e-9)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda image: ImageEnhance.Brightness(image).enhance(0.85), "darker"),
        (lambda image: image.filter(ImageFilter.GaussianBlur(1)), "less sharp"),
    ],
)
def test_rows_page_and_summary_say_it_once(tmp_path, change, words):
    model, told = lenient(tmp_path), []
    folder = dark(tmp_path / "in", 45, start=100, change=change)
    assert line.predict(model, folder, tmp_path / "out", tell=told.append, overlays="none") == 0
    notes = [row["note"] for row in line.lines(tmp_path / "out") if words in row["note"]]
    assert len(notes) == 1
    assert [row["note"] for row in line.table(tmp_path / "out") if words in row["note"]] == notes
    assert f"drift: {notes[0]}\n" in told[-1]
    page = (tmp_path / "out" / "index.html").read_text(encoding="utf-8")
    assert f"<strong>drift</strong> {notes[0].replace('<', '&lt;')}</p>" in page


def test_images_as_the_good_ones_are_no_drift(tmp_path):
    model, told = lenient(tmp_path), []
    folder = line.write(tmp_path / "in", 60)
    assert line.predict(model, folder, tmp_path / "out", tell=told.append, overlays="none") == 0
    assert not any(row["note"] for row in line.lines(tmp_path / "out"))
    assert "drift" not in "".join(told)
    assert "drift" not in (tmp_path / "out" / "index.html").read_text(encoding="utf-8").split("</style>")[1]


def test_a_watch_says_it_beside_the_image(tmp_path):
    folder = dark(tmp_path / "in", 0, start=0, change=None)
    darker = lambda image: ImageEnhance.Brightness(image).enhance(0.85)  # noqa: E731
    feed = lambda: dark(folder, 22, start=200, change=darker)  # noqa: E731
    _, told = watch(lenient(tmp_path), folder, tmp_path / "out", feed, verdicts=22, overlays="none")
    assert told.count("darker") == 2  # as it happened, and at the end


def test_results_of_an_earlier_version_go_on(tmp_path):
    model = line.fit(tmp_path)
    folder = line.write(tmp_path / "in", 3)
    line.predict(model, folder, tmp_path / "out", overlays="none")
    file = tmp_path / "out" / "results.jsonl"
    rows = [json.loads(text) for text in file.read_text().splitlines()]
    for row in rows:
        del row["note"]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    line.write(tmp_path / "in", 1, start=200)
    assert line.predict(model, folder, tmp_path / "out", overlays="none") == 0
    assert [row["note"] for row in line.table(tmp_path / "out")] == [""] * 4


def test_older_parts_inspect_as_before_and_say_what_is_unknown(tmp_path):
    fitted = fitting.fit(engine(), [photo(seed) for seed in range(3)], name="disc", rate=0.05).part
    file = tmp_path / "disc.safetensors"
    part_file.save(fitted._replace(pixels=None), file)  # files of format 5 had none where no copies are made
    folder, told = line.write(tmp_path / "in", 3), []
    line.predict(file, folder, tmp_path / "new", tell=told.append, overlays="none")
    assert drift.UNKNOWN not in told[0]

    def older(header):
        header["format"] = 5
        del header["appearance"]

    rewrite(file, older)
    loaded, _ = part_file.load(file, lambda recipe: engine())
    assert loaded.appearance is None
    assert fitting.extend(engine(), loaded, [photo(9)]).part.appearance is None
    line.predict(file, folder, tmp_path / "old", tell=told.append, overlays="none")
    assert any(drift.UNKNOWN in text for text in told)
    scores = [[row["score"] for row in line.lines(tmp_path / name)] for name in ("new", "old")]
    assert scores[0] == scores[1]


def test_an_extension_keeps_the_appearance_of_all():
    photos = [photo(seed) for seed in range(4)]
    whole = fitting.fit(engine(), photos, name="disc", rate=0.05).part
    first = fitting.fit(engine(), photos[:3], name="disc", rate=0.05).part
    assert fitting.extend(engine(), first, photos[3:]).part.appearance == whole.appearance
    assert len(whole.appearance) == 4


def test_black_images_have_a_logarithm():
    assert np.isfinite(drift.summarise([0.0, 0.0]).centre)
