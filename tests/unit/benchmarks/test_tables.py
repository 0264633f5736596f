"""Tables say percent with interval, n and chance, in four forms, and keep others' scores apart."""

import json

import numpy as np
import pytest

from cacr.benchmarks import Row, paired_difference, proportion
from cacr.benchmarks.comparing import Difference
from cacr.benchmarks.tables import render
from cacr.statistics import Estimate

RIGHT = [True] * 57 + [False] * 343


@pytest.fixture
def rows():
    return [Row("all", "group", proportion(RIGHT), 1 / 6), Row("swap_obj", "a|b", proportion([]), 0.5)]


@pytest.fixture
def difference():
    estimate = paired_difference([1, 1, 1, 0] * 20, [1, 0, 1, 0] * 20)
    return Difference("all", "group", "ours_1", "theirs", estimate, 1e-6, "exact McNemar", 0.134, 1e-5, 3, 12)


def test_text_is_aligned_and_plain(rows):
    lines = render(rows).splitlines()
    assert lines[1] == "all       group   14.2 [11.2, 18.0]  400      16.7"
    assert lines[2].split() == ["swap_obj", "a|b", "-", "0", "50.0"]
    assert (
        len({line.rindex(end) + len(end) for line, end in zip(lines, ("%", "16.7", "50.0"), strict=True)})
        == 1
    )


def test_markdown_has_as_many_cells_in_every_line(rows):
    lines = render(rows, "markdown").splitlines()
    assert lines[1] == "| --- | --- | --: | --: | --: |"
    assert {line.replace("\\|", "").count("|") for line in lines} == {6}
    assert "| all | group | 14.2 [11.2, 18.0] | 400 | 16.7 |" in lines


def test_latex_escapes_what_latex_would_read(rows):
    rows.append(Row("R&D #1 50% a_b {x} $ ~^\\ <", "group", proportion(RIGHT), 0.5))
    drawn = render(rows, "latex", title="100 % of it")
    assert (
        r"R\&D \#1 50\% a\_b \{x\} \$ \textasciitilde{}\textasciicircum{}\textbackslash{} \textless{} &"
        in drawn
    )
    assert drawn.startswith("% 100 % of it\n\\begin{tabular}{llrrr}\n\\toprule")
    assert r"group & metric & \% [95 \% interval] & n & chance \% \\" in drawn
    assert r"swap\_obj" in drawn


def test_json_keeps_fractions_and_has_no_nan(rows):
    found = json.loads(render(rows, "json"), parse_constant=lambda name: pytest.fail(name))
    assert found["rows"][0]["value"] == 0.1425
    assert found["rows"][1]["value"] is None
    assert found["references"] == []


def test_several_models_have_a_column_of_their_names(rows):
    drawn = render({"cacr": rows[:1], "uniter": rows[:1]})
    assert [line.split()[0] for line in drawn.splitlines()] == ["model", "cacr", "uniter"]
    assert json.loads(render({"cacr": rows}, "json"))["rows"][0]["model"] == "cacr"


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_published_scores_stand_in_a_table_of_their_own_with_their_source(rows, form):
    own, others = render(rows, form, benchmark="winoground").split("\n\n", 1)
    assert own == render(rows, form)
    assert "not measured here" in others
    assert "CACR-base" in others
    assert "arXiv:2212.10549, Table 2" in others
    assert "14.2 [11.2, 18.0]" in others


def test_only_scores_of_the_same_group_and_metric_are_shown(rows):
    found = json.loads(render(rows, "json", benchmark="winoground"))
    assert {(one["group"], one["metric"]) for one in found["references"]} == {("all", "group")}
    assert "Published" not in render(rows, benchmark="cola")


def test_differences_are_signed_and_say_how_they_were_tested(difference):
    line = render([difference]).splitlines()[1]
    assert line.startswith("all    group   ours_1 - theirs  resolved  exact McNemar")
    assert "+25.0 [+14.8, +34.0]" in line
    assert line.split()[-5:] == ["<0.001", "<0.001", "3", "80", "13.4"]


def test_a_difference_that_the_adjustment_takes_back_is_not_resolved(difference):
    weaker = Difference(**{**difference.__dict__, "adjusted": 0.2})
    assert weaker.estimate.resolved
    assert "not resolved" in render([weaker], "markdown")
    assert json.loads(render([weaker], "json"))["rows"][0]["resolved"] is False


def test_no_interval_and_no_p_are_said(difference):
    same = Difference(
        **{
            **difference.__dict__,
            "estimate": Estimate(0.0, np.nan, np.nan, 80),
            "p": np.nan,
            "adjusted": np.nan,
            "detectable": np.nan,
        }
    )
    line = render([same]).splitlines()[1]
    assert "+0.0 [no interval]" in line
    assert line.split()[-5:] == ["-", "-", "3", "80", "-"]
    assert json.loads(render([same], "json"))["rows"][0]["p"] is None


def test_an_unknown_form_is_named(rows):
    with pytest.raises(ValueError, match="unknown form of table 'latx'. Did you mean 'latex'"):
        render(rows, "latx")


def test_no_rows_are_a_table_without_rows():
    assert render([]).splitlines() == ["group  metric  % [95 % interval]  n  chance %"]
    assert json.loads(render([], "json"))["rows"] == []
