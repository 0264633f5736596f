"""Figures are written in the format of their name, the same bytes each time, with text that stays text."""

import re
import zlib

import pytest
from PIL import Image
from tests.unit.explore.pairs import made, with_boxes, with_patches

from cacr.explore import regions_figure, relations_figure, save_figure, save_figures, token_figure


@pytest.mark.parametrize("form", ["pdf", "svg", "png"])
@pytest.mark.parametrize("make", [with_boxes, with_patches, made])
def test_the_same_figure_has_the_same_bytes(make, form, tmp_path):
    for name in ("one", "two"):
        save_figure(token_figure(make(), ["hill"]), tmp_path / f"{name}.{form}")
    assert (tmp_path / f"one.{form}").read_bytes() == (tmp_path / f"two.{form}").read_bytes()


def test_svg_keeps_text_as_text_and_has_no_date(tmp_path):
    attended = with_boxes(tokens=["windmill", "<script>"])
    text = save_figure(regions_figure(attended), tmp_path / "a.svg").read_text()
    assert re.search(r"<text[^>]*>windmill</text>", text)
    assert "&lt;script&gt;" in text and "<script>" not in text
    assert "<dc:date>" not in text


def test_pdf_holds_truetype_fonts_and_no_date(tmp_path):
    whole = save_figure(relations_figure(made()), tmp_path / "a.pdf").read_bytes()
    assert b"/FontFile2" in whole and b"/Type3" not in whole
    assert b"CreationDate" not in whole
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", whole, re.DOTALL)
    drawn = b"".join(zlib.decompress(s) for s in streams if s[:1] == b"\x78")
    assert b"Tj" in drawn or b"TJ" in drawn  # letters are shown as text


def test_png_has_200_dots_an_inch_of_the_width_that_was_asked_for(tmp_path):
    path = save_figure(regions_figure(with_boxes(), width=3.25), tmp_path / "new" / "a.png")
    with Image.open(path) as picture:
        assert picture.width == 650


def test_a_user_s_settings_do_not_cut_or_widen_a_figure(tmp_path):
    from matplotlib import rc_context

    with rc_context({"savefig.bbox": "tight", "savefig.pad_inches": 1.0}):
        path = save_figure(regions_figure(with_boxes(), width=3.25), tmp_path / "a.png")
    with Image.open(path) as picture:
        assert picture.width == 650


@pytest.mark.parametrize("name", ["a.jpg", "a", "a.PNGX"])
def test_other_endings_are_refused(name, tmp_path):
    with pytest.raises(ValueError, match=r"ends in \.pdf, \.svg, \.png"):
        save_figure(relations_figure(made()), tmp_path / name)
    assert not list(tmp_path.iterdir())


def test_a_file_that_is_there_is_kept_unless_it_is_to_be_replaced(tmp_path):
    path = tmp_path / "a.svg"
    path.write_text("mine")
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        save_figure(relations_figure(made()), path)
    assert path.read_text() == "mine"
    save_figure(relations_figure(made()), path, overwrite=True)
    assert path.read_text() != "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["a.svg"]


def test_several_figures_go_to_a_folder_in_every_format_or_none_does(tmp_path):
    figures = {"tokens": token_figure(made(), ["hill"]), "relations": relations_figure(made())}
    paths = save_figures(figures, tmp_path / "out", ("svg", "pdf"))
    assert [path.name for path in paths] == ["tokens.svg", "tokens.pdf", "relations.svg", "relations.pdf"]
    assert all(path.stat().st_size > 1000 for path in paths)
    paths[-1].rename(tmp_path / "out" / "relations.png")
    with pytest.raises(FileExistsError, match=r"relations\.png exists"):
        save_figures(figures, tmp_path / "out", ("png",))
    assert not (tmp_path / "out" / "tokens.png").exists()
    with pytest.raises(ValueError, match="unknown format 'gif'"):
        save_figures(figures, tmp_path / "out", ("gif",))
