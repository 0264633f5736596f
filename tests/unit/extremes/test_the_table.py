"""docs/trust/numbers.md names a test for each row, and every test here is in it."""

import re
from pathlib import Path

HERE = Path(__file__).parent
TABLE = HERE.parents[2] / "docs" / "trust" / "numbers.md"


def test_the_table_and_the_tests_name_each_other():
    written = "".join(file.read_text() for file in HERE.glob("test_*.py") if file != Path(__file__))
    tests = set(re.findall(r"^def (test_\w+)", written, re.MULTILINE))
    assert set(re.findall(r"`(test_\w+)`", TABLE.read_text())) == tests


def test_every_row_of_the_table_names_a_test():
    rows = [
        line
        for line in TABLE.read_text().splitlines()
        if line.startswith("| ") and not line.startswith("| case")
    ]
    assert len(rows) > 50 and all("`test_" in row.split("|")[-2] for row in rows)
