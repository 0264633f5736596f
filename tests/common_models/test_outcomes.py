"""The list of excepted tests is held to what happens, both ways."""

from pathlib import Path

from tests.common_models.outcomes import Outcomes, exceptions, page, passed_before

PAGE = Path(__file__).parents[2] / "docs" / "trust" / "common_model_tests.md"
JUNIT = """<testsuites><testsuite>
<testcase classname="tests.common_models.x.One" name="test_a"/>
<testcase classname="tests.common_models.x.One" name="test_b"><skipped message="needs a GPU"/></testcase>
<testcase classname="tests.common_models.x.One" name="test_c"><failure message="0 is not 1"/></testcase>
</testsuite></testsuites>"""
FAILED, PASSED = ("One", "test_c"), ("One", "test_a")


def outcomes(tmp_path):
    (tmp_path / "junit.xml").write_text(JUNIT)
    return Outcomes.read(tmp_path / "junit.xml")


def test_a_failure_that_is_not_excepted_is_told(tmp_path):
    assert outcomes(tmp_path).wrong({}) == ["One: test_c failed and is not excepted: 0 is not 1"]


def test_a_failure_that_is_excepted_is_not_told(tmp_path):
    assert outcomes(tmp_path).wrong({FAILED: "since"}) == []


def test_an_excepted_test_that_passes_or_is_gone_is_stale(tmp_path):
    told = outcomes(tmp_path).wrong({FAILED: "since", PASSED: "since", ("One", "test_z"): "since"})
    assert [sentence.split(";")[0] for sentence in told] == [
        "One: test_a is excepted and passed",
        "One: test_z is excepted and was not run",
    ]


def test_the_page_counts_what_happened(tmp_path):
    found = page(outcomes(tmp_path), {FAILED: "since"}, "5.0", "")
    assert "| `One` | 1 | 1 | 1 | 0 |" in found
    assert passed_before(found) == 1 and passed_before("") == 0
    assert "- `test_c` of `One`: since" in found and "- `test_b` of `One`: needs a GPU" in found


def test_the_page_that_is_kept_gives_every_reason_of_the_list():
    text = PAGE.read_text(encoding="utf-8")
    assert all(f"`{test}`" in text and why in text for (_, test), why in exceptions().items())
