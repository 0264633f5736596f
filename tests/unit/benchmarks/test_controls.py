"""Scorers that know nothing get what they must on the real annotations: a constant one 0, a random one chance."""

from fractions import Fraction

import pytest
import torch

from cacr.benchmarks import BENCHMARKS, Options, table
from cacr.benchmarks.records import read_records, strict_json
from cacr.scorers import ConstantScorer, RandomScorer

REAL = {
    "sugarcrepe": ("sugarcrepe", 7_511),
    "sugarcrepe++": ("scpp", 4_755),  # two items with a false caption that is a true one are left out
    "valse": ("valse", 2_840),
    "vsr": ("vsr", 1_222),
    "cola": ("cola", 210),
    "naturalbench": ("", 950),
}
"""Benchmark -> folder of its annotations, and how many examples these hold."""
EMBEDDED = ("scenes", "scenes-retrieval")
SURE = 2.5
"""Half widths of the 95 % interval: one in a million for one of the hundreds of rows beside the first ones."""


@pytest.fixture
def options(reference_data):
    def of(name):
        return Options(data=reference_data.joinpath("annotations", *REAL[name][:1]))

    return of


def test_every_benchmark_says_what_it_is():
    for name, benchmark in BENCHMARKS.items():
        assert benchmark.name == name
        for stated in ("asks", "paper", "licence", "size", "ties", "chance_is", "obtain"):
            assert getattr(benchmark, stated).strip(), f"{name} does not say {stated}"
        assert benchmark.asks.endswith("?")


@pytest.mark.parametrize("name", [*REAL, *EMBEDDED])
def test_the_chance_that_is_stated_is_that_of_its_records(request, name):
    asked = Options() if name in EMBEDDED else request.getfixturevalue("options")(name)
    benchmark = BENCHMARKS[name]
    records = benchmark.measure(ConstantScorer(), asked)
    for metric in benchmark.right(records):
        chances = {Fraction(benchmark.chance(r)[metric]).limit_denominator(1000) for r in records}
        assert any(f"{metric} {chance}" in benchmark.chance_is for chance in chances), (metric, chances)


@pytest.mark.parametrize("name", REAL)
def test_all_real_examples_are_read_and_their_version_is_known(options, name):
    work = BENCHMARKS[name].open(options(name))
    assert len(work.examples) == REAL[name][1]
    assert work.version in BENCHMARKS[name].versions


@pytest.mark.parametrize("name", [*REAL, *EMBEDDED])
def test_a_constant_scorer_gets_nothing(request, name):
    asked = Options() if name in EMBEDDED else request.getfixturevalue("options")(name)
    benchmark = BENCHMARKS[name]
    outcomes = benchmark.right(benchmark.measure(ConstantScorer(), asked))
    assert all(not right.any() for right in outcomes.values())


class Blind(ConstantScorer):
    """Knows no number for any pair."""

    def match(self, captions, pictures):
        return super().match(captions, pictures) * torch.nan


@pytest.mark.parametrize("name", [*REAL, "scenes"])
def test_a_scorer_that_gives_nan_gets_nothing(request, tmp_path, name):
    asked = Options() if name in EMBEDDED else request.getfixturevalue("options")(name)
    benchmark = BENCHMARKS[name]
    records = benchmark.measure(Blind(), asked)
    (tmp_path / f"{name}.jsonl").write_text("".join(strict_json(record) + "\n" for record in records))
    for of in (records, read_records(tmp_path)[name]):
        assert all(not right.any() for right in benchmark.right(of).values())


@pytest.mark.parametrize("name", [*REAL, *EMBEDDED])
def test_a_random_scorer_lands_on_chance(request, name):
    asked = Options() if name in EMBEDDED else request.getfixturevalue("options")(name)
    benchmark = BENCHMARKS[name]
    rows = table(benchmark, benchmark.measure(RandomScorer(1), asked))
    first = [row for row in rows if row.group == rows[0].group]
    assert {row.metric for row in first} == {row.metric for row in rows}
    for row in first:
        assert row.estimate.low <= row.chance <= row.estimate.high, (row.metric, row.estimate, row.chance)
    for row in rows:
        half = SURE * max(row.estimate.high - row.estimate.value, row.estimate.value - row.estimate.low)
        assert not row.estimate.n > 50 or abs(row.estimate.value - row.chance) <= half, row
