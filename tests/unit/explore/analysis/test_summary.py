"""Over pairs and models: arms, differences, correlations, and a folder that holds all of it."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cacr.explore.analysis import Subject, measure, summarize, write_analysis
from cacr.explore.analysis.intervals import mean
from cacr.explore.analysis.measures import CORRELATED, MEASURES
from cacr.explore.analysis.report import report
from cacr.explore.analysis.summary import check_pairing
from cacr.explore.analysis.tables import number, resolved, table, verdict
from cacr.statistics import LEVEL

EXAMPLES = 12


@pytest.fixture(autouse=True)
def fewer_draws(monkeypatch):
    from cacr.explore.analysis import correlations

    monkeypatch.setattr(correlations, "DRAWS", 60)


@pytest.fixture
def subject_of(attended_of):
    """A model's measures of 24 pairs of 12 examples, of random attention."""

    def make(name, seed=0, truth=True, match=True, tags=(), **parts):
        pairs = []
        for index in range(2 * EXAMPLES):
            known = torch.zeros(5, 4, dtype=torch.bool)
            known[1, index % 4] = known[3, (index + 1) % 4] = True
            attended = attended_of(seed=1000 * seed + index, **parts)
            pairs.append(measure(attended, known if truth else None, f"p{index}", f"e{index // 2}"))
        if not match:
            return Subject(name, pairs)
        scores = np.random.default_rng(seed).normal(size=(EXAMPLES, 2, 2)) + np.eye(2)
        examples = [f"e{i}" for i in range(EXAMPLES)]
        return Subject(name, pairs, scores, examples, examples, tags)

    return make


def with_notes(found):
    return {"data": "24 pairs.", "notes": ["A note."], **found}


def rows_of(found, part, **wanted):
    return [row for row in found[part] if all(row.get(key) == value for key, value in wanted.items())]


def test_a_mean_is_the_mean_over_pairs_by_layer_and_head(subject_of):
    one = subject_of("a")
    found = summarize([one])
    for head, column in (("mean", 0), (2, 3)):
        (row,) = rows_of(found, "means", measure="soft_language", layer=1, head=head)
        values = np.array([pair.values["soft_language"][1, column] for pair in one.pairs])
        its = mean(values, [pair.cluster for pair in one.pairs])
        assert all(row[key] == its[key] for key in ("value", "low", "high", "method"))
        assert (row["n"], row["clusters"], row["seeds"]) == (24, 12, 1)
    assert {row["measure"] for row in found["means"]} == set(MEASURES)


def test_models_of_an_arm_are_pooled_and_their_seeds_are_counted(subject_of):
    made = [subject_of(f"arm:{i}", seed=i, layers=(0,)) for i in range(3)]
    found = summarize(made)
    (row,) = rows_of(found, "means", measure="argmax_lv", layer=0, head="mean")
    values = np.stack([one.values("argmax_lv")[:, 0, 0] for one in made])
    assert (
        row["arm"] == "arm" and row["seeds"] == 3 and row["value"] == pytest.approx(values.mean(), rel=1e-5)
    )
    each = rows_of(found, "correlations", measure="entropy_lv", layer=0, what="spearman_soft")
    assert [row["model"] for row in each] == ["arm:0", "arm:1", "arm:2", None]
    assert each[3]["value"] == pytest.approx(np.mean([row["value"] for row in each[:3]]), abs=1e-5)
    assert each[3]["method"] == "crossed seeds and examples"
    assert (each[3]["n"], each[3]["clusters"], each[3]["seeds"]) == (EXAMPLES, EXAMPLES, 3)


def test_seeds_that_share_examples_do_not_make_a_correlation_sure(subject_of):
    """Three models that are almost alike: over seeds alone the interval would have almost no width."""
    rng = np.random.default_rng(5)
    one = subject_of("arm:0", layers=(0,))
    made = [
        Subject(
            f"arm:{i}",
            one.pairs,
            one.match + 1e-3 * rng.normal(size=one.match.shape),
            one.examples,
            one.clusters,
        )
        for i in range(3)
    ]
    found = summarize(made)
    rows = rows_of(found, "correlations", measure="soft_lv", what="spearman_soft")
    width = lambda row: row["high"] - row["low"]
    assert width(rows[3]) > 0.7 * min(width(row) for row in rows[:3])
    assert rows[3]["low"] >= -1 and rows[3]["high"] <= 1
    for direction in ("language", "vision"):
        r, r2 = (
            rows_of(found, "explained", model=None, direction=direction, target="soft", what=what)[0]
            for what in ("correlation", "r2")
        )
        assert r["low"] is not None and r["method"] == r2["method"] == "crossed seeds and examples"
        assert (r2["low"] == 0) == (r["low"] <= 0 <= r["high"]) and r2["low"] <= r2["value"] <= r2["high"]


def test_a_distance_is_never_below_0_and_a_difference_of_distances_may_be(subject_of):
    flat = torch.full((1, 3, 5, 5), 0.2, dtype=torch.float64)
    one, far = subject_of("a", layers=(0,), ll=flat), subject_of("a", seed=3, layers=(0,))
    few = Subject("a", [*one.pairs[:2], *far.pairs[2:4]])
    found = summarize([few])
    (row,) = rows_of(found, "means", measure="flat_language", head="mean")
    values = few.values("flat_language")[:, 0, 0]
    assert mean(values, [pair.cluster for pair in few.pairs])["low"] < 0 and row["low"] == 0
    (less,) = rows_of(found, "means", measure="soft_less_flat_language", head="mean")
    free = mean(few.values("soft_less_flat_language")[:, 0, 0], [pair.cluster for pair in few.pairs])
    assert free["low"] < 0 and (less["low"], less["high"]) == (free["low"], free["high"])
    cosines = [
        row for row in found["means"] if row["measure"].startswith("cosine_") and row["low"] is not None
    ]
    assert cosines and all(row["low"] >= -1 and row["high"] <= 1 for row in cosines)


def test_differences_are_paired_with_the_first_model(subject_of):
    before, after = subject_of("before"), subject_of("after", seed=5)
    found = summarize([before, after])
    (row,) = rows_of(found, "differences", measure="flat_vision", layer=0)
    off = after.values("flat_vision")[:, 0, 0] - before.values("flat_vision")[:, 0, 0]
    assert (row["arm"], row["less"]) == ("after", "before") and row["value"] == pytest.approx(
        off.mean(), rel=1e-4
    )
    assert {row.get("score") for row in found["differences"]} == {None, "soft", "group"}
    same = summarize([before, Subject("again", before.pairs, before.match, before.examples, before.clusters)])
    assert all(row["value"] == 0 and row["low"] is None for row in same["differences"])


def test_seeds_are_paired_by_name_and_a_single_model_with_each(subject_of):
    arms = [
        subject_of(f"{arm}:{i}", seed=10 * k + i, layers=(0,)) for k, arm in enumerate("ab") for i in (2, 1)
    ]
    start = subject_of("start", seed=99, layers=(0,))
    by_seed = rows_of(summarize(arms), "differences", measure="soft_lv", layer=0)[0]
    value = lambda one: one.values("soft_lv")[:, 0, 0].mean()
    wanted = (value(arms[2]) - value(arms[0]) + value(arms[3]) - value(arms[1])) / 2
    assert by_seed["value"] == pytest.approx(wanted, rel=1e-4)
    assert (by_seed["paired"], by_seed["seeds"]) == ("by seed", 2)
    from_one = rows_of(summarize([start, *arms[:2]]), "differences", measure="soft_lv", layer=0)[0]
    assert from_one["paired"] == "from the one model start" and from_one["seeds"] == 2


def test_a_single_model_without_a_seed_is_compared_with_each_of_the_first_arms(subject_of):
    arm = [subject_of(f"a:{i}", seed=i, layers=(0,)) for i in range(2)]
    single = subject_of("b", seed=7, layers=(0,))
    (row,) = rows_of(summarize([*arm, single]), "differences", measure="soft_lv")
    value = lambda one: one.values("soft_lv")[:, 0, 0].mean()
    wanted = value(single) - (value(arm[0]) + value(arm[1])) / 2
    assert row["value"] == pytest.approx(wanted, rel=1e-4) and row["seeds"] == 2
    assert row["paired"] == "the one model b from each seed of a"


def test_where_only_some_seeds_match_it_is_said_which(subject_of):
    made = [subject_of(name, seed=i, layers=(0,)) for i, name in enumerate(("a:0", "a:1", "b:1", "b:2"))]
    (row,) = rows_of(summarize(made), "differences", measure="soft_lv")
    value = lambda one: one.values("soft_lv")[:, 0, 0].mean()
    assert row["value"] == pytest.approx(value(made[2]) - value(made[1]), rel=1e-4)
    assert (row["paired"], row["seeds"]) == ("over seed 1 alone", 1)


def test_seeds_that_do_not_match_are_refused_before_anything_is_worked_out(subject_of):
    made = [subject_of(name, layers=(0,)) for name in ("a:0", "a:1", "b:5", "b:6")]
    said = []
    with pytest.raises(ValueError, match=r"b:5, b:6 share no seed with a \(0, 1\); name them b:0, b:1"):
        summarize(made, said.append)
    assert said == []
    with pytest.raises(ValueError, match=r"b:5 shares no seed with a \(0, 1\); name it b:0"):
        check_pairing(["a:0", "a:1", "b:5"])
    for names in ([], ["a"], ["a", "b:5", "b:6"], ["a:0", "a:1", "b"], ["a:0", "a:1", "b:1", "b:7"]):
        check_pairing(names)


def test_a_difference_between_models_is_in_layers_that_both_have(subject_of):
    found = summarize([subject_of("a", layers=(1, 2)), subject_of("b", layers=(0, 1), seed=3)])
    assert {row["layer"] for row in found["differences"] if "layer" in row} == {1}


def test_an_example_is_correlated_by_the_mean_of_its_pairs(subject_of):
    from scipy import stats

    from cacr.explore.analysis import soft_score

    one = subject_of("a", layers=(0,))
    found = summarize([one])
    (row,) = rows_of(found, "correlations", measure="hard_language", what="spearman_soft")
    mine = one.values("hard_language")[:, 0, 0].reshape(EXAMPLES, 2).mean(1)
    assert row["value"] == pytest.approx(stats.spearmanr(mine, soft_score(one.match)).statistic, rel=1e-4)
    assert row["n"] == EXAMPLES
    assert {row["measure"] for row in found["correlations"]} == set(CORRELATED)


def test_correlations_are_told_within_a_kind_of_example_too(subject_of):
    from scipy import stats

    from cacr.explore.analysis import soft_score

    tags = [("relation", "left of") if i % 3 else ("attribute",) for i in range(EXAMPLES)]
    one = subject_of("a", tags=tags, layers=(0,))
    found = summarize([one])
    wanted = {"measure": "entropy_lv", "what": "spearman_soft"}
    (row,) = rows_of(found, "correlations", group="relation", **wanted)
    (all_,) = rows_of(found, "correlations", group="all", **wanted)
    mine = one.values("entropy_lv")[:, 0, 0].reshape(EXAMPLES, 2).mean(1)
    kept = np.arange(EXAMPLES) % 3 > 0
    told = stats.spearmanr(mine[kept], soft_score(one.match)[kept]).statistic
    assert row["value"] == pytest.approx(told, rel=1e-4) and row["n"] == row["clusters"] == 8
    assert all_["n"] == EXAMPLES and all_["value"] != row["value"]
    text = report(with_notes(found))
    assert f"within relation (n = 8): Spearman {number(row, 'r')}, {resolved(row)}" in text
    alike = subject_of("b", tags=[("relation",)] * EXAMPLES, layers=(0,))
    assert {row["group"] for row in summarize([alike])["correlations"]} == {"all"}


def test_the_best_and_the_worst_head_of_each_layer_are_told(subject_of):
    one = subject_of("a")
    told = report(with_notes(summarize([one])))
    part = told.split("## Which head's argmax finds it: words")[1].split("##")[0]
    lines = [line.split(" | ") for line in part.strip().splitlines()[-2:]]
    for layer, line in enumerate(lines):
        heads = one.values("argmax_lv")[:, layer, 1:].mean(0)
        assert line[2].startswith(f"{heads.argmax()}: {100 * heads.max():.1f} % [")
        assert line[3].startswith(f"{heads.argmin()}: {100 * heads.min():.1f} % [")
        assert line[4].startswith(f"{100 * one.values('argmax_lv')[:, layer, 0].mean():.1f} %")
        assert line[5:] == ["3", "24 / 12 / 1 |"]
    assert "Which head's" not in report(with_notes(summarize([subject_of("b", heads=0)])))


def test_without_truth_and_scores_less_is_said_and_nothing_is_invented(subject_of):
    found = summarize([subject_of("a", truth=False, match=False, causal=True)])
    assert found["scores"] == found["correlations"] == found["differences"] == []
    assert not any("argmax" in row["measure"] or "vision" in row["measure"] for row in found["means"])
    told = report(with_notes(found))
    assert "The truth is not known for these data" in told and "there is no score" in told
    assert "among regions" not in told.split("## What is measured")[0]


def test_models_that_do_not_fit_are_named(subject_of):
    one = subject_of("a")
    with pytest.raises(ValueError, match="2 models, a more than once"):
        summarize([one, subject_of("a", seed=3)])
    with pytest.raises(ValueError, match="measured on different pairs"):
        summarize([one, Subject("b", one.pairs[:-1])])
    with pytest.raises(ValueError, match="the models of x have different layers or heads"):
        summarize([subject_of("x:1"), subject_of("x:2", layers=(0,))])
    with pytest.raises(ValueError, match="the models of x were matched on different examples"):
        summarize([subject_of("x:1"), subject_of("x:2", match=False)])
    with pytest.raises(ValueError, match="no pair of a was measured"):
        Subject("a", [])
    with pytest.raises(ValueError, match="expected .12, 2, 2. and a cluster an example"):
        Subject("a", one.pairs, one.match[:5], one.examples, one.clusters)
    with pytest.raises(ValueError, match="and 3 tags"):
        Subject("a", one.pairs, one.match, one.examples, one.clusters, [("x",)] * 3)
    with pytest.raises(ValueError, match="gives no number for some pairs"):
        Subject("a", one.pairs, one.match * np.nan, one.examples, one.clusters)


def test_a_folder_holds_numbers_report_records_and_figures_and_is_never_overwritten(subject_of, tmp_path):
    made = [subject_of("a|b"), subject_of("after:1", seed=2), subject_of("after:2", seed=3)]
    found = with_notes(summarize(made))
    write_analysis(tmp_path / "out", found, made)
    held = {file.name for file in (tmp_path / "out").iterdir()}
    figures = {
        f"{name}.{end}" for name in ("alignment", "distances", "entropy", "heads") for end in ("png", "pdf")
    }
    assert held == {"analysis.json", "analysis.md", "records.jsonl"} | figures
    for name in held:
        if name.endswith(".png"):
            with Image.open(tmp_path / "out" / name) as picture:
                assert min(picture.size) > 150
    whole = json.loads((tmp_path / "out" / "analysis.json").read_text())
    assert whole["means"] == found["means"] and whole["level"] == LEVEL
    lines = [json.loads(line) for line in (tmp_path / "out" / "records.jsonl").read_text().splitlines()]
    assert len(lines) == 3 * 24 and {line["model"] for line in lines} == {"a|b", "after:1", "after:2"}
    assert lines[5]["values"]["soft_lv"][1][2] == pytest.approx(
        made[0].pairs[5].values["soft_lv"][1, 2], rel=1e-5
    )
    assert lines[5]["match"] == made[0].match[2].tolist()
    with pytest.raises(FileExistsError, match="is not overwritten"):
        write_analysis(tmp_path / "out", found, made)


def test_panels_of_a_figure_that_stay_empty_are_not_drawn(subject_of):
    from cacr.explore.analysis.writing import figures

    made = [subject_of(name, seed=i, layers=(0,)) for i, name in enumerate("abcdef")]
    panels = figures(summarize(made), made)["entropy"].axes
    assert [panel.axison for panel in panels] == [True] * 6 + [False] * 2
    assert [panel.get_title()[0] for panel in panels[:6]] == list("abcdef")


def test_seeds_of_a_pooled_arm_are_told_one_by_one_only_in_the_numbers(subject_of):
    made = [subject_of("s"), *[subject_of(f"arm:{i}", seed=1 + i, layers=(0,)) for i in range(3)]]
    found = summarize(made)
    told = report(with_notes(found))
    first, others = told.split("## Do alignment and congruence go with the score")
    for part in (first.split("Of own ↔ target")[1].split("##")[0], first.split("(section 5.2)")[1], others):
        assert "| arm (mean of 3 seeds) |" in part and "| s |" in part
    assert "arm:1" not in told and rows_of(found, "correlations", model="arm:1")


def test_every_line_of_a_table_has_as_many_cells(subject_of):
    told = report(with_notes(summarize([subject_of("a|b"), subject_of("c:1", seed=4)])))
    lines = [line.replace("\\|", "/") for line in told.splitlines()]
    widths = {}
    for before, line in zip(["", *lines], lines, strict=False):
        if line.startswith("|"):
            widths[line] = line.count("|")
            assert not before.startswith("|") or before.count("|") == line.count("|"), line
    assert len(widths) > 60


def test_numbers_and_verdicts_follow_from_the_interval():
    row = lambda value, low, high: {"value": value, "low": low, "high": high}
    assert number(row(0.5, 0.4, 0.6), "share") == "50.0 % [40.0, 60.0]"
    assert number(row(-0.05, -0.1, 0.0), "difference") == "-5.0 [-10.0, +0.0]"
    assert number(row(0.00012, 0.00011, 0.00013), "nats") == "0.000120 [0.000110, 0.000130]"
    assert (
        number(row(1.5, None, None), "bits") == "1.500"
        and number(row(None, None, None), "bits") == "undefined"
    )
    assert verdict(row(0.1, -0.1, 0.3)) == "not resolved" and verdict(row(0.2, 0.1, 0.3)) == "above"
    assert verdict(row(0.52, 0.4, 0.6), at=0.5) == "not resolved"
    assert verdict(row(0.4, 0.3, 0.45), at=0.5) == "below" and verdict(row(1, None, None)) == "no interval"
    assert table(["a"], [["x|y"]]) == "| a |\n| --- |\n| x\\|y |"


def test_words_of_verdicts_say_what_the_intervals_say():
    from cacr.explore.analysis.report import _flatter, _nearest
    from cacr.explore.analysis.report_scores import _auc

    row = lambda low, high: {"value": (low + high) / 2, "low": low, "high": high}
    near = {"soft_less_flat_*": row(-0.2, -0.1), "hard_less_flat_*": row(0.1, 0.2)}
    assert _nearest(near) == "soft: nearer than uniform; hard: farther than uniform"
    assert _flatter({"soft_flat_*": row(1, 2), "hard_flat_*": row(3, 4)}) == "the soft one"
    assert _flatter({"soft_flat_*": row(3, 4), "hard_flat_*": row(1, 2)}) == "the hard one"
    assert _flatter({"soft_flat_*": row(1, 3), "hard_flat_*": row(2, 4)}) == "not resolved"
    assert _auc(row(0.4, 0.6)) == "group: not resolved" and _auc(row(0.6, 0.7)) == "group: resolved (above)"


def test_verdicts_are_those_of_the_numbers(subject_of):
    one = subject_of(
        "a", layers=(0,)
    )  # attention at random, and two words that name two regions: below a constant
    found = summarize([one])
    part = report(with_notes(found)).split("## Does the argmax find what is meant: words")[1].split("##")[0]
    row = part.strip().splitlines()[-1]
    assert "over constant: resolved (below)" in row and "25.0 %" in row and "24 / 12 / 1" in row
    assert f"{100 * one.values('argmax_lv')[:, 0, 0].mean():.1f} % [" in row
