"""Flickr30k's token file and its Kaggle form are read as published, faults included."""

import pytest

from cacr.data import open_captions

TOKEN = (
    "1000092795.jpg#0\tTwo young guys with shaggy hair look at their hands .\n"
    "1000092795.jpg#1\tTwo young , White males are outside near many bushes .\n"
    "10002456.jpg#0\tSeveral men in hard hats # 1 are operating a giant pulley system .\n"
)
BARS = (
    "image_name| comment_number| comment\n"
    "1000092795.jpg| 0| Two young guys .\n"
    "2199200615.jpg| 3| A dog | runs .\n"
    "2199200615.jpg| 4   A dog runs across the grass .\n"
)


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "results_20130124.token"
    path.write_text(TOKEN)
    return path


def test_the_token_file_is_read(token):
    pairs = open_captions(token)
    assert list(pairs.image_ids) == ["1000092795.jpg", "10002456.jpg"]
    assert list(pairs.image_of_caption) == [0, 0, 1]
    assert pairs.captions[2].startswith("Several men in hard hats # 1")


def test_the_kaggle_form_is_read_with_its_one_broken_line(tmp_path):
    path = tmp_path / "results.csv"
    path.write_bytes(BARS.replace("\n", "\r\n").encode())
    assert list(open_captions(path).captions) == [
        "Two young guys .",
        "A dog | runs .",
        "A dog runs across the grass .",
    ]


def test_a_list_of_names_is_a_split(token, tmp_path):
    (tmp_path / "test.txt").write_text("10002456\n\n")
    assert list(open_captions(token, split=str(tmp_path / "test.txt")).image_ids) == ["10002456.jpg"]
    (tmp_path / "other.txt").write_text("10002456.jpg\n77.jpg\n")
    with pytest.raises(
        ValueError, match=r"other\.txt lists 2 .* captions for 1 of them. First without: 77\.jpg"
    ):
        open_captions(token, split=str(tmp_path / "other.txt"))
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ValueError, match=r"empty\.txt lists 0 pictures"):
        open_captions(token, split=str(tmp_path / "empty.txt"))
    (tmp_path / "no.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"no\.txt is not text"):
        open_captions(token, split=str(tmp_path / "no.txt"))
    with pytest.raises(ValueError, match="it has no splits. A text file"):
        open_captions(token, split="test")


def test_features_may_have_uniters_names(token, features):
    store = features("flickr30k_000010002456.npz", "flickr30k_001000092795.npz")
    assert open_captions(token, features=store).picture(0).regions.features[0, 0] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a sentence alone", "line 4 is not a caption; expected a.jpg#0, a tab"),
        ("x.jpg#0\t ", r"line 4 has no captions for x\.jpg"),
        ("../x.jpg#0\tA dog", "line 4: the picture '../x.jpg' lies outside"),
        ("10002456.jpg#0\tA dog", "line 4: 10002456.jpg#0 was there before"),
    ],
)
def test_a_broken_line_is_named(token, line, message):
    token.write_text(TOKEN + line + "\n")
    with pytest.raises(ValueError, match=message):
        open_captions(token)


def test_what_is_no_text_is_named(token):
    token.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match="not UTF-8 text"):
        open_captions(token)
