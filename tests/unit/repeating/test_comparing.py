"""Files are the same only where their numbers are; a difference is said with its size, its place and its weight."""

import json
import math

import pytest
import torch
from safetensors.torch import save_file

from cacr.benchmarks import BENCHMARKS
from cacr.benchmarks.benchmark import Options
from cacr.benchmarks.records import write_records
from cacr.repeating.comparing import compare_files
from cacr.scorers.controls import RandomScorer

N = 40


@pytest.fixture
def then(tmp_path):
    (tmp_path / "then").mkdir()
    return tmp_path / "then"


@pytest.fixture
def now(tmp_path):
    (tmp_path / "now").mkdir()
    return tmp_path / "now"


def compared(then, now, name):
    return compare_files(then, now, then.joinpath(name).relative_to(then))


def test_equal_tensors_are_the_same_whatever_the_header_says(then, now):
    save_file({"a": torch.ones(3)}, then / "model.safetensors", {"format": "pt"})
    save_file({"a": torch.ones(3)}, now / "model.safetensors", {"format": "pt", "more": "words"})
    assert compared(then, now, "model.safetensors").same


def test_the_largest_difference_of_weights_is_said_with_its_place(then, now):
    weights = {name: torch.zeros(4) for name in ("a small", "large", "same", "small")}
    changed = {"a small": torch.full((4,), 1e-7), "large": torch.tensor([0, 0, -0.25, 0])}
    save_file(weights, then / "model.safetensors")
    save_file(weights | changed | {"small": torch.full((4,), 1e-7)}, now / "model.safetensors")
    found = compared(then, now, "model.safetensors")
    assert (found.same, found.largest, found.where) == (False, 0.25, "large")
    assert found.said == "3 of 4 tensors differ, by 0.25 at most (large)"


def test_tensors_that_one_has_alone_are_named_with_their_time(then, now):
    save_file({"a": torch.zeros(2), "b": torch.zeros(2)}, then / "model.safetensors")
    save_file({"a": torch.ones(2)}, now / "model.safetensors")
    found = compared(then, now, "model.safetensors")
    assert (found.same, found.said) == (False, "has other tensors: b is there then alone")
    assert compared(now, then, "model.safetensors").said == "has other tensors: b is there now alone"


@pytest.mark.parametrize("other", [torch.zeros(4, 1), torch.zeros(4, dtype=torch.float16)])
def test_a_tensor_of_another_shape_or_type_is_another(then, now, other):
    save_file({"a": torch.zeros(4), "b": torch.zeros(1)}, then / "model.safetensors")
    save_file({"a": other, "b": torch.ones(1)}, now / "model.safetensors")
    found = compared(then, now, "model.safetensors")
    assert (found.same, found.said, found.where) == (False, "a has another shape or type", "a")


def test_a_zero_with_another_sign_is_another_bit(then, now):
    save_file({"a": torch.zeros(2)}, then / "model.safetensors")
    save_file({"a": -torch.zeros(2)}, now / "model.safetensors")
    assert not compared(then, now, "model.safetensors").same


@pytest.mark.parametrize(
    ("was", "became", "largest"),
    [
        (0.0, math.nan, math.inf),
        (0.0, -math.inf, math.inf),
        (math.inf, -math.inf, math.inf),
        (math.nan, math.nan, 0.5),
        (-math.inf, -math.inf, 0.5),
    ],
)
@pytest.mark.parametrize("name", ["model.safetensors", "results.json", "metrics.jsonl"])
def test_only_a_number_that_became_or_was_none_differs_without_end(then, now, name, was, became, largest):
    for folder, values in ((then, [1.0, was]), (now, [1.5, became])):
        if name == "model.safetensors":
            save_file({"a": torch.tensor(values)}, folder / name)
        else:
            (folder / name).write_text(json.dumps(values))
    found = compared(then, now, name)
    assert (found.same, found.largest) == (False, largest)
    assert json.dumps(found.to_json(), allow_nan=False)


def test_a_missing_file_is_a_difference(then, now):
    (then / "metrics.jsonl").write_text("{}\n")
    assert compared(then, now, "metrics.jsonl").said == "is there then alone"
    assert compared(now, then, "metrics.jsonl").said == "is there now alone"


def test_metrics_are_compared_line_by_line(then, now):
    lines = [{"step": step, "loss": 1.0 / step} for step in (1, 2, 3)]
    write = lambda folder, some: (folder / "metrics.jsonl").write_text(
        "".join(json.dumps(line) + "\n" for line in some)
    )
    write(then, lines)
    write(now, lines)
    assert compared(then, now, "metrics.jsonl").same
    write(now, [lines[0], lines[1] | {"loss": 0.75}, lines[2]])
    found = compared(then, now, "metrics.jsonl")
    assert (found.same, found.largest, found.where) == (False, 0.25, "line 2, loss")
    write(now, lines[:2])
    assert compared(then, now, "metrics.jsonl").said == "3 lines then, 2 now"


@pytest.mark.parametrize(
    ("line", "other", "same"),
    [
        ('{"state": "failed", "why": "in /then"}', '{"state": "failed", "why": "in /now"}', True),
        ('{"state": "failed", "why": "in /then"}', '{"state": "complete"}', False),
        ('{"a": "\u2028", "b": NaN}', '{"b": NaN, "a": "\u2028"}', True),  # one line, and nan is nan
        ('{"a": 0.0}', '{"a": -0.0}', False),
        (f'{{"a": {10**400}}}', '{"a": 1.5}', False),
    ],
)
def test_lines_are_the_same_where_their_values_are(then, now, line, other, same):
    (then / "trials.jsonl").write_text(line + "\n")
    (now / "trials.jsonl").write_text(other + "\n")
    assert compared(then, now, "trials.jsonl").same == same


def test_place_and_time_do_not_count_and_what_was_measured_does(then, now):
    about = {"environment": {"python": "3.11"}, "stores": {"features": [1, 2]}, "version": "a"}
    about |= {"scorer": {"name": "/there/model", "weights": "1"}, "options": {"data": "/there", "n": 3}}
    (then / "scenes.json").write_text(json.dumps(about))
    here = about | {"environment": {}, "stores": {}, "options": {"data": "/here", "n": 3}}
    (now / "scenes.json").write_text(json.dumps(here | {"scorer": {"name": "/here/model", "weights": "1"}}))
    assert compared(then, now, "scenes.json").same
    (now / "scenes.json").write_text(json.dumps(here | {"version": "b"}))
    assert "version" in compared(then, now, "scenes.json").said


@pytest.mark.parametrize(("value", "outside"), [(0.45, 0), (0.55, 0), (0.61, 1)])
def test_a_number_is_looked_for_in_its_interval_of_then(then, now, value, outside):
    row = {"group": "all", "metric": "text", "value": 0.5, "low": 0.4, "high": 0.6}
    (then / "results.json").write_text(json.dumps({"table": [row]}))
    (now / "results.json").write_text(json.dumps({"table": [row | {"value": value}]}))
    found = compared(then, now, "results.json")
    assert (found.intervals, len(found.outside)) == (1, outside)
    assert all("all text is 0.61 now" in said for said in found.outside)


def test_a_verdict_that_changes_is_a_conclusion_that_does_not_hold(then, now):
    (then / "results.json").write_text(json.dumps({"arm": "CACR", "verdict": "resolved"}))
    (now / "results.json").write_text(json.dumps({"arm": "CACR", "verdict": "not resolved"}))
    assert compared(then, now, "results.json").outside == ["CACR was resolved then and is not resolved now"]


def measured(folder, change=lambda record: record):
    benchmark, options = BENCHMARKS["scenes"], Options(n=N, blind=True)
    records = [change(record) for record in benchmark.measure(RandomScorer(), options)]
    write_records(folder, benchmark, records, RandomScorer(), {}, options, "v")


def test_records_that_differ_by_rounding_leave_the_conclusions(then, now):
    measured(then)
    measured(now, lambda record: record | {"match": [[m + 1e-9 for m in row] for row in record["match"]]})
    found = compared(then, now, "scenes.jsonl")
    assert not found.same
    assert found.largest == pytest.approx(1e-9, rel=1e-3)
    assert found.intervals > 0
    assert not found.outside


def test_records_of_a_better_model_are_another_conclusion(then, now):
    measured(then)
    measured(now, lambda record: record | {"match": [[1.0, 0.0], [0.0, 1.0]]})
    assert any("then − now is -" in said for said in compared(then, now, "scenes.jsonl").outside)


def test_records_of_other_examples_are_a_conclusion_that_does_not_hold(then, now):
    measured(then)
    measured(now, lambda record: record | {"example": f"other {record['example']}"})
    (said,) = compared(then, now, "scenes.jsonl").outside
    assert said.startswith("the records cannot be compared: ")


@pytest.mark.parametrize("name", ["metrics.jsonl", "results.json"])
def test_a_damaged_file_is_named(then, now, name):
    (then / name).write_text("{}")
    (now / name).write_text("{")
    with pytest.raises(ValueError, match=f"{name}.* is not JSON"):
        compared(then, now, name)
