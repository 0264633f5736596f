"""`cacr explore` finds what a person wants to look at, for any model that can be looked into."""

import json

import pytest
from PIL import Image

from cacr.cli import main
from cacr.tiny_models import TINY, processors


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = []
    for name, color in (("dog", "red"), ("cat", "blue")):
        Image.new("RGB", (60, 40), color).save(folder / f"{name}.png")
        lines.append(json.dumps({"image": f"{name}.png", "captions": [f"a {name} stands", f"one {name}"]}))
    (folder / "captions.jsonl").write_text("\n".join(lines))
    return folder


@pytest.fixture(scope="module")
def vilt(tmp_path_factory):
    """A small random model that reads patches."""
    folder = tmp_path_factory.mktemp("vilt")
    TINY["vilt"]().model.save_pretrained(folder)
    processors.PROCESSORS["vilt"]().save_pretrained(folder)
    return str(folder)


def said(capsys):
    return " ".join(capsys.readouterr().err.split())


def captions_of(page):
    """The captions of a page, as it holds them for its script."""
    return [
        caption
        for caption in ("a dog stands", "one dog", "a cat stands", "one cat")
        if caption in page.read_text()
    ]


def test_scenes_are_looked_at_without_any_option_but_the_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["explore", "scenes-start", "--n", "2"]) == 0
    assert main(["explore", "scenes-start", "--n", "1"]) == 0
    assert sorted(path.name for path in (tmp_path / "runs").iterdir()) == [
        "explore-001.html",
        "explore-002.html",
    ]


def test_two_checkpoints_are_seen_on_one_page(tmp_path, monkeypatch):
    from cacr.training.start import scenes_start

    with scenes_start() as folder:
        page = tmp_path / "both.html"
        assert (
            main(["explore", "scenes-start", "--compare", str(folder), "--n", "1", "--out", str(page)]) == 0
        )
        assert "scenes-start" in page.read_text() and json.dumps(str(folder)) in page.read_text()


def test_the_first_captions_of_all_pictures_come_before_the_second(vilt, photos, tmp_path):
    page = tmp_path / "page.html"
    assert main(["explore", vilt, "--pairs", str(photos), "--n", "3", "--out", str(page)]) == 0
    assert captions_of(page) == ["a dog stands", "one dog", "a cat stands"]


def test_a_picture_by_name_is_looked_at_with_its_captions_or_with_ones_own(vilt, photos, tmp_path):
    own, given = tmp_path / "own.html", tmp_path / "given.html"
    base = ["explore", vilt, "--pairs", str(photos), "--example", "cat.png"]
    assert main([*base, "--out", str(own)]) == 0
    assert captions_of(own) == ["a cat stands", "one cat"]
    assert main([*base, "--caption", "a hat", "--out", str(given)]) == 0
    assert captions_of(given) == [] and "a hat" in given.read_text()


def test_one_photograph_and_a_sentence_are_enough_for_a_model_of_patches(vilt, photos, tmp_path):
    page, figures = tmp_path / "page.html", tmp_path / "figures"
    words = ["--pairs", str(photos / "dog.png"), "--caption", "a dog stands"]
    assert (
        main(["explore", vilt, *words, "--out", str(page), "--figures", str(figures), "--form", "pdf"]) == 0
    )
    assert sorted(path.name.rsplit("-", 1)[1] for path in figures.iterdir()) == [
        "regions.pdf",
        "relations.pdf",
        "tokens.pdf",
    ]


def test_examples_of_a_benchmark_are_chosen_by_name(tmp_path):
    page = tmp_path / "page.html"
    arguments = ["explore", "scenes-start", "--seed", "1", "--example", "scenes-1-2", "--out", str(page)]
    assert main([*arguments, "--pairs", "scenes"]) == 0
    assert "scenes-1-2" in page.read_text() and "scenes-1-1" not in page.read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "nowhere"], "nowhere is no benchmark and no file"),
        (["--pairs", "{photos}/dog.png"], "is a picture without captions"),
        (["--pairs", "{photos}", "--example", "dgo.png"], "Did you mean 'dog.png'"),
        (["--pairs", "{photos}", "--n", "0"], "n is 0; expected 1 or more"),
        (["--pairs", "{photos}", "--out", "{photos}/page.png"], "expected a name that ends in .html"),
        (["--pairs", "{photos}", "--out", "{photos}/old.html"], "exists and is not overwritten"),
        (["--pairs", "{photos}", "--figures", "{photos}"], "exists and is not overwritten"),
        (["--pairs", "{photos}", "--compare", "{model}"], "compared with itself"),
        (["--pairs", "{photos}", "--figures", "{photos}/f", "--words", "purpel"], "unknown word 'purpel'"),
        (["--pairs", "winoground"], "needs its files: --data FOLDER"),
        (["--pairs", "{photos}", "--seed", "3"], "--seed means nothing"),
    ],
)
def test_mistakes_are_named(arguments, message, vilt, photos, tmp_path, capsys):
    (photos / "old.html").write_text("mine")
    filled = [argument.format(photos=photos, model=vilt) for argument in arguments]
    out = [] if "--out" in filled else ["--out", str(tmp_path / "page.html")]
    assert main(["explore", vilt, *filled, *out]) == 1
    assert message in said(capsys)
    assert (photos / "old.html").read_text() == "mine"
    assert not (tmp_path / "page.html").exists()


def test_a_model_without_attention_between_words_and_picture_is_refused_with_the_reason(
    photos, tmp_path, capsys
):
    page = str(tmp_path / "page.html")
    assert main(["explore", "constant", "--pairs", str(photos), "--out", page]) == 1
    assert "constant looks at no picture" in said(capsys)
