"""The benches run: a small sample of `make bench`, without looking at any speed."""

import pytest
from bench.__main__ import BENCHES, ratio


@pytest.mark.parametrize("bench", BENCHES, ids=lambda bench: bench.__name__)
def test_every_bench_says_what_it_divides(bench):
    assert " / " in bench.__doc__


def test_a_ratio_of_a_job_to_itself_is_about_one():
    assert 0.2 < ratio(lambda: sum(range(20_000)), lambda: sum(range(20_000))) < 5
