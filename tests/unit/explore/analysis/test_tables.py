"""A printed interval says what the verdict beside it says."""

import pytest

from cacr.explore.analysis.tables import number, resolved


def row(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.mark.parametrize(
    ("its", "unit", "said"),
    [
        (row(0.4, 0.0003, 0.8), "nats", "0.4000 [0.0003, 0.8000]"),
        (row(0.4, 0.00004, 0.8), "r", "0.40000 [0.00004, 0.80000]"),
        (row(-0.03, -0.06, -0.0002), "difference", "-3.00 [-6.00, -0.02]"),
        (row(0.01, 0.0004, 0.02), "share", "1.00 % [0.04, 2.00]"),
    ],
)
def test_a_bound_that_is_not_0_is_not_printed_as_0(its, unit, said):
    assert resolved(its).startswith("resolved") and number(its, unit) == said


def test_a_bound_that_is_0_is_printed_as_0():
    assert number(row(0.4, 0.0, 0.8), "nats") == "0.400 [0.000, 0.800]"
    assert number(row(0.4, 1e-14, 0.8), "nats") == "0.400 [0.000, 0.800]"  # the rounding of a sum
    assert number(row(0.0, None, None), "nats") == "0.000"
