"""Records on disk: strict JSON, checked line by line when they are read."""

import json
import math
import time

import pytest
import torch

from cacr.benchmarks import BENCHMARKS, Options
from cacr.benchmarks.records import LARGEST, read_about, read_records, strict_json, write_records
from cacr.benchmarks.running import answer, check_finished, finish
from cacr.scorers import ConstantScorer, RandomScorer

SCENES = BENCHMARKS["scenes"]
FEW = Options(n=40, seed=0)
SQUARE = {"example": "a", "tags": ["relation"], "match": [[1.0, 0.0], [0.0, 1.0]]}
CHOICE = {"example": "a", "match": [[1.0], [0.0]]}
LABELLED = {"example": "a", "match": [[1.0]], "label": 1}
QUERY = {"example": "a", "direction": "caption to image", "rank": 2, "pool": 5, "own": 1}
GROUP = {"example": "a", "match": [[1.0, 0.0]] * 4, "answers": [[0, 1], [1, 0]]}


def put(folder, name, *lines):
    """A file of records; a line may be broken."""
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "name, record",
    [
        ("scenes", SQUARE),
        ("scenes", SQUARE | {"example": 7, "match": [[1, None], [0.5, 2]], "threshold": 0.5}),
        ("scenes", SQUARE | {"match": [[LARGEST, 0], [0, -LARGEST]]}),
        ("sugarcrepe", CHOICE),
        ("vsr", LABELLED),
        ("vsr", LABELLED | {"threshold": None}),
        ("retrieval", QUERY),
        ("retrieval", {key: value for key, value in QUERY.items() if key != "own"}),
        ("naturalbench", GROUP),
        ("of my own", {"example": "a", "match": [[1.0, 2.0, 3.0]]}),
    ],
)
def test_a_record_of_its_benchmark_is_read(tmp_path, name, record):
    found = read_records(put(tmp_path, name, record))[name]
    assert len(found) == 1
    assert json.loads(strict_json(found[0])) == record


BROKEN = {
    "no object": ("scenes", 5, "is 5; expected a JSON object"),
    "a list": ("scenes", [], "expected a JSON object"),
    "nothing": ("scenes", "", "is no record"),
    "cut": ("scenes", '{"example": "a", "mat', "is no record"),
    "nested deep": ("scenes", "[" * 100_000, "is no record"),
    "deep inside": ("scenes", '{"example": "a", "match": ' + "[" * 100_000, "is no record"),
    "no match": ("scenes", {"example": "a"}, "has no match"),
    "match null": ("scenes", SQUARE | {"match": None}, "equally long lists"),
    "match empty": ("scenes", SQUARE | {"match": []}, "equally long lists"),
    "match of empty": ("scenes", SQUARE | {"match": [[], []]}, "equally long lists"),
    "match flat": ("scenes", SQUARE | {"match": [1.0, 2.0]}, "equally long lists"),
    "match ragged": ("scenes", SQUARE | {"match": [[1.0, 2.0], [1.0]]}, "equally long lists"),
    "match of a row": ("scenes", SQUARE | {"match": [[1.0, 2.0], None]}, "equally long lists"),
    "match of text": ("scenes", SQUARE | {"match": [["1", 2], [3, 4]]}, "expected numbers or null"),
    "match of truth": ("scenes", SQUARE | {"match": [[True, 2], [3, 4]]}, "expected numbers or null"),
    "match too large": ("scenes", SQUARE | {"match": [[10**400, 2], [3, 4]]}, "expected numbers or null"),
    "match 3 x 3": ("scenes", SQUARE | {"match": [[1.0] * 3] * 3}, "two captions with two pictures"),
    "one caption": ("sugarcrepe", CHOICE | {"match": [[1.0]]}, "two captions or more"),
    "two labelled": ("vsr", LABELLED | {"match": [[1.0], [2.0]]}, "one caption with one picture"),
    "tags": ("scenes", SQUARE | {"tags": "relation"}, "list of names"),
    "tags of numbers": ("scenes", SQUARE | {"tags": [1]}, "list of names"),
    "example": ("scenes", SQUARE | {"example": ["a"]}, "a name or a whole number"),
    "example true": ("scenes", SQUARE | {"example": True}, "a name or a whole number"),
    "cluster": ("scenes", SQUARE | {"cluster": {}}, "a name or a whole number"),
    "whole set": ("scenes", SQUARE | {"whole_set": 4}, "true or false"),
    "threshold": ("scenes", SQUARE | {"threshold": "0.5"}, "expected a number"),
    "label": ("vsr", LABELLED | {"label": 2}, "expected 0 or 1"),
    "label text": ("vsr", LABELLED | {"label": "1"}, "expected 0 or 1"),
    "rank 0": ("retrieval", QUERY | {"rank": 0}, "a whole number, 1 or more"),
    "rank half": ("retrieval", QUERY | {"rank": 1.5}, "a whole number, 1 or more"),
    "rank nan": ("retrieval", QUERY | {"rank": None}, "a whole number, 1 or more"),
    "rank too high": ("retrieval", QUERY | {"rank": 6}, "rank 6 in a pool of 5"),
    "own too many": ("retrieval", QUERY | {"own": 6}, "own 6 in a pool of 5"),
    "own all": ("retrieval", QUERY | {"own": 5}, "own 5 in a pool of 5; expected less"),
    "a pool of one": ("retrieval", {**QUERY, "rank": 1, "pool": 1}, "own 1 in a pool of 1; expected less"),
    "pool": ("retrieval", QUERY | {"pool": True}, "a whole number, 1 or more"),
    "direction": ("retrieval", QUERY | {"direction": "up"}, "caption to image or image to caption"),
    "direction list": ("retrieval", QUERY | {"direction": []}, "caption to image or image to caption"),
    "answers": ("naturalbench", GROUP | {"answers": [[0, 1]]}, r"expected \[\[0, 1\], \[1, 0\]\]"),
    "answers true": ("naturalbench", GROUP | {"answers": [[0, True], [1, 0]]}, "expected"),
    "answers the same": ("naturalbench", GROUP | {"answers": [[0, 1], [0, 1]]}, "expected"),
    "answers of two": ("naturalbench", GROUP | {"match": [[1.0, 0.0]] * 2}, "4 answers with 2 pictures"),
}


@pytest.mark.parametrize("name, record, says", BROKEN.values(), ids=BROKEN)
def test_a_line_that_is_no_record_is_named(tmp_path, name, record, says):
    good = {
        "scenes": SQUARE,
        "sugarcrepe": CHOICE,
        "vsr": LABELLED,
        "retrieval": QUERY,
        "naturalbench": GROUP,
    }
    put(tmp_path, name, good[name] | {"example": "first"}, record, good[name] | {"example": "last"})
    with pytest.raises(ValueError, match=rf"{name}\.jsonl, line 2 .*{says}.*; measure again$"):
        read_records(tmp_path)


def test_the_same_example_twice_is_named_with_both_lines(tmp_path):
    other = QUERY | {"direction": "image to caption"}
    assert len(read_records(put(tmp_path, "retrieval", QUERY, other))["retrieval"]) == 2
    with pytest.raises(ValueError, match=r"line 3 is of the example a again, as line 1; measure again"):
        read_records(put(tmp_path, "retrieval", QUERY, other, QUERY))


def test_records_of_two_shapes_are_refused_where_rules_need_one(tmp_path):
    fourth = {"example": "b", "match": [[1.0], [0.0], [0.5]]}
    assert len(read_records(put(tmp_path, "sugarcrepe", CHOICE, fourth))["sugarcrepe"]) == 2
    (tmp_path / "sugarcrepe.jsonl").unlink()
    with pytest.raises(ValueError, match=r"line 2 has \(3, 1\) captions and pictures; expected \(2, 1\)"):
        read_records(put(tmp_path, "sugarcrepe++", CHOICE, fourth))


@pytest.mark.parametrize("content", [b"", b"\n", b" \n\n"])
def test_an_empty_file_is_no_evaluation(tmp_path, content):
    (tmp_path / "scenes.jsonl").write_bytes(content)
    with pytest.raises(ValueError, match=r"scenes\.jsonl is empty; expected a record"):
        read_records(tmp_path)


def test_bytes_that_are_no_text_are_named_by_line(tmp_path):
    put(tmp_path, "scenes", SQUARE)
    with (tmp_path / "scenes.jsonl").open("ab") as file:
        file.write(b'{"example": "\xff"}\n')
    with pytest.raises(ValueError, match=r"scenes\.jsonl, line 2 is no UTF-8 text .*measure again"):
        read_records(tmp_path)


ABOUT = {
    "notes": [5, "note", [5]],
    "version": [5, None],
    "scorer": ["name", None, {"fingerprint": 5}, {"fingerprint": ["1"]}],
    "options": [[], "n"],
    "stores": [[]],
    "benchmark": ["scenes"],
    "environment": [3],
    "table": [{}, [1]],
    "n": ["150", 0, True],
}


@pytest.mark.parametrize("key, value", [(key, value) for key, values in ABOUT.items() for value in values])
def test_what_was_measured_is_of_the_types_that_are_written(tmp_path, key, value):
    (tmp_path / "scenes.json").write_text(json.dumps({"version": "1"} | {key: value}))
    with pytest.raises(ValueError, match=r"scenes\.json: \w+ is .*; expected .*measure again"):
        read_about(tmp_path, "scenes")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b"[" * 100_000, b"\xff"])
def test_what_was_measured_is_a_json_object(tmp_path, content):
    (tmp_path / "scenes.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"scenes\.json .*measure again"):
        read_about(tmp_path, "scenes")


class Odd(RandomScorer):
    """Gives nan for the first pair and infinities for two others."""

    threshold = 0.5

    def match(self, captions, pictures):
        match = super().match(captions, pictures)
        match[:3] = torch.tensor([math.nan, math.inf, -math.inf])
        return match


def refuse(constant):
    raise AssertionError(f"{constant} is no JSON")


def test_records_and_what_was_measured_are_strict_json(tmp_path):
    measured = SCENES.measure(Odd(), FEW)
    write_records(tmp_path, SCENES, measured, Odd(), {}, FEW)
    lines = (tmp_path / "scenes.jsonl").read_text().splitlines()
    record, *_ = [json.loads(line, parse_constant=refuse) for line in lines]
    assert record["match"][0] == [None, LARGEST] and record["match"][1][0] == -LARGEST
    about = json.loads((tmp_path / "scenes.json").read_text(), parse_constant=refuse)
    assert about["scorer"]["fingerprint"][:3] == [None, LARGEST, -LARGEST]
    assert read_about(tmp_path, "scenes") == about


def test_null_is_nan_in_memory_and_from_disk(tmp_path):
    measured = SCENES.measure(Odd(), FEW)
    write_records(tmp_path, SCENES, measured, Odd(), {}, FEW)
    read = read_records(tmp_path)["scenes"]
    for records in (measured, read):
        assert math.isnan(records[0]["match"][0][0]) and records[0]["match"][0][1] == LARGEST
    assert [strict_json(one) for one in measured] == [strict_json(one) for one in read]
    assert not SCENES.right(read)["group"][0]


class Blind(RandomScorer):
    """Knows no number for any pair."""

    def match(self, captions, pictures):
        return super().match(captions, pictures) * torch.nan


def test_a_model_whose_fingerprint_is_nan_goes_on_and_finishes(tmp_path):
    work = SCENES.open(FEW)
    for _ in range(2):
        answer(SCENES, work, Blind(), tmp_path, FEW)
    finish(SCENES, work, Blind(), tmp_path, FEW, {})
    assert read_about(tmp_path, "scenes")["scorer"]["fingerprint"] == [None] * 4
    assert not any(right.any() for right in SCENES.right(read_records(tmp_path)["scenes"]).values())
    check_finished(SCENES, work, Blind(), tmp_path, FEW)
    with pytest.raises(ValueError, match="scorer differ"):
        check_finished(SCENES, work, RandomScorer(), tmp_path, FEW)


def test_a_threshold_that_is_nan_is_nan_again(tmp_path):
    read = read_records(put(tmp_path, "vsr", LABELLED | {"threshold": None}))["vsr"]
    assert math.isnan(read[0]["threshold"])


def test_finite_numbers_are_written_as_ever(tmp_path):
    record = SQUARE | {"match": [[0.1, -0.0], [1e-300, 3]], "captions": ["caf\u00e9"]}
    assert strict_json(record) == json.dumps(record)


def test_records_are_never_overwritten(tmp_path):
    written = SCENES.measure(RandomScorer(), FEW)
    write_records(tmp_path, SCENES, written, RandomScorer(), {}, FEW)
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        write_records(tmp_path, SCENES, written, RandomScorer(), {}, FEW)
    with pytest.raises(FileExistsError, match="exists and is not overwritten"):
        answer(SCENES, SCENES.open(FEW), RandomScorer(), tmp_path, FEW)


def test_reading_ten_times_the_records_takes_little_more_than_ten_times_as_long(tmp_path):
    def seconds(count):
        folder = tmp_path / str(count)
        folder.mkdir()
        put(folder, "sugarcrepe", *(CHOICE | {"example": str(i), "tags": ["add"]} for i in range(count)))
        taken = []
        for _ in range(3):
            start = time.process_time()
            assert len(read_records(folder)["sugarcrepe"]) == count
            taken.append(time.process_time() - start)
        return min(taken)

    seconds(10)  # imports
    assert seconds(7000) < 30 * seconds(700)


def test_a_record_says_what_was_measured_with_what(tmp_path):
    options = Options(n=150, seed=0)
    work = SCENES.open(options)
    write_records(
        tmp_path, SCENES, SCENES.measure(RandomScorer(), options), RandomScorer(), {}, options, work.version
    )
    about = read_about(tmp_path, "scenes")
    assert about["version"] == "scenes-1, album 0" and about["n"] == 150
    assert about["scorer"]["name"] == "random:0" and len(about["scorer"]["fingerprint"]) == 4
    assert about["options"] == {"n": 150, "seed": 0}
    row = next(row for row in about["table"] if (row["group"], row["metric"]) == ("relation", "group"))
    assert (
        row["n"] == 75 and row["low"] < row["value"] < row["high"] and row["chance"] == pytest.approx(1 / 6)
    )


def test_a_picture_that_examples_share_is_asked_for_in_one_request(tmp_path):
    from cacr.benchmarks.examples import PART, Example, ExamplesWork
    from cacr.data import Picture

    examples = [Example(str(i), ["a", "b"], [f"picture {i % 7}"]) for i in range(7 * PART)]
    work = ExamplesWork(examples, lambda name: Picture(name), "1")
    requests = []

    class Listening(ConstantScorer):
        def match(self, captions, pictures):
            requests.append({picture.image_id for picture in pictures})
            assert len({id(picture) for picture in pictures}) == len(requests[-1])
            return super().match(captions, pictures)

    records = work.records([work.ask(Listening(), part) for part in range(work.parts)])
    assert [record["example"] for record in records] == [str(i) for i in range(7 * PART)]
    assert sum(len(names) for names in requests) == 7


def test_a_scorer_with_a_threshold_leaves_it_in_the_record():
    class Deciding(ConstantScorer):
        threshold = 0.5

    assert SCENES.measure(Deciding(), FEW)[0]["threshold"] == 0.5
    assert "threshold" not in SCENES.measure(ConstantScorer(), FEW)[0]


def test_too_few_matches_are_named():
    class Short(ConstantScorer):
        def match(self, captions, pictures):
            return torch.zeros(1)

    with pytest.raises(ValueError, match="constant gave 1 matches for 160 pairs"):
        SCENES.measure(Short(), FEW)
