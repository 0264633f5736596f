"""Characters that the usual font lacks are drawn with another, or one sentence says what to install."""

import logging
import shutil
import warnings

import pytest
from matplotlib import rc_context
from matplotlib.figure import Figure
from matplotlib.font_manager import fontManager
from tests.unit.explore.pairs import with_boxes

from cacr.explore import fonts, relations_figure, save_figure, token_figure
from cacr.explore.placing import text_width

NOWHERE = "\U000f1234\U000f1235"
"""For private use: no font has them."""


@pytest.fixture
def unsaid(monkeypatch):
    monkeypatch.setattr(fonts, "_said", set())


def test_the_usual_font_is_left_alone_where_it_has_every_character():
    assert fonts.substitutes("a café, ждём … ␣") == []
    assert fonts.font_of("a café").get_family() == fonts.font_of("a").get_family()


def test_another_font_that_is_installed_stands_in(tmp_path, caplog):
    with rc_context({"font.family": "cmr10", "axes.unicode_minus": False}):
        assert fonts.substitutes("ждём") == ["DejaVu Sans"]
        assert fonts.unreadable("ждём") == set()
        figure = Figure()
        text = figure.text(0.1, 0.5, "a ждём")
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            save_figure(figure, tmp_path / "a.png")
            save_figure(figure, tmp_path / "a.pdf")
        assert text.get_fontfamily() == ["cmr10", "DejaVu Sans"]
        mixed = text_width("ждём", 7)
    assert mixed == pytest.approx(text_width("ждём", 7))
    assert not [record for record in caplog.records if record.name == fonts.__name__]


def test_characters_that_no_font_has_are_named_once_in_our_own_words(tmp_path, caplog, unsaid):
    attended = with_boxes(tokens=["a", NOWHERE], caption=f"a {NOWHERE}")
    with caplog.at_level(logging.WARNING), warnings.catch_warnings():
        warnings.simplefilter("error")
        for form in ("png", "svg", "pdf"):
            save_figure(token_figure(attended), tmp_path / f"a.{form}")
            save_figure(relations_figure(attended), tmp_path / f"b.{form}")
    (record,) = caplog.records
    said = record.getMessage()
    assert "No installed font has U+F1234 U+F1235: figures show boxes in their place. Install " in said


def test_what_to_install_follows_the_script():
    names = {one: fonts._font_for(one) for one in "山ひ한क🐕ไ"}
    assert names == {
        "山": "Noto Sans CJK",
        "ひ": "Noto Sans CJK",
        "한": "Noto Sans CJK",
        "क": "Noto Sans Devanagari",
        "🐕": "Noto Emoji",
        "ไ": "Noto Sans Thai",
    }


def test_many_missing_characters_are_counted(caplog, unsaid):
    with caplog.at_level(logging.WARNING):
        fonts._say({chr(0xF1000 + i) for i in range(25)})
    assert "and 15 more" in caplog.records[0].getMessage()


def test_a_font_installed_since_is_looked_into_and_a_broken_one_is_passed_over(tmp_path, monkeypatch):
    installed = next(font.fname for font in fontManager.ttflist if font.name == "DejaVu Sans")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    shutil.copy(installed, tmp_path / "new.ttf")
    monkeypatch.setattr(fontManager, "ttflist", [one for one in fontManager.ttflist if one.name == "cmr10"])
    found = [str(tmp_path / name) for name in ("broken.ttf", "new.ttf")]
    monkeypatch.setattr(fonts, "findSystemFonts", lambda: found)
    assert fonts._candidates.__wrapped__() == ("DejaVu Sans",)
    assert str(tmp_path / "new.ttf") in {font.fname for font in fontManager.ttflist}
