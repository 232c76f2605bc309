import unicodedata

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


def test_comments_that_look_like_a_published_line_are_comments(tmp_path):
    text = "#2: the first two\npart/train/good/007.png\npart/train/good/003.png\n"
    assert listed(tmp_path, text) == (support.Draw(None, (7, 3)),)


@pytest.mark.parametrize(
    "line",
    [
        "part\\train\\good\\{}.png",
        r".\part\train\good\{}.png",
        "./part/train/good/{}.png",
        ".//part//train/./good/{}.png".replace("/./", "/"),
        "  part/train/good/{}.png \t",
        "/data/sets/part/train/good/{}.png",
        "C:\\data\\part\\train\\good\\{}.png",
    ],
)
@pytest.mark.parametrize("ends", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_paths_as_other_programs_write_them(tmp_path, line, ends, encoding):
    text = ends.join(["# a comment", line.format("007"), "", line.format("003"), ""])
    (tmp_path / "list.txt").write_bytes(text.encode(encoding))
    assert draw(support=str(tmp_path / "list.txt"), shots=2) == (support.Draw(None, (7, 3)),)


@pytest.mark.parametrize(("written", "stored"), [("NFC", "NFD"), ("NFD", "NFC")])
@pytest.mark.parametrize("form", ["{c}/{a}\n{c}/{b}\n", "my set {c} 2 0 {a}\nmy  set {c} 2 0 {b}\n", "#2: {A} {B}\n"])
def test_letters_with_accents_in_one_piece_or_two(tmp_path, written, stored, form):
    names = [unicodedata.normalize(stored, f"train/good/{name}.png") for name in ("grün", "é", "日")]
    a, b, category = (
        unicodedata.normalize(written, name) for name in ("train/good/é.png", "train/good/grün.png", "Öse 5 mm")
    )
    text = form.format(a=a, b=b, c=category, A=a[11:-4], B=b[11:-4])
    (tmp_path / "list.txt").write_text(text, encoding="utf-8")
    name = unicodedata.normalize(stored, "Öse 5 mm")
    drawn = support.draws("my set", name, names, shots=2, support=str(tmp_path / "list.txt"), seeds=())
    assert drawn == (support.Draw(0 if "my" in form else None, (1, 0)),)


def test_a_backslash_in_a_name(tmp_path):
    (tmp_path / "list.txt").write_text("part/train/good/a\\b.png\n")
    drawn = support.draws("set", "part", ["train/good/a\\b.png"], shots=1, support=str(tmp_path / "list.txt"), seeds=())
    assert drawn == (support.Draw(None, (0,)),)


def test_both_forms_of_a_name_are_told_apart(tmp_path):
    names = sorted(unicodedata.normalize(form, "train/good/é.png") for form in ("NFC", "NFD"))
    (tmp_path / "list.txt").write_text("".join(f"part/{name}\n" for name in names[::-1]), encoding="utf-8")
    drawn = support.draws("set", "part", names, shots=2, support=str(tmp_path / "list.txt"), seeds=())
    assert drawn == (support.Draw(None, (1, 0)),)


def test_categories_with_spaces_and_numbers_in_rounds(tmp_path):
    text = "a b plate 2 2 0 train/good/000.png\na b plate 2 2 0 train/good/001.png\na b plate 2 2 train/good/002.png\n"
    text += "a b plate 2 2 train/good/003.png\n"
    (tmp_path / "list.txt").write_text(text)
    for category, expected in (("plate 2", support.Draw(0, (0, 1))), ("plate", support.Draw(2, (2, 3)))):
        drawn = support.draws("a b", category, NAMES, shots=2, support=str(tmp_path / "list.txt"), seeds=())
        assert drawn == (expected,)


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
        (f"{'9' * 5000}-2: 1 2\n", r"line 1 does not fit CATEGORY/train/good/NAME.png: 9{100}\.\.\.$"),
        (
            f"set part 2 {'9' * 5000} train/good/000.png\n",
            "has nothing for 2 shots of part of set; its line 1 is set part",
        ),
        ("part/train/good/000.png\n\n003.png\n", "line 3 does not fit CATEGORY/train/good/NAME.png: 003.png$"),
        (
            "set part 2 0 train/good/000.png\nset part 2 train/good/003.png\n",
            "line 2 does not fit DATASET CATEGORY SHOTS",
        ),
        ("0-2: 1 2\n1-2 3 4\n", "line 2 does not fit ROUND-SHOTS: NAME NAME: 1-2 3 4$"),
        ("Part/train/good/000.png\n", "has nothing for 2 shots of part of set; its line 1 is Part/train/good/000.png$"),
        (
            "# none\npart/train/good/0\x1b.png\npart/x\n",
            r"names train/good/0\\x1b.png, which .* images of part: line 2$",
        ),
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
