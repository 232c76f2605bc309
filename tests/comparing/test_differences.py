"""Differences and their intervals: what is paired, what is left out, and whether an interval keeps its word."""

import numpy as np
import pytest

from fastrecon_jax import metrics
from fastrecon_jax.comparing import differences, runs, summary, systems
from tests.comparing import made

AUROC = ("image_auroc",)


def gathered(*paths):
    return systems.gather([runs.read(str(path)) for path in paths])[0]


def compute(found, names=AUROC, **options):
    return differences.compute(found, names, resamples=400, **options)


def test_a_difference_is_that_of_the_means(tmp_path):
    found = gathered(made.ours(tmp_path / "one", made.fits({"nearest": 2.0, "padim": 0.2}, shots=(2, 4))))
    means = {(line.name, line.shots): line.figures["image_auroc"].mean for line in summary.lines(found, AUROC)}
    two, four = compute(found)
    for one, shots in ((two, 2), (four, 4)):
        assert (one.first, one.second, one.shots, one.draws, one.paired) == ("nearest", "padim", shots, (2, 2), True)
        assert one.value == pytest.approx(means["nearest", shots] - means["padim", shots])
        assert np.mean(list(one.parts.values())) == pytest.approx(one.value)
        assert one.images == 40
        assert one.same_parts[0] < one.value < one.same_parts[1]
    assert two.clear() == (True, False)  # two parts tell nothing of others
    (other,) = [one for one in compute(found[::-1]) if one.shots == 2]
    assert (other.value, other.same_parts) == (
        pytest.approx(-two.value),
        pytest.approx(tuple(-x for x in two.same_parts[::-1])),
    )


def test_equal_scores_differ_by_nothing(tmp_path):
    same = made.fits({"nearest": 0.5})
    found = gathered(f"a={made.ours(tmp_path / 'a', same)}", f"b={made.theirs(tmp_path / 'b', same)}")
    (one,) = compute(found)
    assert (one.value, one.same_parts, one.other_parts, one.clear()) == (0, (0, 0), (0, 0), (False, False))


def test_a_pair_on_the_same_images_is_surer_than_its_members(tmp_path):
    """Scores that move together: their difference moves less than either."""
    fits = made.fits({"nearest": 0.8}, ("a",), seeds=(0,), names=made.images(30, 30))
    ((key, (names, labels, values)),) = fits.items()
    near = {key: (names, labels, values + 0.05 * np.random.default_rng(0).normal(size=60))}
    far = {key: (names, labels, made.scored(labels, 0.8, 9))}
    paths = [made.ours(tmp_path / name, own) for name, own in (("x", fits), ("y", near), ("z", far))]
    found = {
        (one.first, one.second): np.ptp(one.same_parts) for one in compute(gathered(*(f"{p.name}={p}" for p in paths)))
    }
    assert found["x", "y"] < 0.3 * found["x", "z"]


def test_one_reference(tmp_path):
    found = gathered(made.ours(tmp_path / "one", made.fits({"nearest": 2.0, "padim": 0.2, "spade": 1.0})))
    assert len(compute(found)) == 3
    assert [(one.first, one.second) for one in compute(found, reference="padim")] == [
        ("nearest", "padim"),
        ("spade", "padim"),
    ]


def test_draws_without_a_partner_are_resampled_apart(tmp_path):
    fits = made.fits({"nearest": 1.0}, seeds=(0, 1, 2))
    ours = made.ours(tmp_path / "ours", fits)
    theirs = made.theirs(tmp_path / "theirs", made.fits({"x": 0.5}, seeds=(None,)), ("category", "shots"))
    (one,) = compute(gathered(ours, theirs))
    assert (one.paired, one.draws) == (False, (3, 1))
    some = made.ours(tmp_path / "some", made.fits({"padim": 0.5}, seeds=(1, 2, 7)))
    (one,) = compute(gathered(ours, some))
    assert (one.paired, one.draws) == (True, (2, 2))


def test_images_that_one_lacks_or_labels_otherwise_are_left_out(tmp_path):
    fits = made.fits({"nearest": 1.0}, ("a", "b"))
    ours = made.ours(tmp_path / "ours", fits)
    other = {}
    for (_, part, shots, seed), (names, labels, values) in fits.items():
        keep = slice(1, None) if part == "a" else slice(None)  # a lacks an image, and has a label that differs
        changed = labels.copy()
        changed[3] ^= part == "a"
        other["padim", part, shots, seed] = (names[keep], changed[keep], values[keep] + 1)
    found = gathered(ours, made.ours(tmp_path / "other", other, pixels=0.8))
    image, pixel = compute(found, ("image_auroc", "pixel_auroc"))
    assert (image.images, image.value) == (18 + 20, 0)  # the scores are the same but for a constant
    assert (list(pixel.parts), pixel.value) == (["mpdd/b"], pytest.approx(0.1))
    assert pixel.other_parts is None and pixel.images == 20


def test_pixels_have_draws_and_parts_alone(tmp_path):
    fits = made.fits({"nearest": 1.0, "padim": 1.0}, seeds=(0,))
    found = gathered(made.ours(tmp_path / "one", fits))
    (one,) = compute(found, ("aupro",))
    assert (one.value, one.same_parts, one.other_parts) == (0, None, (0, 0))


def test_what_is_not_defined_is_left_out(tmp_path):
    good = made.fits({"nearest": 1.0, "padim": 0.5}, ("good",), names=made.images(5, 0))
    found = gathered(made.ours(tmp_path / "one", made.fits({"nearest": 1.0, "padim": 0.5}, ("a",)) | good))
    (one,) = compute(found)
    assert list(one.parts) == ["mpdd/a"] and one.images == 20
    alone = gathered(made.ours(tmp_path / "two", good))
    assert compute(alone) == []


def test_nothing_in_common_is_no_difference(tmp_path):
    one = made.ours(tmp_path / "one", made.fits({"nearest": 1.0}, ("a",)))
    assert compute(gathered(one, made.ours(tmp_path / "two", made.fits({"padim": 1.0}, ("b",))))) == []
    assert compute(gathered(one, made.ours(tmp_path / "three", made.fits({"padim": 1.0}, ("a",), shots=(4,))))) == []


@pytest.mark.parametrize("apart", [0.0, 0.5])
def test_intervals_cover_the_truth_about_as_often_as_they_say(tmp_path, apart):
    """New images and new draws of given parts, 100 times; the truth from 20,000 images."""
    rng, covered = np.random.default_rng(0), 0
    names, labels = made.images(40, 40)
    many = np.repeat([False, True], 20_000)
    truth = np.diff(
        [metrics.auroc(metrics.rank(many, rng.normal(size=40_000) + a * many)) for a in (1.0, 1.0 + apart)]
    )[0]
    for i in range(100):
        cells = {}
        for at, a in enumerate((1.0, 1.0 + apart)):
            for part in ("p", "q", "r"):
                shared = np.random.default_rng([i, ord(part)]).normal(size=80)
                noise = np.random.default_rng([i, ord(part), at + 1]).normal(size=80)
                scores = 0.8 * shared + 0.6 * noise + a * labels
                order = np.argsort(names)
                key = systems.Key(part, 2, 0)
                cell = runs.Cell(
                    tuple(np.array(names)[order].tolist()), labels[order], scores[order], {}, None, None, None
                )
                cells.setdefault(at, {})[key] = cell
        both = [systems.System(str(at), str(at), "", (), own) for at, own in cells.items()]
        (one,) = differences.compute(both, AUROC, resamples=200)
        covered += one.same_parts[0] <= -truth <= one.same_parts[1]
    assert 87 <= covered <= 100


def test_means_have_two_standard_errors_and_a_worst_part(tmp_path):
    rows = [
        {"category": c, "seed": s, "m": v} for c, s, v in (("a", 0, 0.5), ("a", 1, 0.7), ("b", 0, 0.9), ("b", 1, 0.9))
    ]
    found = summary.figure(rows, "m")
    assert (found.mean, found.draws, found.worst) == (pytest.approx(0.75), 2, ("a", pytest.approx(0.6)))
    assert found.error == pytest.approx(np.std([0.7, 0.8], ddof=1) / np.sqrt(2))
    assert found.parts_error == pytest.approx(np.std([0.6, 0.9], ddof=1) / np.sqrt(2))
    assert summary.figure(rows[:1], "m")[1::3] == (None, None)
    path = made.ours(tmp_path / "one", made.fits({"padim": 0.0, "nearest": 3.0}, shots=(4, 2)))
    lines = summary.lines(gathered(path), ("image_auroc", "aupro"))
    assert [(line.name, line.shots) for line in lines] == [("nearest", 2), ("nearest", 4), ("padim", 2), ("padim", 4)]
    assert (lines[0].fit_seconds, lines[0].image_seconds, lines[0].draws) == (1.0, 0.05, 2)
    assert lines[0].figures["aupro"].mean == pytest.approx(0.9) and lines[0].memory["resident"] > 0
