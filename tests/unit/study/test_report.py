"""The tables of a study hold the families that the plan has, and say where there is no p-value."""

import pytest

from cacr.study import StudyPlan
from cacr.study.report import _p, markdown


@pytest.mark.parametrize(
    ("value", "said"),
    [(None, "-"), (0.00009, "< 0.0001"), (0.0042, "0.0042"), (0.0451, "0.05"), (1.0, "1.00")],
)
def test_a_p_value_is_told_with_the_digits_that_it_deserves(value, said):
    assert _p(value) == said


def test_a_family_without_contrasts_has_no_table(data):
    plan = StudyPlan.from_toml(data / "plan.toml")
    row = {"arm": "rows", "against": "none", "value": 0.1, "low": None, "high": None, "n": 8, "seeds": 1}
    row |= {
        "p": None,
        "adjusted p": None,
        "verdict": "not resolved",
        "detectable": None,
        "other measures": {},
    }
    text = markdown(plan, {"contrasts": {"primary": [row], "secondary": []}, "measures": {}})
    assert "Primary contrasts: " in text and "Secondary contrasts" not in text
    (line,) = [one for one in text.splitlines() if one.endswith("| - |") and "not resolved" in one]
    assert line.split(" | ")[0] == "| rows − none" and line.split(" | ")[2:4] == ["-", "-"]
