"""Tests, adjusted p-values, detectable differences and correlations are their formulas; what is told is complete."""

import math

import numpy as np
import pytest
from scipy import stats

from cacr.benchmarks.comparing import Difference, compare, correlations, match_records
from cacr.benchmarks.power import PairedTest, detectable, detectable_from, holm, mcnemar_p, paired_test
from cacr.benchmarks.scenes import SCENES
from cacr.statistics import Estimate, paired_difference, spread

RIGHT, WRONG = [[1.0, 0.0], [0.0, 1.0]], [[0.0, 1.0], [1.0, 0.0]]


def run(right, tags=("relation",), **more):
    """Records of examples e0, e1 …, each by itself, right or wrong."""
    return [
        {"example": f"e{i}", "tags": list(tags), "match": RIGHT if yes else WRONG} | more
        for i, yes in enumerate(right)
    ]


A, B = [1] * 14 + [0] * 6, [0] * 5 + [1] * 8 + [0] * 5 + [1] * 2


# One comparison


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_comparison_has_the_estimate_test_and_detectable_difference_of_its_outcomes(level):
    found = [d for d in compare({"a": run(A), "b": run(B)}, SCENES, level=level) if d.metric == "group"]
    for one in found:
        assert one.estimate == paired_difference(A, B, level=level)
        assert (one.p, one.test) == (mcnemar_p(A, B), "exact McNemar")
        assert one.detectable == detectable_from(A, B, level=level)
        assert (one.adjusted, one.looks, one.level) == (one.p, 1, level)


def test_shared_pictures_make_the_comparison_a_clustered_one():
    runs = {name: run(right) for name, right in (("a", A), ("b", B))}
    for records in runs.values():
        for i, record in enumerate(records):
            record["cluster"] = f"scene {i // 4}"
    one = next(d for d in compare(runs, SCENES) if d.metric == "group")
    clusters = np.arange(20) // 4
    assert one.estimate == paired_difference(A, B, clusters)
    assert (one.p, one.detectable) == (paired_test(A, B, clusters).p, detectable_from(A, B, clusters))


def test_p_values_that_do_not_exist_are_no_looks():
    alone = {"a": run(A, cluster="one"), "b": run(B, cluster="one"), "c": run(A, cluster="one")}
    found = compare(alone, SCENES)
    assert all(math.isnan(d.p) and (d.looks, d.looks_of_table) == (0, 0) for d in found)
    assert all(math.isnan(d.adjusted) and not d.resolved for d in found)


def test_a_difference_is_resolved_by_its_interval_and_its_adjusted_p():
    inside, outside = Estimate(0.1, -0.1, 0.3, 9), Estimate(0.2, 0.1, 0.3, 9)
    given = {
        "group": "all",
        "metric": "group",
        "ours": "a",
        "theirs": "b",
        "p": 0.01,
        "test": "t",
        "detectable": 0.1,
    }
    resolved = lambda estimate, adjusted, level: (
        Difference(estimate=estimate, adjusted=adjusted, level=level, **given).resolved
    )
    assert resolved(outside, 0.04, 0.95) and not resolved(inside, 0.04, 0.95)
    assert not resolved(outside, 0.06, 0.95) and resolved(outside, 0.06, 0.9)
    assert not resolved(outside, math.nan, 0.95) and not resolved(outside, 0.25, 0.75)


def test_a_difference_tells_all_that_it_holds():
    estimate = Estimate(0.2, 0.1, math.nan, 9, method="m")
    one = Difference("all", "group", "a", "b", estimate, 0.01, "t", math.nan, 0.02, 3, 12, 0.9)
    assert one.to_json() == {
        "group": "all", "metric": "group", "ours": "a", "theirs": "b", "p": 0.01, "test": "t", "detectable": None,
        "adjusted": 0.02, "looks": 3, "looks_of_table": 12, "level": 0.9, "resolved": True,
        "difference": {"value": 0.2, "low": 0.1, "high": None, "n": 9, "seeds": 1, "method": "m"},
    }  # fmt: skip
    bare = Difference("all", "group", "a", "b", estimate, 0.01, "t", 0.1)
    assert math.isnan(bare.adjusted) and (bare.looks, bare.looks_of_table, bare.level) == (1, 1, 0.95)


# Records that belong together


def test_records_are_matched_by_example_and_direction_in_the_order_of_the_first_run():
    both = [{"example": "x", "direction": d, "rank": r} for d, r in (("there", 1), ("back", 2))]
    found = match_records({"a": both, "b": both[::-1]}, "retrieval")
    assert found["a"] == found["b"] == both


@pytest.mark.parametrize("part", ["captions", "pictures", "label", "answers", "pool", "own", "cluster"])
def test_another_question_under_the_same_example_is_refused(part):
    a, b = run(A, **{part: "this"}), run(B, **{part: "that"})
    with pytest.raises(
        ValueError, match=f"a and b asked different things under the example e0: {part} differ"
    ):
        match_records({"a": a, "b": b}, "scenes")
    with pytest.raises(ValueError, match=f"{part} differ"):
        match_records({"a": a, "b": run(B)}, "scenes")
    assert match_records({"a": a, "b": run(B, **{part: "this"})}, "scenes").keys() == {"a", "b"}


def test_a_third_run_with_other_examples_is_named():
    with pytest.raises(
        ValueError, match="a has 20 examples and c has 19, 19 of them the same; e19 is in one"
    ):
        match_records({"a": run(A), "b": run(B), "c": run(A[:19])}, "scenes")
    shared = match_records({"a": run(A), "b": run(B), "c": run(A[:19])}, "scenes", shared=True)
    assert {len(records) for records in shared.values()} == {19}
    with pytest.raises(ValueError, match="no example in common"):
        match_records({"a": [], "b": []}, "scenes")


# Tests and adjustments


def test_the_paired_test_over_seeds_and_over_clusters_is_students():
    rng = np.random.default_rng(3)
    a, b = (rng.random((2, 3, 20)) < [[[0.8]], [[0.5]]]).astype(float)
    clusters = np.arange(20) // 4
    for ours, theirs, labels, method in (
        (a, b, None, "crossed t"),
        (a, b, clusters, "crossed t"),
        (a[0], b[0], clusters, "clustered t"),
        (a[0] / 2, b[0] / 4, None, "paired t"),
    ):
        s = spread(ours - theirs, labels)
        expected = 2 * stats.t.sf(abs(s.mean) / s.error, s.freedom)
        assert paired_test(ours, theirs, labels) == PairedTest(pytest.approx(expected), method)
        assert paired_test(theirs, ours, labels).p == pytest.approx(expected)


def test_where_nothing_varies_the_signs_are_counted_or_there_is_no_difference():
    shares = np.full(5, 0.75)
    assert paired_test(shares, shares / 3) == PairedTest(2 * 0.5**5, "sign test over examples")
    assert paired_test(shares / 3, shares) == PairedTest(2 * 0.5**5, "sign test over examples")
    assert paired_test(shares, shares) == PairedTest(1.0, "sign test over examples")
    two = paired_test([1, 1, 1, 1], [0, 0, 0, 0], ["a", "a", "b", "b"])
    assert two == PairedTest(0.5, "sign test over clusters")
    one = paired_test([1, 1], [0, 1], ["a", "a"])
    assert math.isnan(one.p) and one.method == "one cluster"
    assert paired_test([[1, 0, 1]], [[1, 1, 1]]).method == "exact McNemar"


def test_holm_is_never_above_1_and_keeps_the_order_and_the_gaps():
    assert holm([0.5, 0.6, 0.4]) == [1, 1, 1]
    assert holm([0.02, math.nan, 0.01, 0.02])[:1] == pytest.approx([0.04])
    assert holm([0.0, 1.0]) == [0, 1]
    assert holm([]) == []
    for wrong in (-0.1, 1.1):
        with pytest.raises(ValueError, match=f"a p-value is {wrong}"):
            holm([wrong, math.nan])


@pytest.mark.parametrize(("power", "level"), [(0.8, 0.95), (0.5, 0.9), (0.9, 0.8)])
def test_detectable_differences_have_the_power_and_level_that_are_asked_for(power, level):
    z = stats.norm.ppf((1 + level) / 2) + stats.norm.ppf(power)
    assert detectable(100, 0.16, power, level) == pytest.approx(z * 0.04)
    rng = np.random.default_rng(0)
    a, b, clusters = rng.random(20), rng.random(20), np.arange(20) // 4
    s = spread(a - b, clusters)
    t = stats.t.ppf((1 + level) / 2, s.freedom) + stats.t.ppf(power, s.freedom)
    assert detectable_from(a, b, clusters, power, level) == pytest.approx(t * s.error)
    assert detectable_from(a, b, clusters) == detectable_from(a, b, clusters, 0.8, 0.95)
    assert detectable(9, 0.5) == detectable(9, 0.5, 0.8, 0.95)


def test_plans_at_the_edge_are_taken_and_those_beyond_are_not():
    assert detectable(1, 1.0) > 1 and detectable(1, 0.0) == 0
    for given, message in (
        ({"n": 1, "discordant": 1.01}, "discordant is 1.01"),
        ({"n": 1, "discordant": -0.01}, "discordant is -0.01"),
        ({"n": 1, "discordant": 0.1, "power": 1}, "power is 1"),
        ({"n": 1, "discordant": 0.1, "power": 0.49}, "power is 0.49"),
        ({"n": 1, "discordant": 0.1, "level": 0}, "level is 0"),
        ({"n": 1, "discordant": 0.1, "level": 1}, "level is 1"),
    ):
        with pytest.raises(ValueError, match=message):
            detectable(**given)
    assert math.isnan(detectable_from([1, 0], [0, 0], ["x", "x"]))


def test_two_draws_are_the_fewest_that_detect_anything():
    assert math.isfinite(detectable_from([1, 0], [0, 0]))
    assert math.isnan(detectable_from([1], [0]))


def test_outcomes_may_be_any_kind_of_numbers():
    for kind in (bool, int, float):
        assert mcnemar_p(np.array(A, dtype=kind), np.array(B, dtype=kind)) == mcnemar_p(A, B)


def test_unpaired_outcomes_are_refused():
    with pytest.raises(
        ValueError, match=r"shapes \(1, 3\) and \(1, 2\); expected the same \[seed, example\]"
    ):
        detectable_from([1, 0, 1], [1, 0])


# Correlations


@pytest.mark.parametrize("level", [0.8, 0.95])
def test_a_correlation_has_fishers_interval(level):
    x, y = [0.1, 0.4, 0.2, 0.9, 0.5, 0.7], [0.2, 0.1, 0.3, 0.6, 0.9, 0.8]
    scores = {str(i): {"x": a, "y": b} for i, (a, b) in enumerate(zip(x, y, strict=True))}
    r = stats.spearmanr(x, y).statistic
    reach = stats.norm.ppf((1 + level) / 2) * math.sqrt((1 + r**2 / 2) / 3)
    expected = math.tanh(math.atanh(r) - reach), math.tanh(math.atanh(r) + reach)
    (found,) = correlations(scores, level)
    assert (found.first, found.second) == ("x", "y")
    assert (found.estimate.low, found.estimate.high) == pytest.approx(expected)
    assert (found.estimate.n, found.estimate.method) == (6, "spearman")


@pytest.mark.parametrize(
    ("x", "y", "value", "method"),
    [
        ([1.0], [1.0], math.nan, "no correlation: fewer than 2 models"),
        ([1.0, 1.0, 1.0], [1.0, 2.0, 3.0], math.nan, "no correlation: all models score the same"),
        ([1.0, 2.0, 3.0], [1.0, 1.0, 1.0], math.nan, "no correlation: all models score the same"),
        ([1.0, 2.0], [1.0, 2.0], 1, "spearman, no interval: fewer than 4 models"),
        ([1.0, 2.0, 3.0, 4.0], [4.0, 3.0, 2.0, 1.0], -1, "spearman, no interval: the order is the same"),
        ([1.0, 2.0, 3.0, 4.0], [1.0, 2.0, 3.0, 4.0], 1, "spearman, no interval: the order is the same"),
    ],
)
def test_where_a_correlation_has_no_interval_it_says_why(x, y, value, method):
    scores = {str(i): {"x": a, "y": b} for i, (a, b) in enumerate(zip(x, y, strict=True))}
    found = correlations(scores)[0].estimate
    assert found.value == pytest.approx(value, nan_ok=True)
    assert math.isnan(found.low) and math.isnan(found.high)
    assert (found.n, found.method) == (len(x), method)


def test_four_models_are_enough_for_an_interval_and_models_without_both_scores_do_not_count():
    x, y = [1.0, 2.0, 3.0, 4.0], [1.0, 3.0, 2.0, 4.0]
    scores = {str(i): {"x": a, "y": b} for i, (a, b) in enumerate(zip(x, y, strict=True))}
    found = correlations(scores | {"no y": {"x": 9.0}, "no x": {"y": 9.0}})[0].estimate
    assert found.n == 4 and -1 < found.low < found.value < found.high < 1
    with pytest.raises(ValueError, match="a score of x or y is not finite"):
        correlations(scores | {"odd": {"x": 1.0, "y": math.nan}})
    with pytest.raises(ValueError, match="a score of x or y is not finite"):
        correlations(scores | {"odd": {"x": math.inf, "y": 1.0}})
