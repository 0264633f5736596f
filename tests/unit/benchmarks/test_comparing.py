"""Runs are compared on the same examples, with the right test, and the number of looks is counted."""

import math

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from cacr.benchmarks.comparing import compare, correlations
from cacr.benchmarks.power import detectable, detectable_from, holm, paired_test
from cacr.benchmarks.scenes import SCENES
from cacr.statistics import paired_difference


def run(seed, n=60, right=0.6, cluster=lambda i: f"scene {i}"):
    """Records whose true pairs match better in a share of the examples."""
    rng = np.random.default_rng(seed)
    return [
        {
            "example": f"e{i}",
            "tags": ["relation"] if i % 2 else ["attribute"],
            "cluster": cluster(i),
            "match": [[1.0, 0.0], [0.0, 1.0]] if rng.random() < right else [[0.0, 1.0], [1.0, 0.0]],
        }
        for i in range(n)
    ]


def test_every_group_metric_and_pair_is_compared():
    found = compare({"a": run(0), "b": run(1), "c": run(2)}, SCENES)
    assert len(found) == 2 * 4 * 3
    assert {(d.ours, d.theirs) for d in found} == {("a", "b"), ("a", "c"), ("b", "c")}
    assert {d.group for d in found} == {"attribute", "relation"}
    assert all(d.estimate.n == 30 for d in found)


def test_a_difference_is_ours_minus_theirs():
    better, worse = run(0, right=1), run(0, right=0)
    up = compare({"better": better, "worse": worse}, SCENES)[0]
    down = compare({"better": better, "worse": worse}, SCENES, against="better")[0]
    assert (up.ours, up.theirs, up.estimate.value) == ("better", "worse", 1)
    assert (down.ours, down.theirs, down.estimate.value) == ("worse", "better", -1)


def test_against_one_run_compares_each_other_with_it_alone():
    found = compare({"a": run(0), "b": run(1), "c": run(2)}, SCENES, against="b")
    assert [(d.ours, d.theirs) for d in found[:2]] == [("a", "b"), ("c", "b")]
    with pytest.raises(ValueError, match="unknown run 'd'"):
        compare({"a": run(0), "b": run(1)}, SCENES, against="d")


def test_the_order_of_records_does_not_matter():
    a, b = run(0), run(1)
    assert compare({"a": a, "b": b[::-1]}, SCENES) == compare({"a": a, "b": b}, SCENES)


def test_a_family_is_the_pairs_of_one_group_and_metric():
    found = compare({"a": run(0, right=0.9), "b": run(1), "c": run(2)}, SCENES)
    family = [d for d in found if (d.group, d.metric) == ("relation", "group")]
    assert [d.adjusted for d in family] == holm([d.p for d in family])
    assert {d.looks for d in found} == {3}
    assert {d.looks_of_table for d in found} == {24}


def test_what_one_look_resolves_many_looks_may_not():
    a, b = run(0, right=0.95), run(1, right=0.7)
    alone = next(d for d in compare({"a": a, "b": b}, SCENES) if d.group == "relation")
    assert alone.resolved
    others = {f"c{i}": run(0, right=0.95) for i in range(12)}
    among = next(d for d in compare({"a": a, "b": b} | others, SCENES) if d.group == "relation")
    assert (among.p, among.estimate) == (alone.p, alone.estimate)
    assert not among.resolved


def test_other_examples_are_refused_with_counts_and_the_first_that_differs():
    with pytest.raises(
        ValueError, match="a has 60 examples and b has 50, 50 of them the same; e50 is in one"
    ):
        compare({"a": run(0), "b": run(1, n=50)}, SCENES)
    with pytest.raises(ValueError, match="e50 is in one"):
        compare({"b": run(1, n=50), "a": run(0)}, SCENES)


def test_shared_compares_what_all_runs_have_and_says_how_many():
    found = compare({"a": run(0), "b": run(1, n=50)}, SCENES, shared=True)
    assert {d.estimate.n for d in found} == {25}
    other = [record | {"example": "x" + record["example"]} for record in run(1)]
    with pytest.raises(ValueError, match="no example in common"):
        compare({"a": run(0), "b": other}, SCENES, shared=True)


def test_an_example_that_comes_twice_is_refused():
    with pytest.raises(ValueError, match="61 records of a are of 60 examples"):
        compare({"a": [*run(0), run(0)[3]], "b": run(1)}, SCENES)
    with pytest.raises(ValueError, match="1 run to compare"):
        compare({"a": run(0)}, SCENES)


def test_independent_examples_have_mcnemars_test_and_shared_pictures_the_clustered_one():
    independent = compare({"a": run(0), "b": run(1)}, SCENES)[0]
    assert independent.test == "exact McNemar"
    shared = {name: run(seed, cluster=lambda i: f"scene {i // 4}") for name, seed in (("a", 0), ("b", 1))}
    assert compare(shared, SCENES)[0].test == "clustered t"


def test_the_clustered_p_is_below_5_percent_exactly_when_the_interval_leaves_out_0():
    rng = np.random.default_rng(0)
    agree = []
    for _ in range(200):
        a, b = rng.random((2, 60)) < [[0.75], [0.6]]
        clusters = np.arange(60) // 3
        agree.append(paired_difference(a, b, clusters).resolved == (paired_test(a, b, clusters).p < 0.05))
    assert all(agree)


def test_pictures_answered_alike_are_few_draws():
    a, b = np.repeat([1, 1, 1, 0, 1, 1, 0, 1], 20), np.repeat([1, 0, 1, 0, 1, 0, 0, 0], 20)
    assert paired_test(a, b).p < 1e-9
    assert paired_test(a, b, np.arange(160) // 20).p > 0.05


def test_shares_are_no_coin_flips():
    """An example of several answers is right in part: McNemar's test would take every part for the whole."""
    rng = np.random.default_rng(0)
    a, b = rng.integers(0, 5, (2, 80)) / 4
    found = paired_test(a, b)
    assert found.method == "paired t"
    assert found.p == pytest.approx(stats.ttest_rel(a, b).pvalue)


def test_where_all_pictures_lean_alike_the_signs_are_counted():
    found = paired_test(np.ones(12), np.zeros(12), np.arange(12) // 2)
    assert (found.p, found.method) == (2 * 0.5**6, "sign test over clusters")
    assert paired_test(np.ones(12), np.ones(12), np.arange(12) // 2).p == 1
    assert math.isnan(paired_test([1, 0], [0, 0], ["x", "x"]).p)


def test_holm_multiplies_the_smallest_by_the_number_of_looks():
    assert holm([0.04, 0.01]) == pytest.approx([0.04, 0.02])
    p = np.random.default_rng(0).random(50) ** 4
    given = p.copy()
    assert holm(p) == pytest.approx(multipletests(given, method="holm")[1].tolist())
    assert (p == given).all()
    adjusted = holm([0.01, math.nan, 0.5])
    assert adjusted[0] == pytest.approx(0.02)
    assert math.isnan(adjusted[1])
    with pytest.raises(ValueError, match=r"a p-value is 1\.5"):
        holm([0.1, 1.5])


def test_winoground_detects_5_points_at_15_percent_discordant():
    assert detectable(400, discordant=0.15) == pytest.approx(0.0543, abs=5e-4)
    assert detectable(1600, discordant=0.15) == pytest.approx(detectable(400, discordant=0.15) / 2)


def test_the_detectable_difference_is_found_with_the_power_it_says():
    """Simulated: 400 examples, 15 % discordant, leaning by the detectable difference."""
    rng = np.random.default_rng(0)
    d = detectable(400, discordant=0.15)
    u = rng.random((2000, 400))
    outcomes = np.where(u < (0.15 + d) / 2, 1.0, np.where(u < 0.15, -1.0, 0.0))
    found = [paired_difference(row, np.zeros(400)).resolved for row in outcomes]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)


def test_what_a_comparison_could_find_follows_from_its_own_discordance():
    rng = np.random.default_rng(0)
    a = rng.random(4000) < 0.5
    b = np.where(rng.random(4000) < 0.2, rng.random(4000) < 0.5, a)
    observed = detectable_from(a, b)
    assert observed == pytest.approx(detectable(4000, discordant=np.mean(a != b)), rel=0.01)
    quadrupled = [np.repeat(x, 4) for x in (a, b)]
    assert detectable_from(*quadrupled, np.arange(16000) // 4) == pytest.approx(observed, rel=0.01)
    assert math.isnan(detectable_from(a, a))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"n": 0, "discordant": 0.1}, "n is 0"),
        ({"n": 9, "discordant": 15}, "discordant is 15"),
        ({"n": 9, "discordant": 0.1, "power": 80}, "power is 80"),
        ({"n": 9, "discordant": 0.1, "level": 95}, "level is 95"),
    ],
)
def test_impossible_plans_are_refused(given, message):
    with pytest.raises(ValueError, match=message):
        detectable(**given)


def test_benchmarks_that_order_models_alike_correlate():
    scores = {f"m{i}": {"x": i / 10, "y": (i % 4) / 10, "z": -(i**3)} for i in range(9)}
    found = {(c.first, c.second): c.estimate for c in correlations(scores)}
    expected = stats.spearmanr(list(range(9)), [i % 4 for i in range(9)]).statistic
    assert found["x", "y"].value == pytest.approx(expected)
    assert found["x", "y"].low < expected < found["x", "y"].high
    assert (found["x", "z"].value, found["x", "z"].n) == (pytest.approx(-1), 9)


def test_a_correlation_of_few_models_has_no_interval_and_says_so():
    three = {"a": {"x": 1, "y": 1}, "b": {"x": 2, "y": 3}, "c": {"x": 3, "y": 2}, "d": {"x": 9}}
    estimate = correlations(three)[0].estimate
    assert (estimate.value, estimate.n) == (0.5, 3)
    assert math.isnan(estimate.low)
    assert "fewer than 4 models" in estimate.method
    flat = {name: {"x": 1.0, "y": float(i)} for i, name in enumerate("abcde")}
    assert math.isnan(correlations(flat)[0].estimate.value)


def test_the_interval_of_a_correlation_covers_the_truth():
    rng = np.random.default_rng(0)
    truth = 6 / np.pi * math.asin(0.6 / 2)  # of normal scores that correlate by 0.6
    covered = []
    for _ in range(500):
        x, y = rng.multivariate_normal([0, 0], [[1, 0.6], [0.6, 1]], 20).T
        scores = {str(i): {"x": a, "y": b} for i, (a, b) in enumerate(zip(x, y, strict=True))}
        estimate = correlations(scores)[0].estimate
        covered.append(estimate.low <= truth <= estimate.high)
    assert 0.92 <= np.mean(covered) <= 0.99
