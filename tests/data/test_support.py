import pytest

from fastrecon_jax.data import support

NAMES = [f"train/good/{i:03}.png" for i in range(20)]


def draw(**options):
    return support.draws("part", NAMES, **({"shots": 4, "support": "random", "seeds": (0, 1)} | options))


def test_first_is_one_draw_of_the_first_names():
    assert draw(support="first") == (support.Draw(None, (0, 1, 2, 3)),)


def test_random_draws_are_reproducible_distinct_and_without_replacement():
    one, two = draw()
    assert (one, two) == draw()
    assert one.seed == 0
    assert set(one.indices) != set(two.indices)
    assert all(len(set(d.indices)) == 4 for d in (one, two))


def test_a_draw_of_more_shots_contains_that_of_fewer():
    assert draw(shots=8)[0].indices[:4] == draw(shots=4)[0].indices


def test_categories_draw_differently():
    other = support.draws("other", NAMES, shots=4, support="random", seeds=(0,))
    assert other[0].indices != draw()[0].indices


def test_a_list_gives_its_first_names_in_order(tmp_path):
    file = tmp_path / "list.txt"
    file.write_text("# round 1\nother/train/good/000.png\npart/train/good/007.png\n\n part/train/good/003.png\n")
    assert draw(support=str(file), shots=2) == (support.Draw(None, (7, 3)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part/train/good/000.png\n", "lists 1 images of part, --shots=2 needs at least 2"),
        (
            "part/train/good/000.png\npart/train/good/099.png\n",
            "lists part/train/good/099.png, which is not among the 20",
        ),
        ("part/train/good/000.png\npart/train/good/000.png\n", "names part/train/good/000.png more than once"),
    ],
)
def test_lists_that_do_not_fit(tmp_path, text, message):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(ValueError, match=message):
        draw(support=str(tmp_path / "list.txt"), shots=2)


def test_neither_word_nor_file():
    with pytest.raises(ValueError, match="support 'nearest' is neither 'first' nor 'random' nor a file"):
        draw(support="nearest")


def test_a_binary_file(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a text file"):
        draw(support=str(tmp_path / "x"))
