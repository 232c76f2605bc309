"""The demo without its page: a tiny encoder, real files."""

import dataclasses

import numpy as np
import pytest

from fastrecon_jax.api import FastRecon
from fastrecon_jax.errors import InputError
from fastrecon_jax.inspection.config import DemoConfig
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.serving import desk, engines, html, session
from fastrecon_jax.serving.session import Bounds

TINY = DemoConfig(encoder="resnet18", weights="random", image_size=64, crop_size=64)
BOUNDS = Bounds(images=4, pixels=4_000_000)


@pytest.fixture(scope="module")
def engine():
    return open_engine(engines.recipe(TINY))


@pytest.fixture(scope="module")
def fitted(engine, boards):
    return session.fit(engine, session.read(boards[:3], BOUNDS), name="capsule", rate=0.01)


@pytest.fixture(scope="module")
def view(fitted, boards):
    return session.look(fitted, boards[3], BOUNDS)


@pytest.fixture
def workshop(engine, tmp_path):
    return desk.Workshop(engine, engines.opener(engine), BOUNDS, 0.01, tmp_path / "parts")


def test_it_finds_what_a_notebook_finds(engine, fitted, view, boards):
    settings = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64}
    other = FastRecon.fit(boards[:3], **settings)
    (expected,) = other.inspect([boards[3]])
    finding = session.judge(fitted, view)
    assert finding.score == pytest.approx(expected.score, rel=1e-5)
    assert finding.verdict == expected.verdict
    assert fitted.part.limits.threshold == pytest.approx(other.threshold, rel=1e-6)
    assert fitted.part.good[0].name == "good &<0>.png"  # the name alone, not where the upload lay


def test_the_verdict_and_the_regions_follow_the_threshold(fitted, view):
    below, above = session.judge(fitted, view, view.score * 0.99), session.judge(fitted, view, view.score * 1.5)
    assert below.verdict == "defective" and below.regions
    assert above.verdict != "defective"
    assert (below.score, below.p_value) == (above.score, above.p_value)
    levels = [session.at_threshold(fitted.part, factor * view.score).limits.seed for factor in (0.8, 1.0, 1.2)]
    assert levels == sorted(levels)


def test_the_calibrated_threshold_changes_nothing(fitted):
    limits = session.at_threshold(fitted.part, fitted.part.limits.threshold * (1 + 1e-9)).limits
    np.testing.assert_allclose(limits.seed, fitted.part.limits.seed, rtol=1e-6)
    np.testing.assert_allclose(limits.rate, fitted.part.limits.rate, rtol=1e-6)
    assert session.at_threshold(fitted.part, None) is fitted.part


def test_the_slider_covers_all_scores_and_the_threshold(fitted, view):
    low, high, step = session.slider(fitted, view)
    scores = [view.score, fitted.part.limits.threshold, *(good.score for good in fitted.part.good)]
    assert low < min(scores) and max(scores) < high
    assert 100 < (high - low) / step <= 20_000


def test_pictures_are_of_the_whole_photograph_and_drawing_leaves_the_view_alone(fitted, view):
    before = np.asarray(view.small).copy()
    picture = session.draw(fitted, view, session.judge(fitted, view, view.score / 2))
    assert (view.size, picture.size) == ((800, 600), (640, 480))
    assert np.any(np.asarray(picture) != before)
    np.testing.assert_array_equal(np.asarray(view.small), before)


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        ("text", "not an image"),
        ("postscript", "not an image"),
        ("empty", "not an image"),
        ("cut", "damaged"),
        ("large", "3000x3000 pixels"),
    ],
)
def test_bad_uploads_are_named(fitted, boards, bad_files, kind, reason):
    with pytest.raises(InputError, match=f"1 of 2 images cannot be used: {kind}.png .*{reason}"):
        session.read([boards[0], bad_files[kind]], BOUNDS)
    with pytest.raises(InputError, match=f"^{kind}.png .*{reason}"):
        session.look(fitted, bad_files[kind], BOUNDS)


def test_too_many_images_and_none(boards):
    with pytest.raises(InputError, match="5 images are more than --max_images=4"):
        session.read([boards[0]] * 5, BOUNDS)
    with pytest.raises(InputError, match="there is no image"):
        session.read([], BOUNDS)


def test_a_part_from_its_file(workshop, boards):
    first = desk.fit(workshop, boards[:3], name="My part/../../x")
    assert first.file.name == "My_part_x.safetensors"
    assert first.file.is_relative_to(workshop.directory)
    again = desk.load(workshop, first.file)
    assert desk.facts(again) | {"warnings": []} == desk.facts(first) | {"warnings": []}
    found = [desk.judged(desk.inspect(workshop, one, boards[3]))[0] for one in (first, again)]
    assert found[0] == found[1]
    renamed = desk.rename(workshop, first, "other")
    assert FastRecon.load(renamed.file).part.name == "other"


def test_a_damaged_part_is_named_by_its_upload(workshop, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"no part")
    with pytest.raises(InputError, match=r"^mine.safetensors cannot be read"):
        desk.load(workshop, file)


def test_parts_of_other_recipes_open_engines_of_their_own(workshop, engine, boards, tmp_path):
    settings = {"encoder": "resnet18", "weights": "random", "image_size": 64, "crop_size": 64, "method": "nearest"}
    FastRecon.fit(boards[:2], stages=engine.encoder.stages, **settings).save(tmp_path / "other.safetensors")
    other = desk.load(workshop, tmp_path / "other.safetensors").session.inspector.engine
    assert other.method.name == "nearest" and other.encoder is engine.encoder
    assert desk.load(workshop, tmp_path / "other.safetensors").session.inspector.engine is other


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"weights": "/etc/passwd", "weights_sha256": "0" * 64}, "may not name"),
        ({"weights": "hf://someone/something", "stages": ("layer1",)}, "may not name"),
        ({"image_size": 2048}, "takes up to 1024"),
    ],
)
def test_an_uploaded_part_cannot_have_the_server_read_files(engine, change, reason):
    with pytest.raises(InputError, match=reason):
        engines.opener(engine)(dataclasses.replace(engine.recipe, **change))


def test_names_of_uploads_are_escaped(fitted, view):
    finding = session.judge(fitted, view, view.score / 2)
    said = html.verdict(fitted, view, finding, 1.0) + html.part(fitted)
    assert "<5>" not in said and "misprint &amp;&lt;5&gt;.png" in said


def test_p_values_in_words():
    assert html.chance(0.01) == "About 1 in 100 good parts would score as high."
    assert html.chance(0.93).startswith("Most good parts (93 of 100)")
    assert html.chance(0.0) == "Fewer than 1 in a million good parts would score as high."


def test_the_example_is_a_result(workshop):
    shown = desk.show(desk.example(workshop))
    assert "gear (example)" in shown.part and "data-verdict" in shown.verdict and "<img" in shown.picture
    waiting = desk.show(desk.example(workshop)._replace(view=None))
    assert "Ready" in waiting.verdict and not waiting.picture


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 70000), ("host", ""), ("model", "part.txt"), ("target_fpr", 1.0), ("max_images", 0), ("crop_size", 300)],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=f"--{field}="):
        DemoConfig(**{field: value})
