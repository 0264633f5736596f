"""The benches run: a small sample of `make bench`, without looking at any speed."""

import pytest
from bench import features
from bench.__main__ import BENCHES, ratio


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.__name__)
def test_every_bench_says_what_it_divides(bench):
    assert " / " in bench.__doc__


def test_a_ratio_of_a_job_to_itself_is_about_one():
    assert 0.2 < ratio(lambda: sum(range(20_000)), lambda: sum(range(20_000))) < 5


def test_reading_features_is_timed_against_raw_bytes_and_databases(capsys):
    pytest.importorskip("lmdb")
    ratios = features.main(pictures=1_000, sample=50, rounds=3)
    assert {name.split(" / ")[0] for name in ratios} == {"random", "in order"}
    assert all(ratio > 0 for ratio in ratios.values())
    assert "1,000 pictures" in capsys.readouterr().out
