"""Whole tables, letter by letter, in every form; and which published scores stand below them."""

# ruff: noqa: E501

import json
import math

import pytest

from cacr.benchmarks import Row
from cacr.benchmarks.comparing import Difference
from cacr.benchmarks.references import references_for
from cacr.benchmarks.tables import p_text, percent, render
from cacr.statistics import Estimate

NAN = math.nan
SCORE = Row("all", "group", Estimate(0.1425, 0.112, 0.18, 400), 1 / 6)
BARE = Row("[a]", "a|b", Estimate(NAN, NAN, NAN, 0), 0.5)
FOUND = Difference(
    "all", "group", "o_1", "b", Estimate(0.25, 0.148, 0.34, 80), 1e-6, "exact McNemar", 0.134, 1e-5, 3
)
NOTHING = Difference("*b", "text", "o_1", "b", Estimate(0.0, NAN, NAN, 80), NAN, "one cluster", NAN, NAN, 0)

DRAWN = {
    ("text", "scores"): """
Scores of it
group  metric  % [95 % interval]    n  chance %
all    group   14.2 [11.2, 18.0]  400      16.7
[a]    a|b                     -    0      50.0

Note: one note
Note: two""",
    ("markdown", "scores"): """
**Scores of it**

| group | metric | % [95 % interval] | n | chance % |
| --- | --- | --: | --: | --: |
| all | group | 14.2 [11.2, 18.0] | 400 | 16.7 |
| [a] | a\\|b | - | 0 | 50.0 |

- one note
- two""",
    ("latex", "scores"): r"""
% Scores of it
\begin{tabular}{llrrr}
\toprule
group & metric & \% [95 \% interval] & n & chance \% \\
\midrule
all & group & 14.2 [11.2, 18.0] & 400 & 16.7 \\
{}[a] & a|b & - & 0 & 50.0 \\
\bottomrule
\end{tabular}

% one note
% two""",
    ("text", "models"): """
model   group  metric  % [95 % interval]    n  chance %
cacr x  all    group   14.2 [11.2, 18.0]  400      16.7
uniter  all    group   14.2 [11.2, 18.0]  400      16.7
uniter  [a]    a|b                     -    0      50.0""",
    ("markdown", "models"): """
| model | group | metric | % [95 % interval] | n | chance % |
| --- | --- | --- | --: | --: | --: |
| cacr x | all | group | 14.2 [11.2, 18.0] | 400 | 16.7 |
| uniter | all | group | 14.2 [11.2, 18.0] | 400 | 16.7 |
| uniter | [a] | a\\|b | - | 0 | 50.0 |""",
    ("latex", "models"): r"""
\begin{tabular}{lllrrr}
\toprule
model & group & metric & \% [95 \% interval] & n & chance \% \\
\midrule
cacr x & all & group & 14.2 [11.2, 18.0] & 400 & 16.7 \\
uniter & all & group & 14.2 [11.2, 18.0] & 400 & 16.7 \\
uniter & [a] & a|b & - & 0 & 50.0 \\
\bottomrule
\end{tabular}""",
    ("text", "differences"): """
T
group  metric  difference  verdict       test           points [95 % interval]       p  p (Holm)  looks   n  detectable points
all    group   o_1 - b     resolved      exact McNemar    +25.0 [+14.8, +34.0]  <0.001    <0.001      3  80               13.4
*b     text    o_1 - b     not resolved  one cluster        +0.0 [no interval]       -         -      0  80                  -""",
    ("markdown", "differences"): """
**T**

| group | metric | difference | verdict | test | points [95 % interval] | p | p (Holm) | looks | n | detectable points |
| --- | --- | --- | --- | --- | --: | --: | --: | --: | --: | --: |
| all | group | o_1 - b | resolved | exact McNemar | +25.0 [+14.8, +34.0] | <0.001 | <0.001 | 3 | 80 | 13.4 |
| *b | text | o_1 - b | not resolved | one cluster | +0.0 [no interval] | - | - | 0 | 80 | - |""",
    ("latex", "differences"): r"""
% T
\begin{tabular}{lllllrrrrrr}
\toprule
group & metric & difference & verdict & test & points [95 \% interval] & p & p (Holm) & looks & n & detectable points \\
\midrule
all & group & o\_1 - b & resolved & exact McNemar & +25.0 [+14.8, +34.0] & \textless{}0.001 & \textless{}0.001 & 3 & 80 & 13.4 \\
{}*b & text & o\_1 - b & not resolved & one cluster & +0.0 [no interval] & - & - & 0 & 80 & - \\
\bottomrule
\end{tabular}""",
}  # fmt: skip


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_scores_with_title_and_notes(form):
    title = "Scores of it" if form != "latex" else "Scores\nof it"
    drawn = render([SCORE, BARE], form, title=title, notes=["one  note", "two"])
    assert drawn == DRAWN[form, "scores"].removeprefix("\n")


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_scores_of_several_models(form):
    drawn = render({"cacr\nx": [SCORE], "uniter": [SCORE, BARE]}, form)
    assert drawn == DRAWN[form, "models"].removeprefix("\n")


@pytest.mark.parametrize("form", ["text", "markdown", "latex"])
def test_differences(form):
    assert render([FOUND, NOTHING], form, title="T") == DRAWN[form, "differences"].removeprefix("\n")


def test_scores_and_differences_are_two_tables():
    both = render([SCORE, FOUND], "text", title="T")
    assert both == render([SCORE], title="T") + "\n\n" + render([FOUND], title="T")


def test_the_form_is_text_if_none_is_given():
    assert render([SCORE]) == render([SCORE], "text")


def test_json_holds_the_rows_the_notes_and_nothing_else():
    row = {"group": "all", "metric": "group", "chance": 1 / 6, **SCORE.estimate.to_json()}
    given = render([SCORE], "json", "cola", "t", ["n  n"])
    assert json.loads(given) == {
        "title": "t", "benchmark": "cola", "rows": [row], "notes": ["n  n"], "references": [],
    }  # fmt: skip
    assert given.startswith('{\n "title": "t",')
    assert json.loads(render({"m": [SCORE]}, "json"))["rows"] == [{"model": "m"} | row]
    bare = json.loads(render([FOUND], "json"))
    assert (bare["rows"], bare["title"], bare["benchmark"], bare["notes"]) == ([FOUND.to_json()], "", "", [])


def test_published_scores_have_a_line_per_model_and_source_and_a_column_per_metric():
    rows = [Row("all", metric, SCORE.estimate, 0.25) for metric in ("text", "group")]
    below = render(rows, "markdown", "winoground").split("\n\n", 1)[1]
    assert below.startswith(
        "**Published scores of other models, not measured here**\n\n"
        "| group | model | source | text % | group % | n |\n| --- | --- | --- | --: | --: | --: |\n"
    )
    line = next(line for line in below.splitlines() if "| OSCAR+ |" in line)
    assert line == (
        "| all | OSCAR+ | Pandey et al. 2023, arXiv:2212.10549, Table 1 | 37.8 [33.1, 42.6] | 14.5 [11.4, 18.3] | 400 |"
    )
    assert (
        "- MTurk human, Pandey et al. 2023, arXiv:2212.10549, Table 1: first in arXiv:2204.03162; the same in Table 2"
        in below.splitlines()
    )
    assert below.count("\n- MTurk human, Pandey et al. 2023, arXiv:2212.10549, Table 1") == 1
    known = {
        (one.model, one.source) for m in ("text", "group") for one in references_for("winoground", "all", m)
    }
    assert sum(line.startswith("| all |") for line in below.splitlines()) == len(known)


def test_a_score_that_was_not_published_is_an_empty_cell():
    rows = [Row("all", metric, SCORE.estimate, 0.25) for metric in ("text", "group")]
    drawn = render(rows, "markdown", "winoground")
    text, group = (
        {(one.model, one.source) for one in references_for("winoground", "all", metric)}
        for metric in ("text", "group")
    )
    assert group - text
    for model, source in group - text:
        assert f"| all | {model} | {source} |  | " in drawn


def test_the_mean_over_parts_stands_below_where_all_parts_were_asked_for():
    row = Row("all", "accuracy", SCORE.estimate, 0.5)
    assert "| mean of parts | CE-CLIP |" in render([row], "markdown", "sugarcrepe")
    assert "85.7 [no interval] | - |" in render([row], "markdown", "sugarcrepe")
    part = render([row], "markdown", "sugarcrepe", split="replace_obj")
    assert "mean of parts" not in part and "| replace_obj | GPT-4V |" in part
    other = render([Row("swap_obj", "accuracy", SCORE.estimate, 0.5)], "markdown", "sugarcrepe", split="part")
    assert "| swap_obj | CE-CLIP |" in other
    assert "Published" not in render([row], "markdown", "sugarcrepe", split="unknown")
    assert "Published" not in render([FOUND], "markdown", "winoground")


@pytest.mark.parametrize(
    ("estimate", "signed", "text"),
    [
        (Estimate(0.478, 0.43, 0.527, 9), False, "47.8 [43.0, 52.7]"),
        (Estimate(0.012, -0.003, 0.027, 9), True, "+1.2 [-0.3, +2.7]"),
        (Estimate(0.012, NAN, NAN, 9), True, "+1.2 [no interval]"),
        (Estimate(NAN, NAN, NAN, 0), True, "-"),
    ],
)
def test_percent_is_said_with_its_interval(estimate, signed, text):
    assert percent(estimate, signed) == text
    assert signed or percent(estimate) == text


@pytest.mark.parametrize(
    ("p", "text"), [(NAN, "-"), (0.0009, "<0.001"), (0.001, "0.001"), (0.0432, "0.043"), (1, "1.000")]
)
def test_small_p_values_are_said_to_be_small(p, text):
    assert p_text(p) == text
