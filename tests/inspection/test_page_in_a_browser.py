"""The page of an inspection in a real browser: on a phone, by keyboard, by axe-core."""

import pytest

from tests import axe
from tests.inspection import line
from tests.serving import chromium

pytest.importorskip("websockets", reason="needs websockets, of the extra test")
pytestmark = [
    pytest.mark.skipif(not chromium.find(), reason="needs Chromium, see scripts/chromium.sh"),
    pytest.mark.skipif(not axe.SCRIPT, reason="needs axe-core, of the extra test"),
]
LONG = "a_rather_long_name_of_a_photograph_without_any_blank_in_it_0123456789.png"
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
OPEN = "document.querySelector('dialog').open"


@pytest.fixture(scope="module")
def address(disc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "in"
    folder.mkdir()
    for seed, name in enumerate(("one.png", "two.png", LONG)):
        line.picture(seed, defective=seed % 2 == 1).save(folder / name)
    (folder / "bad.png").write_bytes(b"no image")
    line.predict(disc, folder, folder.parent / "out")
    return (folder.parent / "out" / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser():
    with chromium.browser() as page:
        yield page


@pytest.fixture(params=[390, 1280])
def page(request, browser, address):
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=request.param, height=844, deviceScaleFactor=1, mobile=False
    )
    browser.open("about:blank")
    browser.open(address)
    browser.wait("document.readyState == 'complete' && !!document.querySelector('.rows .row')")
    return browser


def press(page, key):
    code, text = {"Enter": (13, "\r"), "Escape": (27, ""), "ArrowRight": (39, "")}[key]
    for kind in ("keyDown", "keyUp"):
        page.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, text=text)


def open_first_picture(page):
    page.click(".row:not(.unreadable) .view")
    page.wait(f"{OPEN} && document.querySelector('dialog img').complete")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing_and_nothing_scrolls_sideways(page, scheme):
    page.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
    assert axe.findings(page) == []
    assert page.evaluate(OVERFLOW) == 0
    open_first_picture(page)
    assert axe.findings(page) == []
    assert page.evaluate(OVERFLOW) == 0
    assert page.evaluate("(d => d.scrollWidth - d.clientWidth)(document.querySelector('dialog'))") == 0


def test_the_single_view_has_a_scale_with_the_mark_of_regions(page):
    open_first_picture(page)
    low, mark, high = page.evaluate(
        "Array.from(document.querySelectorAll('dialog .scale span'), (s) => Number(s.innerText))"
    )
    assert low < mark < high
    where = page.evaluate(
        "(() => {const r = (s) => document.querySelector('dialog .scale ' + s).getBoundingClientRect();"
        "return [r('i').left, r('b').left, r('i').right]})()"
    )
    assert (where[1] - where[0]) / (where[2] - where[0]) == pytest.approx((mark - low) / (high - low), abs=0.02)
    assert page.evaluate("document.querySelector('dialog .scale').checkVisibility()")


def test_by_keyboard_alone(page):
    page.evaluate("document.querySelector('.row:not(.unreadable) .view').focus()")
    press(page, "Enter")
    page.wait(OPEN)
    first = page.text("#at")
    press(page, "ArrowRight")
    page.wait(f"document.querySelector('#at').innerText != '{first}'")
    shown = page.evaluate("document.querySelector('dialog .row').dataset.path")
    press(page, "Escape")
    page.wait(f"!{OPEN}")
    page.wait(f"document.activeElement.closest('.row')?.dataset.path == {shown!r}")
    outline = "getComputedStyle(document.activeElement)"
    assert page.evaluate(f"{outline}.outlineStyle != 'none' && parseFloat({outline}.outlineWidth) >= 2")


def test_everything_that_is_used_has_a_name(page):
    nameless = page.evaluate(
        "Array.from(document.querySelectorAll('img, button, select, input[type=search], dialog, form, [role=img]'))"
        ".filter((e) => !(e.getAttribute('alt') || e.getAttribute('aria-label') || e.innerText.trim()))"
        ".map((e) => e.outerHTML)"
    )
    assert nameless == []
