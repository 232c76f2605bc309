"""Written supports are read back as they were drawn, here and by programs that read the published form."""

import pytest

from fastrecon_jax.data import support
from fastrecon_jax.data.support_writing import Drawn, write
from fastrecon_jax.errors import InputError

NAMES = [f"train/good/{i:03}.png" for i in range(20)]
CATEGORIES = ("bolt", "metal nut")


def draws(chosen, *, shots, names=NAMES, seeds=(0, 2**32 - 1)):
    return {
        category: {k: support.draws("my set", category, names, shots=k, support=chosen, seeds=seeds) for k in shots}
        for category in CATEGORIES
    }


def written(path, of, names=NAMES):
    write(path, "my set", [Drawn(category, names, of_category) for category, of_category in of.items()])
    return path


@pytest.mark.parametrize("name", ["drawn.txt", "drawn"])
@pytest.mark.parametrize(
    ("chosen", "shots"), [("random", (2, 4, 8)), ("random", (1,)), ("first", (1, 2, 4, 8, 16)), ("first", (3,))]
)
def test_what_was_written_is_drawn_again(tmp_path, chosen, shots, name):
    expected = draws(chosen, shots=shots)
    path = written(tmp_path / "new" / name, expected)
    assert draws(str(path), shots=shots) == expected


def test_names_of_any_kind_of_set(tmp_path):
    names = [f"Data/Images/Normal/{i:04} ä.JPG" for i in range(9)]
    expected = draws("random", shots=(4,), names=names)
    assert draws(str(written(tmp_path / "a.txt", expected, names)), shots=(4,), names=names) == expected


def test_lists_that_are_not_the_beginning_of_longer_ones_become_rounds(tmp_path):
    for category in CATEGORIES:
        (tmp_path / "in" / category).mkdir(parents=True)
        (tmp_path / "in" / category / "selected_samples_per_run.txt").write_text("#1: 004\n#2: 007 001\n")
    expected = draws(str(tmp_path / "in"), shots=(1, 2))
    again = draws(str(written(tmp_path / "out.txt", expected)), shots=(1, 2))
    assert again["bolt"] == {1: (support.Draw(0, (4,)),), 2: (support.Draw(0, (7, 1)),)}
    assert draws(str(written(tmp_path / "out", expected)), shots=(1, 2)) == expected


def test_the_published_form(tmp_path):
    path = written(tmp_path / "lists", draws("random", shots=(2,)))
    lines = (path / "bolt/selected_samples_per_run.txt").read_text().splitlines()
    assert [line.split(":")[0] for line in lines] == ["0-2", f"{2**32 - 1}-2"]
    assert all(len(word) == 3 and word.isdigit() for line in lines for word in line.split(": ")[1].split())
    path = written(tmp_path / "firsts", draws("first", shots=(2,)))
    assert (path / "bolt/selected_samples_per_run.txt").read_text() == "#2: 000 001\n"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["a/Part0.jpg", "b/Part0.jpg"],
            "image Part0 of bolt, whose name is not its own; pass a file such as",
        ),
        (["a/one two.jpg", "b/Part0.jpg"], "image one two of bolt, whose name has spaces"),
    ],
)
def test_names_that_the_published_form_cannot_hold(tmp_path, names, message):
    with pytest.raises(InputError, match=message):
        written(tmp_path / "lists", draws("first", shots=(2,), names=names), names)
    assert not (tmp_path / "lists").exists()


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "lists").write_text("")
    with pytest.raises(InputError, match=r"--write_support=.*lists"):
        written(tmp_path / "lists", draws("first", shots=(2,)))


def test_lists_of_one_seed_each(tmp_path):
    (tmp_path / "bolt").mkdir()
    for seed, words in ((111, "0003 0001"), (42, "0009 0000")):
        (tmp_path / f"bolt/selected_samples_per_run_{seed}.txt").write_text(f"#1: 0005\n#2: {words}\n")
    drawn = support.draws("set", "bolt", NAMES, shots=2, support=str(tmp_path), seeds=())
    assert drawn == (support.Draw(42, (9, 0)), support.Draw(111, (3, 1)))
    with pytest.raises(InputError, match=r"selected_samples_per_run_42.txt has nothing for 3 shots"):
        support.draws("set", "bolt", NAMES, shots=3, support=str(tmp_path), seeds=())
    with pytest.raises(InputError, match=r"nut.selected_samples_per_run.txt is neither first nor random"):
        support.draws("set", "nut", NAMES, shots=2, support=str(tmp_path), seeds=())
