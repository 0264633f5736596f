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


def test_a_number_that_another_process_took_meanwhile_is_passed_over(tmp_path, monkeypatch):
    from cacr.explore import page

    write = page.write_page

    def late(items, path, *rest):
        if not path.parent.exists():
            path.parent.mkdir()
            path.write_text("theirs")
        return write(items, path, *rest)

    monkeypatch.setattr(page, "write_page", late)
    monkeypatch.chdir(tmp_path)
    assert main(["explore", "scenes-start", "--n", "1"]) == 0
    assert (tmp_path / "runs" / "explore-001.html").read_text() == "theirs"
    assert "scenes-start" in (tmp_path / "runs" / "explore-002.html").read_text()
    assert main(["explore", "scenes-start", "--n", "1", "--out", "other/page.html"]) == 1
    assert (tmp_path / "other" / "page.html").read_text() == "theirs"


def test_two_checkpoints_are_seen_on_one_page(tmp_path):
    from cacr.models.shipped import shipped_model

    with shipped_model() as folder:
        page = tmp_path / "both.html"
        assert (
            main(["explore", "scenes-start", "--compare", str(folder), "--n", "1", "--out", str(page)]) == 0
        )
        said = page.read_text()
        assert '"name":"scenes-start"' in said and '"name":"scenes_start"' in said


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


def asked_of(those, monkeypatch, **options):
    """What is asked for, of a benchmark with these examples; their pictures are known by name alone."""
    from types import SimpleNamespace

    from cacr.benchmarks import BENCHMARKS, Options
    from cacr.cli import asked as asking
    from cacr.data import Picture

    made = [SimpleNamespace(example=name, captions=c, pictures=p, tags=("tag",)) for name, c, p in those]
    work = SimpleNamespace(examples=made, picture=Picture)
    monkeypatch.setitem(BENCHMARKS, "scenes", SimpleNamespace(open=lambda options: work))
    monkeypatch.setattr(asking, "options_of", lambda benchmarks, options: {"scenes": options})
    found = asking.asked("scenes", Options(), **{"n": 20, **options})
    return [(one.name, list(one.captions), [p.image_id for p in one.pictures], one.note) for one in found]


EXAMPLES = [("a", ["one", "two"], ["p", "q"]), ("a", ["three"], ["p"]), ("b", ["four"], ["r"])]


def test_a_caption_of_ones_own_is_shown_with_each_picture_of_each_example_once(monkeypatch):
    found = asked_of(EXAMPLES, monkeypatch, caption="mine")
    assert found == [
        ("a", ["mine"], ["p"], "tag; picture 0 of 2"),
        ("a", ["mine"], ["q"], "tag; picture 1 of 2"),
        ("b", ["mine"], ["r"], "tag"),
    ]


def test_repeated_names_do_not_push_chosen_pictures_out(monkeypatch):
    found = asked_of([*EXAMPLES[1:2] * 5, EXAMPLES[2]], monkeypatch, caption="mine", n=2)
    assert [name for name, *_ in found] == ["a", "b"]
    chosen = asked_of(
        [*EXAMPLES[1:2] * 5, EXAMPLES[2]], monkeypatch, caption="mine", n=2, examples=["a", "b"]
    )
    assert chosen == found


def test_more_than_two_captions_or_pictures_are_cut_with_a_note(monkeypatch):
    found = asked_of([("a", ["one", "two", "three"], ["p", "q", "r", "s"])], monkeypatch)
    note = "tag; the first and the last of 3 captions; the first and the last of 4 pictures"
    assert found == [("a", ["one", "three"], ["p", "s"], note)]


def test_a_caption_of_ones_own_reaches_each_photograph_though_each_has_two(vilt, photos, tmp_path):
    page = tmp_path / "page.html"
    arguments = [
        "explore",
        vilt,
        "--pairs",
        str(photos),
        "--caption",
        "a hat",
        "--n",
        "2",
        "--out",
        str(page),
    ]
    assert main(arguments) == 0
    assert "dog.png" in page.read_text() and "cat.png" in page.read_text()
    assert page.read_text().count('"captions":["a hat"]') == 2


def test_the_budget_of_the_page_is_given_and_named_where_it_is_too_small(photos, tmp_path, capsys):
    arguments = ["explore", "scenes-start", "--n", "1", "--out", str(tmp_path / "page.html")]
    assert main([*arguments, "--budget-mb", "0.01"]) == 1
    assert "--budget-mb" in said(capsys)
    assert main([*arguments, "--budget-mb", "0.15"]) == 0
    assert (tmp_path / "page.html").stat().st_size < 150_000


def test_models_are_called_by_their_runs_or_as_one_likes():
    from cacr.cli.named import named_models

    assert named_models(["/runs/a/cacr/run/model", "b=/runs/a/iais/model"]) == {
        "cacr": "/runs/a/cacr/run/model",
        "b": "/runs/a/iais/model",
    }
    with pytest.raises(ValueError, match="two models are called cacr"):
        named_models(["x/cacr/model", "y/cacr/model"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pairs", "winogrund", "--data", "x"], "Did you mean 'winoground'"),
        (["--pairs", "{photos}/dog.png"], "is a picture without captions"),
        (["--pairs", "{photos}", "--example", "dgo.png"], "Did you mean 'dog.png'"),
        (["--pairs", "{photos}", "--n", "0"], "n is 0; expected 1 or more"),
        (["--pairs", "{photos}", "--out", "{photos}/page.png"], "expected a name that ends in .html"),
        (["--pairs", "{photos}", "--out", "{photos}/old.html"], "exists and is not overwritten"),
        (["--pairs", "{photos}", "--figures", "{photos}"], "exists and is not overwritten"),
        (["--pairs", "{photos}", "--compare", "{model}"], "compared with itself"),
        (["--pairs", "{photos}", "--figures", "{photos}/f", "--words", "purpel"], "unknown word 'purpel'"),
        (["--pairs", "winoground"], "needs its files: --data FOLDER"),
        (["--pairs", "{photos}", "--budget-mb", "0"], "--budget-mb is 0; expected megabytes above 0"),
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


def test_chosen_words_are_drawn_where_a_caption_has_them(vilt, photos, tmp_path):
    figures = tmp_path / "figures"
    arguments = ["--pairs", str(photos), "--n", "2", "--figures", str(figures), "--words", "dog"]
    assert main(["explore", vilt, *arguments, "--out", str(tmp_path / "page.html")]) == 0
    kinds = sorted(path.stem.rsplit("-", 1)[1] for path in figures.iterdir())
    assert kinds == ["regions", "regions", "relations", "relations", "tokens"]


def test_options_of_figures_without_figures_are_refused(vilt, photos, tmp_path, capsys):
    page = str(tmp_path / "page.html")
    assert main(["explore", vilt, "--pairs", str(photos), "--form", "svg", "--out", page]) == 1
    assert "--form is of figures" in said(capsys)
