"""The command compare: four files of the same figures, papers beside them, and mistakes in a line."""

import itertools
import json
import re
import subprocess
import sys

import pytest

from fastrecon_jax.comparing import command, latex, texts
from fastrecon_jax.comparing.config import CompareConfig
from fastrecon_jax.errors import InputError
from tests.comparing import made
from tests.inspection.test_page import Reader
from tests.serving import chromium

COLUMNS = ("dataset", "categories", "method", "encoder", "metric", "shots", "percent", "source")
PAPER = [("mpdd", 2, "SomeNet <b>", "", "image_auroc", 2, "88.10", "Author & Co, 2025")]
PAPER += [("mpdd", 2, "SomeNet <b>", "", "aupro", 2, "99.90", "Author & Co, 2025")]
PAPER += [("mvtec_ad", 15, "Other", "", "image_auroc", 2, "77.00", "Elsewhere")]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two runs, of which one is another program's, and published figures."""
    folder = tmp_path_factory.mktemp("compare")
    parts = ("bolt", "nut <b>&_")
    made.ours(folder / "ours", made.fits({"nearest": 2.0, "padim": 0.3}, parts, shots=(2, 4)))
    made.theirs(folder / "their_net", made.fits({"x": 1.0}, parts, seeds=(0,)))
    made.write(folder / "published.csv", COLUMNS, PAPER)
    return folder


@pytest.fixture(scope="module")
def done(folder):
    """The comparison, its page, and what was told."""
    told = []
    found = command.compare(config(folder), tell=told.append)
    return found, folder / "out.html", "".join(told)


def config(folder, **changes):
    fields = {"runs": (str(folder / "ours"), str(folder / "their_net")), "output": str(folder / "out.html")}
    return CompareConfig(**fields | {"published": str(folder / "published.csv"), "resamples": 200} | changes)


def test_the_leaderboard(done):
    found, _, told = done
    head, *rows = texts.board(found)
    assert head[:5] == ["method", "shots", "parts", "draws", "image AUROC"]
    assert head[7:] == ["worst part, image AUROC", "fit, s", "image, ms", "peak memory, GB"]
    assert [row[:4] for row in rows] == [
        ["nearest", "2", "2", "2"],
        ["nearest", "4", "2", "2"],
        ["padim", "2", "2", "2"],
        ["padim", "4", "2", "2"],
        ["their_net", "2", "2", "1"],
        ["SomeNet <b>, published", "2", "2", "-"],
    ]
    assert re.fullmatch(r"\d+\.\d ± \d+\.\d / \d+\.\d", rows[0][4])
    assert rows[0][5] == "90.0 ± 0.0 / 0.0" and rows[0][8:10] == ["1", "50"]
    assert re.fullmatch(r"\d+\.\d ± - / \d+\.\d", rows[4][4]) and rows[4][5:7] == ["-", "-"]
    assert rows[5][4:] == ["88.10", "-", "99.90", "-", "-", "-", "-"]
    assert "warning: their_net: no results with 4 shots.\n" in told
    assert told.endswith("out.html, and beside it as .md, .tex and .json\n")


def test_published_figures_are_in_no_difference(done):
    found, page, _ = done
    names = {name for one in found.differences for name in (one.first, one.second)}
    assert names == {"nearest", "padim", "their_net"}
    assert {one.metric for one in found.differences if "their_net" in one[:2]} == {"image_auroc"}
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert [one["method"] for one in numbers["published"]] == ["SomeNet <b>"]  # the other data set was not measured
    assert "SomeNet" not in json.dumps(numbers["differences"]) + json.dumps(numbers["systems"])


def test_numbers_are_those_of_the_tables(done):
    found, page, _ = done
    numbers = json.loads(page.with_suffix(".json").read_text())
    assert [system["name"] for system in numbers["systems"]] == ["nearest", "padim", "their_net"]
    nearest = numbers["systems"][0]["means"][0]
    assert nearest["figures"]["image_auroc"]["mean"] == found.lines[0].figures["image_auroc"].mean
    assert nearest["parts"].keys() == {"mpdd/bolt", "mpdd/nut <b>&_"}
    assert numbers["systems"][2]["means"][0]["figures"]["aupro"] is None
    assert len(numbers["differences"]) == len(found.differences)
    assert numbers["warnings"] == found.warnings and numbers["resamples"] == 200


def test_the_page_needs_nothing_from_elsewhere_and_is_in_order(done):
    text = done[1].read_text(encoding="utf-8")
    read = Reader(text)
    assert (read.open, read.links) == ([], [])
    assert not any(word in text for word in ("http:", "https:", "url(", "@import", "<script", "<img", "<link"))
    assert "SomeNet &lt;b&gt;" in text and "<b>" not in text
    headings = [text[i + 2] for i in range(len(text)) if text.startswith(("<h1>", "<h2>", "<h3>"), i)]
    assert headings[0] == "1" and headings.count("1") == 1
    assert all(int(after) <= int(before) + 1 for before, after in itertools.pairwise(headings))
    for title in ("Leaderboard", "Against shots", "By part", "Cost against accuracy", "Differences"):
        assert f"<h2>{title}</h2>" in text
    assert text.count("<svg") - text.count("aria-hidden") == 3 + 2 + 2 + 2  # metrics, shots, costs, shots
    assert "nan" not in re.sub(r"<[^>]*title>", "", text).lower().split("<body>")[1]


def test_the_same_runs_give_the_same_files(done, folder):
    command.compare(config(folder, output=str(folder / "again.html")), tell=len)
    for suffix in (".html", ".md", ".tex", ".json"):
        assert (folder / f"again{suffix}").read_bytes() == (folder / f"out{suffix}").read_bytes()


def test_markdown_and_latex(done):
    found, page, _ = done
    markdown = page.with_suffix(".md").read_text(encoding="utf-8")
    assert "| SomeNet <b>, published | 2 | 2 | - | 88.10 | - | 99.90 |" in markdown
    assert all(line in markdown for line in found.warnings)
    tex = page.with_suffix(".tex").read_text(encoding="utf-8")
    assert tex.count(r"\begin{tabular}") == tex.count(r"\end{tabular}") == 2
    assert tex.count(r"\toprule") == tex.count(r"\bottomrule") == 2
    for line in tex.splitlines():
        if line.endswith(r"\\"):
            assert line.count(" & ") in (10, 8)
            assert not re.search(r"(?<!\\)[_%#]", line)
    best = [line for line in tex.splitlines() if line.startswith("nearest & 2 &")]
    assert r"\textbf{" in best[0] and r"\textbf{88.10" not in tex
    assert r"their\_net" in tex
    assert latex.escaped("a_b & {c} ~^\\ 5 % <±>") == (
        r"a\_b \& \{c\} \textasciitilde{}\textasciicircum{}\textbackslash{} 5 \% \textless{}$\pm$\textgreater{}"
    )


def test_one_run_alone_is_a_table(folder):
    found = command.compare(
        CompareConfig(runs=(str(folder / "their_net"),), output=str(folder / "alone.html")), tell=len
    )
    assert found.differences == [] and len(found.lines) == 1
    assert "<h2>Differences</h2>" not in (folder / "alone.html").read_text()


def test_other_metrics_and_one_reference(folder):
    changes = {"metrics": ("image_ap", "pixel_auroc"), "reference": "padim", "published": ""}
    found = command.compare(config(folder, **changes, output=str(folder / "ap.html")), tell=len)
    assert {(one.second, one.metric) for one in found.differences} == {("padim", "image_ap"), ("padim", "pixel_auroc")}
    assert texts.board(found)[0][4:6] == ["image AP", "pixel AUROC"]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"runs": ()}, "no runs are given: fastrecon compare DIRECTORY DIRECTORY ..."),
        ({"runs": ("a", "a")}, "--runs=a,a is not allowed: nothing may be named twice"),
        (
            {"runs": ("nowhere",)},
            "nowhere is no directory of results: allowed are directories of eval, or with a scores",
        ),
        ({"output": "x.pdf"}, "--output=x.pdf is not allowed: it must end in .html"),
        ({"output": "/nowhere/x.html"}, "--output=/nowhere/x.html: there is no directory /nowhere"),
        ({"metrics": ()}, "--metrics= is not allowed: it must name at least one"),
        (
            {"metrics": ("speed",)},
            "--metrics has speed, which no run has: allowed are image_auroc, image_ap, image_f1max",
        ),
        ({"metrics": ("image_auroc", "speed")}, "--metrics has speed, which no run has"),
        ({"reference": "me"}, "--reference=me is none of the systems: they are nearest, padim, their_net"),
        ({"resamples": 5}, "--resamples=5 is not allowed: it must be from 100 to 100000"),
        ({"published": "none.csv"}, "none.csv cannot be read: No such file or directory"),
    ],
)
def test_mistakes_name_the_flag(folder, wrong, message):
    with pytest.raises(InputError, match=re.escape(message)):
        command.compare(config(folder, **wrong), tell=len)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([("mpdd", "many", "a", "", "aupro", 2, "5", "s")], "line 2: categories is 'many'; allowed is a whole number"),
        ([("mpdd", 2, "a", "", "aupro", "2.5", "5", "s")], "line 2: shots is '2.5'; allowed is a whole number"),
        (
            [("mpdd", 2, "a", "", "aupro", 2, "high", "s")],
            "line 2: percent is 'high'; allowed is a number from 0 to 100",
        ),
        ([("mpdd", 2, "a", "", "aupro", 2, "500", "s")], "line 2: percent is '500'; allowed is a number from 0 to 100"),
        ([PAPER[2]], "has no figures of mpdd with 2, 4 shots: it has mvtec_ad with 2 shots"),
        ([], "has no figures of mpdd with 2, 4 shots: it has none"),
    ],
)
def test_published_figures_that_cannot_be_used(folder, tmp_path, lines, message):
    file = made.write(tmp_path / "published.csv", COLUMNS, lines)
    with pytest.raises(InputError, match=re.escape(message)):
        command.compare(config(folder, published=str(file)), tell=len)


def test_published_means_over_other_categories_are_said(folder, tmp_path):
    file = made.write(tmp_path / "published.csv", COLUMNS, [("mpdd", 6, "A", "e", "image_auroc", 2, "5", "s")])
    found = command.compare(config(folder, published=str(file), output=str(tmp_path / "x.html")), tell=len)
    assert found.warnings[-1] == (
        "Published figures of mpdd are means over 6 categories, those here over 2: they do not compare."
    )


def call(*arguments, cwd):
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=cwd, capture_output=True, text=True, timeout=120)
    return done.returncode, done.stdout, done.stderr


def test_runs_stand_before_and_after_flags_on_the_command_line(folder):
    code, told, error = call(
        *("fastrecon_jax.compare", "ours", "--resamples=100", "net=their_net", "--output=cli.html"), cwd=folder
    )
    assert (code, error) == (0, "")
    assert "nearest - net" in told and (folder / "cli.html").is_file()
    code, told, error = call("fastrecon_jax", "compare", "--output=cli.html", "absent", cwd=folder)
    assert (code, told, error.count("\n")) == (2, "", 1)
    assert error.startswith("error: absent is no directory of results")
    code, told, error = call("fastrecon_jax", "compare", "ours", "--shots=2", cwd=folder)
    assert (code, told) == (2, "") and error.startswith("error: Unknown command line flag 'shots'")


@pytest.mark.skipif(not chromium.find(), reason="needs Chromium, see scripts/chromium.sh")
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_fits_the_screen(done, width):
    with chromium.browser(width=width) as browser:
        browser.open(done[1].as_uri())
        browser.wait("document.readyState == 'complete'")
        assert browser.evaluate("document.documentElement.scrollWidth") <= width
        sizes = browser.evaluate(
            "[...document.querySelectorAll('svg text')].map(one => one.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 9  # legible
        assert browser.messages == [] and browser.requested[1:] == []
