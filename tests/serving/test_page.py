"""The page in a real browser, against a real process."""

import json

import pytest

from fastrecon_jax.api import FastRecon
from tests import axe
from tests.serving import chromium

pytest.importorskip("gradio", reason="needs Gradio, the extra demo")
pytest.importorskip("websockets", reason="needs websockets, of the extra test")
pytestmark = pytest.mark.skipif(not chromium.find(), reason="needs Chromium, see scripts/chromium.sh")

VERDICT = "document.querySelector('.verdict')?.dataset.verdict"
SCORE = "Number(document.querySelector('.verdict')?.dataset.score)"
SHOWN = "(document.querySelector('.verdict p')?.innerText ?? '')"


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as page:
        yield page


@pytest.fixture
def page(running, browser):
    """Opened anew: a session of its own."""
    browser.requested.clear()
    browser.messages.clear()
    browser.open("about:blank")
    browser.open(running.url)
    browser.wait(f"!!{VERDICT} && !!document.querySelector('#good input[type=file]')")
    return browser


def move(page, share):
    """Drag the threshold to a share of its way."""
    ends = page.evaluate(
        "(() => {const one = document.querySelector('#threshold input[type=range]');"
        "return [Number(one.min), Number(one.max)]})()"
    )
    page.type_into("#threshold input[type=range]", str(ends[0] + share * (ends[1] - ends[0])))


def test_the_first_view_is_a_result_and_nothing_is_fetched_from_elsewhere(running, page):
    assert page.evaluate(VERDICT) == "defective"
    assert "gear (example)" in page.text(".part")
    assert page.evaluate("document.querySelectorAll('.thumbs img').length") == 4
    assert page.evaluate("document.querySelectorAll('.pictures img').length") == 2
    assert "false-positive rate" in page.text(".warnings")
    page.wait("document.readyState == 'complete'")
    elsewhere = [one for one in page.requested if not one.startswith((running.url, "data:", "blob:", "about:"))]
    assert not elsewhere
    assert not page.messages


def test_the_verdict_and_the_regions_follow_the_threshold(page):
    assert page.evaluate("document.querySelector('.pictures').dataset.regions") != "0"
    score = page.evaluate(SCORE)
    move(page, 0.99)
    page.wait(f"{VERDICT} != 'defective'")
    page.wait("document.querySelector('.pictures').dataset.regions == '0'")
    move(page, 0.02)
    page.wait(f"{VERDICT} == 'defective' && document.querySelector('.pictures').dataset.regions != '0'")
    assert page.evaluate(SCORE) == score
    page.click("#reset")
    page.wait("document.querySelector('#threshold').innerText.includes('as calibrated')")


def test_good_parts_a_query_and_the_file_of_the_part(running, page, boards, tmp_path):
    page.upload("#good input[type=file]", *boards[:3])
    page.wait("document.querySelector('.part h3')?.innerText == 'part'")
    page.wait(f"{VERDICT} === undefined")  # of the gear no more
    page.upload("#query input[type=file]", boards[3])
    page.wait(f"!!{VERDICT} && {SHOWN}.includes('misprint')")

    directory = tmp_path / "downloads"
    directory.mkdir()
    file = page.download("#download", directory)
    assert file.name == "part.safetensors"
    part = FastRecon.load(file)
    assert part.score([boards[3]])[0] == pytest.approx(page.evaluate(SCORE), rel=1e-4)

    page.open("about:blank")
    page.open(running.url)
    page.wait("!!document.querySelector('#model input[type=file]') || !!document.querySelector('button.label-wrap')")
    if not page.evaluate("!!document.querySelector('#model input[type=file]')"):
        page.click("button.label-wrap")
        page.wait("!!document.querySelector('#model input[type=file]')")
    page.upload("#model input[type=file]", file)
    page.wait(f"{VERDICT} === undefined && document.querySelector('.part h3').innerText == 'part'")
    page.upload("#query input[type=file]", boards[3])
    page.wait(f"!!{VERDICT} && {SHOWN}.includes('misprint')")
    assert part.score([boards[3]])[0] == pytest.approx(page.evaluate(SCORE), rel=1e-4)


def test_a_bad_upload_is_a_message_and_the_page_goes_on(page, boards, bad_files):
    page.upload("#query input[type=file]", bad_files["text"])
    page.wait("document.body.innerText.includes('text.png is not an image')")
    assert json.dumps("Traceback") not in page.evaluate("document.body.innerText")
    clear(page)
    page.upload("#query input[type=file]", boards[3])
    page.wait(f"{SHOWN}.includes('misprint')")


def clear(page):
    page.click("#query button[aria-label='Clear'], #query button[aria-label='Remove file'], #query .icon-button")
    page.wait("!!document.querySelector('#query input[type=file]')")


def has_no_verdict(page, title):
    """No verdict of a photograph before is seen, nor its pictures; what failed is said where it was."""
    page.wait(f"document.querySelector('#verdict')?.innerText.includes({title!r})")
    page.wait("!document.querySelector('.pictures') && !document.querySelector('table.regions')")
    assert page.evaluate(VERDICT) is None
    assert page.evaluate("document.querySelector('#verdict [role=alert]').checkVisibility()")
    move(page, 0.5)  # nothing of it comes back
    page.wait("!document.querySelector('#verdict')?.innerText.includes('Score')")
    assert page.evaluate(VERDICT) is None


def test_after_an_upload_that_cannot_be_read_there_is_no_verdict(page, boards, bad_files):
    page.upload("#query input[type=file]", boards[3])
    page.wait(f"{SHOWN}.includes('misprint')")
    clear(page)
    page.wait(f"{VERDICT} === undefined")  # nothing is under inspection
    page.upload("#query input[type=file]", bad_files["cut"])
    has_no_verdict(page, "cut.png cannot be decoded")


@pytest.mark.parametrize("where", ["query", "good"])
def test_after_an_upload_that_never_arrives_there_is_no_verdict(page, tmp_path, where):
    assert page.evaluate(VERDICT) == "defective"  # of the example
    file = tmp_path / "large.png"
    file.write_bytes(b"\x89PNG" + bytes(3_100_000))
    page.upload(f"#{where} input[type=file]", file)
    has_no_verdict(page, "The upload failed")


def test_an_upload_under_way_hides_the_verdict_before(page, boards):
    page.evaluate("window.fetch = () => new Promise(() => {})")  # the network hangs
    page.upload("#query input[type=file]", boards[3])
    page.wait("document.querySelector('#uploading').checkVisibility()")
    assert not page.evaluate("document.querySelector('#verdict .verdict').checkVisibility()")
    assert not page.evaluate("document.querySelector('.pictures').checkVisibility()")


def test_good_photographs_that_cannot_be_used_leave_the_part_and_no_verdict(page, boards, bad_files):
    page.upload("#good input[type=file]", boards[0], bad_files["text"])
    has_no_verdict(page, "The part in use is still gear (example)")
    assert "gear (example)" in page.text(".part")


@pytest.mark.skipif(not axe.SCRIPT, reason="needs axe-core, of the extra test")
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_with_a_verdict_and_without(running, page, bad_files, theme):
    page.open(f"{running.url}/?__theme={theme}")
    page.wait(f"!!{VERDICT} && !!document.querySelector('#query input[type=file]')")
    assert page.evaluate("document.body.classList.contains('dark')") == (theme == "dark")
    assert axe.findings(page) == []
    page.upload("#query input[type=file]", bad_files["text"])
    page.wait("document.querySelector('#verdict')?.innerText.includes('text.png is not an image')")
    page.wait("!!document.querySelector('#query .wrap.hide')")  # the overlay of its progress is gone
    assert axe.findings(page) == []


def test_nothing_scrolls_sideways_on_a_phone(running, page):
    page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=False)
    try:
        assert page.evaluate("document.documentElement.scrollWidth") == 390
    finally:
        page.call("Emulation.setDeviceMetricsOverride", width=1280, height=1000, deviceScaleFactor=1, mobile=False)
