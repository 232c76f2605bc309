import os
import subprocess
import sys
from pathlib import Path

import pytest

from fastrecon_jax.command_line import console

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((1, "image"), "1 image"),
        ((0, "image"), "0 images"),
        ((8, "image"), "8 images"),
        ((1, "category", "categories"), "1 category"),
        ((2, "category", "categories"), "2 categories"),
    ],
)
def test_counts_agree_with_their_noun(arguments, text):
    assert console.count(*arguments) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [
        (0.01, "1 %"),
        (0.123, "12 %"),
        (0.00012, "0.012 %"),
        (0.0, "under 0.01 %"),
        (9e-5, "under 0.01 %"),
        (0.5, "50 %"),
    ],
)
def test_shares_in_percent(share, text):
    assert console.percent(share) == text


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("良品 1.png", "良品 1.png"),
        ("a\x1b[2J\x9b31mb", r"a\x1b[2J\x9b31mb"),
        ("two\nlines\r\tand\x00", r"two\nlines\r\tand\x00"),
        ("gnp.\u202ecod\u2066x\u200f", r"gnp.\u202ecod\u2066x\u200f"),
        ("\ufeffhidden\u200b\u2028\U000e0041", r"\ufeffhidden\u200b\u2028\U000e0041"),
        ("caf\udce9", r"caf\udce9"),
        ("می\u200cخواهم 👩\u200d🔧", "می\u200cخواهم 👩\u200d🔧"),
    ],
)
def test_names_for_people_hold_nothing_that_a_terminal_acts_upon(name, text):
    assert console.shown(name) == text


def test_ends_of_lines_may_stay():
    assert console.shown("a\nb\x1b\r\n", keep="\n") == "a\nb\\x1b\\r\n"


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "ascii:strict", "cp932"])
@pytest.mark.parametrize(
    "arguments", [["-m", "fastrecon_jax"], ["-m", "fastrecon_jax.fit"], ["scripts/compare_runs.py"]]
)
def test_every_console_shows_every_name(encoding, arguments):
    command = [sys.executable, *arguments, "--no_such_良品_\x1b_ä=1"]
    if arguments == ["-m", "fastrecon_jax"]:
        command.insert(3, "no_such_良品_\x1b_ä")
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run(command, capture_output=True, timeout=120, env=environment, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr.count(b"\n")) == (2, b"", 1), done.stderr
    assert b"\\x1b" in done.stderr
    assert b"\\u826f" in done.stderr or "良" in done.stderr.decode(encoding.split(":")[0])


@pytest.mark.parametrize("encoding", ["cp1252", "ascii:strict"])
def test_lines_for_people_are_escaped_where_the_console_is_strict(encoding):
    program = "from fastrecon_jax.command_line import commands, console; console.show_everything(); "
    program += "commands.tell('良品 ± \\x1b[31m\\n')"
    environment = os.environ | {"PYTHONIOENCODING": encoding}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=120, env=environment, cwd=ROOT)
    assert done.stdout in (b"\\u826f\\u54c1 \xb1 \\x1b[31m\n", b"\\u826f\\u54c1 \\xb1 \\x1b[31m\n"), done.stderr
