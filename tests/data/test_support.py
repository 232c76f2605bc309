import pytest

from fastrecon_jax.data import support

NAMES = [f"train/good/{i:03}.png" for i in range(20)]


def draw(**options):
    return support.draws("set", "part", NAMES, **({"shots": 4, "support": "random", "seeds": (0, 1)} | options))


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
    other = support.draws("set", "other", NAMES, shots=4, support="random", seeds=(0,))
    assert other[0].indices != draw()[0].indices


def listed(tmp_path, text, shots=2):
    (tmp_path / "list.txt").write_text(text)
    return draw(support=str(tmp_path / "list.txt"), shots=shots)


def test_a_plain_list_gives_its_first_names_in_order(tmp_path):
    text = "# of 2020\nother/train/good/000.png\npart/train/good/007.png\n\n part/train/good/003.png\n"
    assert listed(tmp_path, text) == (support.Draw(None, (7, 3)),)


def test_a_list_with_rounds_gives_a_draw_each(tmp_path):
    text = """
        # dataset category shots round file
        set part 1 0 train/good/019.png
        set part 2 0 train/good/007.png
        set part 2 0 train/good/003.png
        set part 2 1 train/good/001.png
        set part 2 1 train/good/000.png
        set other 2 1 train/good/005.png
        elsewhere part 2 2 train/good/005.png
    """
    assert listed(tmp_path, text) == (support.Draw(0, (7, 3)), support.Draw(1, (1, 0)))
    assert listed(tmp_path, text, shots=1) == (support.Draw(0, (19,)),)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("#1: 005\n#2: 013 004\n#4: 1 2 3 4\n", (support.Draw(None, (13, 4)),)),
        ("0-1: 005\n0-2: 013 004\n1-2: 000 7\n", (support.Draw(0, (13, 4)), support.Draw(1, (0, 7)))),
    ],
)
def test_published_lists_are_read_from_their_directory(tmp_path, text, expected):
    (tmp_path / "seeds/part").mkdir(parents=True)
    (tmp_path / "seeds/part/selected_samples_per_run.txt").write_text(text)
    assert draw(support=str(tmp_path / "seeds"), shots=2) == expected
    assert listed(tmp_path, text) == expected


@pytest.mark.parametrize("text", ["part/train/good/007.png\npart/train/good/003.png\n", "#2: 7 3\n"])
def test_a_byte_order_mark_is_ignored(tmp_path, text):
    assert listed(tmp_path, f"\ufeff{text}") == (support.Draw(None, (7, 3)),)


def test_a_word_is_a_name_before_it_is_a_number(tmp_path):
    (tmp_path / "list.txt").write_text("#2: 5 006\n")
    names = ["train/good/006.png", "train/good/1.png", "train/good/5.png"]
    drawn = support.draws("set", "part", names, shots=2, support=str(tmp_path / "list.txt"), seeds=())
    assert drawn == (support.Draw(None, (2, 0)),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("part/train/good/000.png\n", "has 1 images for 2 shots of part"),
        ("part/train/good/000.png\npart/train/good/099.png\n", "names train/good/099.png, which is not among the 20"),
        ("part/train/good/000.png\npart/train/good/000.png\n", "names an image of part more than once"),
        ("other/train/good/000.png\n", "has nothing for 2 shots of part of set"),
        ("#4: 1 2 3 4\n", "has nothing for 2 shots of part of set"),
        ("#2: 1 2 3\n", "has 3 images for 2 shots of part"),
        ("#2: 1 77\n", "names 77, which is not among the 20 training images of part"),
        ("", "has nothing for 2 shots of part of set"),
        (f"#2: 1 {'9' * 5000}\n", r"names 9{100}\.\.\., which is not among the 20 training images of part"),
        (f"#{'9' * 5000}: 1 2\n", "has nothing for 2 shots of part of set"),
        (f"{'9' * 5000}-2: 1 2\n", "has nothing for 2 shots of part of set"),
        (f"set part 2 {'9' * 5000} train/good/000.png\n", "has nothing for 2 shots of part of set"),
    ],
)
def test_lists_that_do_not_fit(tmp_path, text, message):
    with pytest.raises(ValueError, match=message):
        listed(tmp_path, text)


def test_a_directory_without_the_category(tmp_path):
    with pytest.raises(ValueError, match=r"part/selected_samples_per_run.txt is neither first nor random nor a file"):
        draw(support=str(tmp_path))


def test_neither_word_nor_file():
    with pytest.raises(ValueError, match="--support=nearest is neither first nor random nor a file"):
        draw(support="nearest")


def test_a_name_that_is_too_long():
    with pytest.raises(ValueError, match="xxx cannot be read: File name too long"):
        draw(support="x" * 300)


def test_a_binary_file(tmp_path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="is not a text file"):
        draw(support=str(tmp_path / "x"))
