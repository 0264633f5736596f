"""Files of an analysis: names as they are, the same bytes twice, and numbers that no figure can cost."""

import json

import pytest
from matplotlib.text import Text

from cacr.explore.analysis import summarize, write_analysis, writing


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    from cacr.explore.analysis import correlations

    monkeypatch.setattr(correlations, "DRAWS", 40)


@pytest.fixture
def made(subject_of):
    """Two models, one of a name that would be a formula."""
    return [subject_of("costs $5", 1), subject_of(r"$\\frac{a$", 50)]


def write(folder, made):
    found = {"data": "6 pairs.", "notes": [], **summarize(made)}
    return write_analysis(folder, found, made)


def test_a_dollar_in_a_model_s_name_is_a_dollar(made, tmp_path):
    assert write(tmp_path / "a", made) == []
    figures = writing.figures(summarize(made), made)
    texts = [text for one in figures.values() for text in one.findobj(Text) if "$" in text.get_text()]
    assert len(texts) >= 8 and not any(text.get_parse_math() for text in texts)


def test_figures_are_the_same_bytes_twice_and_hold_their_fonts(made, tmp_path):
    for folder in ("a", "b"):
        write(tmp_path / folder, made)
    for file in (tmp_path / "a").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / file.name).read_bytes(), file.name
        if file.suffix == ".pdf":
            held = file.read_bytes()
            assert b"/FontFile2" in held and b"/Type3" not in held and b"CreationDate" not in held


def test_a_figure_that_cannot_be_drawn_costs_no_number_and_no_other_figure(made, tmp_path, monkeypatch):
    def broken(found):
        raise RuntimeError("no such font")

    monkeypatch.setattr(writing, "distances_figure", broken)
    (said,) = write(tmp_path / "a", made)
    assert "The figure distances could not be drawn" in said and "no such font" in said
    held = {file.name for file in (tmp_path / "a").iterdir()}
    assert {"analysis.json", "analysis.md", "records.jsonl", "alignment.png", "heads.pdf"} <= held
    assert "distances.png" not in held


def test_the_level_is_that_of_the_project_s_intervals(made, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "LEVEL", 0.9)
    monkeypatch.setattr(writing, "figures", lambda *_: {})
    write(tmp_path / "a", made)
    assert json.loads((tmp_path / "a/analysis.json").read_text())["level"] == 0.9
