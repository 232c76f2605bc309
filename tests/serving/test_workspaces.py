"""The demo without its page: a tiny encoder, real files."""

import dataclasses

import numpy as np
import pytest

from fastrecon_jax.api import FastRecon
from fastrecon_jax.errors import InputError
from fastrecon_jax.parts.engine import open_engine
from fastrecon_jax.serving import engines, html, uploads, workspaces
from fastrecon_jax.serving.config import DemoConfig
from fastrecon_jax.serving.uploads import Accepted
from fastrecon_jax.serving.workspaces import Service

TINY = DemoConfig(encoder="resnet18", weights="random", image_size=64)
ACCEPTED = Accepted(images=4, pixels=4_000_000)


@pytest.fixture(scope="module")
def engine():
    return open_engine(engines.recipe(TINY))


@pytest.fixture(scope="module")
def service(engine, tmp_path_factory):
    return Service(engine, engines.opener(engine), ACCEPTED, 0.01, tmp_path_factory.mktemp("served") / "parts")


@pytest.fixture(scope="module")
def fitted(service, boards):
    return workspaces.fit(service, boards[:3], name="capsule")


@pytest.fixture(scope="module")
def inspected(service, fitted, boards):
    return workspaces.inspect(service, fitted, boards[3])


def test_it_finds_what_a_notebook_finds(fitted, inspected, boards):
    settings = {"encoder": "resnet18", "weights": "random", "image_size": 64}
    other = FastRecon.fit(boards[:3], **settings)
    (expected,) = other.inspect([boards[3]])
    finding = workspaces.judge(inspected)
    assert finding.score == pytest.approx(expected.score, rel=1e-5)
    assert finding.verdict == expected.verdict
    assert fitted.part.limits.threshold == pytest.approx(other.threshold, rel=1e-6)
    assert fitted.part.good[0].name == "good &<0>.png"  # the name alone, not where the upload lay


def test_the_verdict_and_the_regions_follow_the_threshold(inspected):
    score = inspected.image.score
    below, above = (workspaces.judge(inspected, factor * score) for factor in (0.99, 1.5))
    assert below.verdict == "defective" and below.regions
    assert above.verdict != "defective"
    assert (below.score, below.p_value) == (above.score, above.p_value)


def test_the_calibrated_threshold_changes_nothing(inspected):
    calibrated, given = workspaces.judge(inspected), workspaces.judge(inspected, inspected.part.limits.threshold)
    assert calibrated._replace(map=None) == given._replace(map=None)


def test_without_a_photograph_there_is_nothing_to_judge(fitted):
    with pytest.raises(InputError, match="there is no photograph to inspect"):
        workspaces.judge(fitted)


def test_the_slider_covers_all_scores_and_the_threshold(inspected):
    low, high, step = workspaces.slider(inspected)
    part = inspected.part
    scores = [inspected.image.score, part.limits.threshold, *(good.score for good in part.good)]
    assert low < min(scores) and max(scores) < high
    assert 100 < (high - low) / step <= 20_000


def test_pictures_are_of_the_whole_photograph_and_drawing_leaves_it_alone(inspected):
    small = inspected.image.small
    before = np.asarray(small).copy()
    picture = workspaces.draw(inspected, workspaces.judge(inspected, inspected.image.score / 2))
    assert (inspected.image.size, picture.size) == ((800, 600), (640, 480))
    assert np.any(np.asarray(picture) != before)
    np.testing.assert_array_equal(np.asarray(small), before)


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
def test_bad_uploads_are_named(service, fitted, boards, bad_files, kind, reason):
    with pytest.raises(InputError, match=f"1 of 2 images cannot be used: {kind}.png .*{reason}"):
        uploads.read_all([boards[0], bad_files[kind]], ACCEPTED)
    with pytest.raises(InputError, match=f"^{kind}.png .*{reason}"):
        workspaces.inspect(service, fitted, bad_files[kind])


def test_too_many_images_and_none(boards):
    with pytest.raises(InputError, match="5 images are more than --max_images=4"):
        uploads.read_all([boards[0]] * 5, ACCEPTED)
    with pytest.raises(InputError, match="there is no image"):
        uploads.read_all([], ACCEPTED)


def test_a_part_from_its_file(service, boards):
    first = workspaces.fit(service, boards[:3], name="My part/../../x")
    assert first.file.name == "My_part_x.safetensors"
    assert first.file.is_relative_to(service.directory)
    again = workspaces.load(service, first.file)
    assert workspaces.facts(again) | {"warnings": []} == workspaces.facts(first) | {"warnings": []}
    judged = []
    for workspace in (first, again):
        inspected = workspaces.inspect(service, workspace, boards[3])
        judged.append(workspaces.finding_facts(inspected, workspaces.judge(inspected)))
    assert judged[0] == judged[1]
    renamed = workspaces.rename(service, first, "other")
    assert FastRecon.load(renamed.file).part.name == "other"


def test_a_damaged_part_is_named_by_its_upload(service, tmp_path):
    file = tmp_path / "mine.safetensors"
    file.write_bytes(b"no part")
    with pytest.raises(InputError, match=r"^mine.safetensors cannot be read"):
        workspaces.load(service, file)


def test_parts_of_other_recipes_open_engines_of_their_own(service, engine, boards, tmp_path):
    settings = {"encoder": "resnet18", "weights": "random", "image_size": 64, "method": "nearest"}
    FastRecon.fit(boards[:2], stages=engine.encoder.stages, **settings).save(tmp_path / "other.safetensors")
    other = workspaces.load(service, tmp_path / "other.safetensors").inspector.engine
    assert other.method.name == "nearest" and other.encoder is engine.encoder
    assert workspaces.load(service, tmp_path / "other.safetensors").inspector.engine is other


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


def test_names_of_uploads_are_escaped(inspected):
    finding = workspaces.judge(inspected, inspected.image.score / 2)
    said = html.verdict(inspected, inspected.image, finding, 1.0) + html.part(inspected)
    assert "<5>" not in said and "misprint &amp;&lt;5&gt;.png" in said


def test_p_values_in_words():
    assert html.chance(0.01) == "About 1 in 100 good parts would score as high."
    assert html.chance(0.93).startswith("Most good parts (93 of 100)")
    assert html.chance(0.0) == "Fewer than 1 in a million good parts would score as high."


def test_the_example_is_a_result(service):
    example = workspaces.example(service)
    shown = html.content(example)
    assert "gear (example)" in shown.part and "data-verdict" in shown.verdict and "<img" in shown.picture
    waiting = html.content(example._replace(image=None))
    assert "Ready" in waiting.verdict and not waiting.picture


@pytest.mark.parametrize(
    ("field", "value"),
    [("port", 70000), ("host", ""), ("model", "part.txt"), ("target_fpr", 1.0), ("max_images", 0), ("crop_size", 300)],
)
def test_settings_out_of_range_are_refused(field, value):
    with pytest.raises(InputError, match=f"--{field}="):
        DemoConfig(**{field: value})
