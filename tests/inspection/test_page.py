"""The page: offline, complete, with links that work whatever the names."""

import html.parser
import urllib.parse

import pytest

from fastrecon_jax.inspection import page, routing
from fastrecon_jax.inspection.rows import Counts, Row
from tests.inspection import line

NAMES = ("a b.png", "ä 漢.png", "100%25 #1?.png", 'it\'s "q" & <b>bold<b>.png', "c:d.png")


class Reader(html.parser.HTMLParser):
    """Collects what a browser would load or follow, the cards, and the text."""

    def __init__(self, text):
        super().__init__()
        self.links, self.cards, self.words, self.open = [], [], [], []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attributes):
        known = dict(attributes)
        self.links += [(tag, name, known[name]) for name in ("href", "src", "srcset", "action") if name in known]
        if tag == "li":
            self.cards.append(known)
        if tag not in ("img", "meta", "input", "link", "br"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag == "option":
            return
        while self.open and self.open[-1] == "option":
            self.open.pop()
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)


@pytest.fixture(scope="module")
def output(disc, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page") / "in # 1"
    folder.mkdir()
    for seed, name in enumerate(NAMES):
        line.picture(seed, defective=seed % 2 == 1).save(folder / name)
    (folder / "bad<i>.png").write_bytes(b"no image")
    assert line.predict(disc, folder, folder.parent / "out %20") == 3
    return folder.parent / "out %20"


@pytest.fixture(scope="module")
def read(output):
    return Reader((output / "index.html").read_text(encoding="utf-8"))


def test_all_links_lead_to_files(read, output):
    assert len([1 for tag, _, _ in read.links if tag == "img"]) == len(NAMES)
    for _, _, link in read.links:
        assert not urllib.parse.urlsplit(link).scheme
        file = output / urllib.parse.unquote(link)
        assert file.is_file(), link


def test_nothing_comes_from_elsewhere(output):
    text = (output / "index.html").read_text(encoding="utf-8")
    assert "http:" not in text
    assert "https:" not in text
    assert "url(" not in text
    assert "@import" not in text


def test_every_element_is_closed(read):
    assert read.open == []


def test_names_are_text(read, output):
    paths = {card["data-path"] for card in read.cards}
    assert paths == {row["path"] for row in line.lines(output)}
    assert paths <= set(read.words)


def test_each_image_has_what_filters_and_sorting_need(read, output):
    rows = {row["path"]: row for row in line.lines(output)}
    assert len(read.cards) == len(rows) == 6
    ratios = [float(card["data-ratio"]) for card in read.cards]
    assert ratios == sorted(ratios, reverse=True)
    for card in read.cards:
        row = rows[card["data-path"]]
        assert card["data-verdict"] == (row["verdict"] or "unreadable")
        assert card["data-part"] == row["part"]
        if row["verdict"]:
            assert float(card["data-ratio"]) == pytest.approx(row["score"] / row["threshold"], rel=1e-4)


def test_the_calibration_is_on_the_page(read, output):
    row = next(row for row in line.lines(output) if row["verdict"])
    text = " ".join(read.words)
    for words in ("disc", "fastrecon", "resnet18 layer1+layer2", "random weights", f"{row['threshold']:.4g}", "1 %"):
        assert words in text


def test_images_load_as_they_are_looked_at(output):
    text = (output / "index.html").read_text(encoding="utf-8")
    assert text.count("<img ") == text.count('<img loading="lazy"')
    assert "content-visibility: auto" in text


def test_without_pictures_the_photographs_are_linked(disc, tmp_path):
    folder = line.write(tmp_path / "in", 2)
    line.predict(disc, folder, tmp_path / "out", overlays="none")
    read = Reader((tmp_path / "out" / "index.html").read_text())
    assert {(tag, link) for tag, _, link in read.links} == {("a", "../in/100.png"), ("a", "../in/101.png")}


def test_counts_name_every_kind():
    assert str(Counts()) == "0 good, 0 borderline, 0 defective, 0 unreadable"


class Extended(Row):
    """A row with a column that the page does not know."""

    def _asdict(self):
        return super()._asdict() | {"to_come": 0.98765}


def test_a_reason_and_columns_to_come_are_shown(tmp_path):
    values = dict.fromkeys(Row._fields, "") | {"path": "a.png", "part": "disc", "picked": routing.ONLY}
    values |= {"verdict": "defective", "regions": (), "milliseconds": 1.0, "confidence": 0.9}
    values |= {"score": 2.0, "threshold": 1.0, "p_value": 0.1, "peak": 3.0, "reason": "a corner <missing>"}
    read = Reader(page.html(tmp_path, [], [Extended(**values)]))
    assert "a corner <missing>" in read.words and "to_come 0.9877" in read.words
    assert read.open == []
