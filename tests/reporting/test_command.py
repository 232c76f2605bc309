"""The command report: a page and its figures, the same each time, and mistakes in a line."""

import itertools
import json
import subprocess
import sys

import pytest

from fastrecon_jax.errors import InputError
from fastrecon_jax.reporting import command
from fastrecon_jax.reporting.config import ReportConfig
from tests.inspection import line
from tests.inspection.test_page import Reader
from tests.serving import chromium


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A part whose file holds the pixels, with a name that HTML would take for its own."""
    return line.fit(tmp_path_factory.mktemp("report"), method="fastrecon+", name="disc <b>&", count=3)


@pytest.fixture(scope="module")
def done(model):
    """The page, and what was told."""
    told = []
    return command.report(ReportConfig(model=str(model)), tell=told.append), "".join(told)


def test_the_page_lies_beside_the_part_and_says_where(done, model):
    page, told = done
    assert page == model.with_name("disc <b>&.report.html")
    assert told.startswith("fastrecon_jax ") and "copies of 3 good images (held out) to inspect" in told
    size = f"{page.stat().st_size / 1e6:.1f} MB"
    assert told.endswith(f"the report is in {page} ({size}), its figures in {page.with_suffix('.json')}\n")


def test_figures_are_those_of_the_page(done):
    page, _ = done
    figures, text = json.loads(page.with_suffix(".json").read_text()), page.read_text(encoding="utf-8")
    assert [defect["kind"] for defect in figures["defects"]] == ["blob", "scratch", "missing piece", "discoloration"]
    assert len(figures["frames"]) >= 8
    assert [one["name"] for one in figures["sensitivities"]] == ["shift", "turn", "light", "blur"]
    assert [one["images"] for one in figures["more_images"]] == [3, 4, 8, 16, 32, 64, 100]
    for defect in figures["defects"]:
        if defect["smallest"]:
            assert f"{defect['kind']} from {defect['smallest']['pixels']:.3g} pixels" in text
    assert f"defective above {figures['threshold']:.4g}" in text
    assert "disc &lt;b&gt;&amp;" in text and "disc <b>" not in text


def test_the_page_needs_nothing_from_elsewhere_and_is_in_order(done):
    text = done[0].read_text(encoding="utf-8")
    read = Reader(text)
    assert read.open == []
    assert all(link.startswith("data:image/jpeg;base64,") for _, _, link in read.links)
    assert "http:" not in text and "https:" not in text and "url(" not in text and "<script" not in text
    assert text.count("<img ") == text.count('<img alt="') and '<img alt=""' not in text
    headings = [text[i + 2] for i in range(len(text)) if text.startswith(("<h1>", "<h2>", "<h3>"), i)]
    assert headings[0] == "1" and headings.count("1") == 1
    assert all(int(after) <= int(before) + 1 for before, after in itertools.pairwise(headings))
    assert '<html lang="en">' in text
    assert text.count("<th ") == text.count("<th scope=")


def test_the_same_part_gives_the_same_report(done, model, tmp_path):
    again = command.report(ReportConfig(model=str(model), output=str(tmp_path / "again.html")), tell=len)
    assert again.read_bytes() == done[0].read_bytes()
    assert again.with_suffix(".json").read_bytes() == done[0].with_suffix(".json").read_bytes()


def test_other_good_photographs_may_be_given(model, tmp_path):
    new, told = line.write(tmp_path / "new", 2, start=50), []
    config = ReportConfig(model=str(model), images=str(new), output=str(tmp_path / "new.html"))
    page = command.report(config, tell=told.append)
    assert "copies of 2 good images (new) to inspect" in "".join(told)
    assert "which the part has not seen" in page.read_text(encoding="utf-8")


@pytest.mark.parametrize("count", [1, 2])
def test_few_good_photographs(tmp_path, count):
    model = line.fit(tmp_path, count=count)
    page = command.report(ReportConfig(model=str(model), images=str(tmp_path / "good disc")), tell=len)
    text = page.read_text(encoding="utf-8")
    assert ("the threshold is a guess" in text) == (count == 1)
    assert ("which the part has seen" in text) == (count == 1)


def test_a_part_without_pixels_needs_images(tmp_path):
    model = line.fit(tmp_path, extendable=False)
    with pytest.raises(InputError, match="does not hold the pixels of its good photographs: pass them"):
        command.report(ReportConfig(model=str(model), output=str(tmp_path / "page.html")), tell=len)
    assert not (tmp_path / "page.html").exists()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"output": "report.pdf"}, r"--output=report.pdf is not allowed: it must end in .html"),
        ({"model": ""}, "--model is missing"),
        ({"batch_size": 0}, "--batch_size=0 is not allowed"),
        ({"output": "/nowhere/at/all/page.html"}, "there is no directory"),
        ({"images": "nothing/*.png"}, "matches no image"),
    ],
)
def test_mistakes_name_the_flag(model, wrong, message):
    with pytest.raises(InputError, match=message):
        command.report(ReportConfig(**({"model": str(model)} | wrong)), tell=len)


def test_a_mistake_is_one_line_on_the_command_line(tmp_path):
    arguments = [sys.executable, "-m", "fastrecon_jax", "report", f"--model={tmp_path / 'none.safetensors'}"]
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1


@pytest.mark.skipif(not chromium.find(), reason="needs Chromium, see scripts/chromium.sh")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen(done, width):
    with chromium.browser(width=width) as browser:
        browser.open(done[0].as_uri())
        browser.wait("document.readyState == 'complete'")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        assert browser.evaluate("[...document.images].every(one => one.complete && one.naturalWidth > 0)")
        sizes = browser.evaluate(
            "[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 9  # legible
        assert browser.messages == []
