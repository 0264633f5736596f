"""What'sUp's pairs and sets follow from the pictures' names, and count as the released code counts them."""

import json
from itertools import product

import numpy as np
import pytest
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.benchmark import chance_of
from cacr.benchmarks.examples import Example
from cacr.benchmarks.whatsup import FILES, QA_FILES, WHATSUP, WHATSUP_QA, mark_whole, right
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion

A, B = ("on", "under", "left_of", "right_of"), ("in-front_of", "behind", "left_of", "right_of")
FOLDERS = {"A": "controlled_images", "B": "controlled_clevr"}


def photograph(part, thing, preposition, place="table"):
    others = [p for p in (A if part == "A" else B) if p != preposition]
    return {
        "image_path": f"data/{FOLDERS[part]}/{thing}_{preposition}_{place}.jpeg",
        "caption_options": [f"A {thing} {p} a {place}" for p in (preposition, *others)],
    }


def write(folder, **parts):
    for part, items in parts.items():
        (folder / (FILES | QA_FILES)[part.replace("_", "-")]).write_text(json.dumps(items))
    return Options(data=folder)


@pytest.fixture
def both(tmp_path):
    """Two sets of A, one of B, prepositions mixed as in the files."""
    a = [photograph("A", thing, p) for p in A for thing in ("mug", "beer-bottle")]
    return write(tmp_path, A=a, B=[photograph("B", "mug", p) for p in B])


def judged(options, wrong=()):
    """Outcomes by example, where all but some are right."""
    records = WHATSUP.measure(ConstantScorer(), options)
    for record in records:
        first = 0.0 if record["example"] in wrong else 2.0
        record["match"] = [[first], [1.0], [1.0], [1.0]]
    found = right(records)
    return {r["example"]: {m: bool(found[m][i]) for m in found} for i, r in enumerate(records)}, found


def test_examples_are_the_items_of_the_files_set_by_set(both):
    work = WHATSUP.open(both)
    first = work.examples[0]
    assert first.example == "A/mug_on_table"
    assert list(first.captions) == [f"A mug {p} a table" for p in A]
    assert list(first.pictures) == ["controlled_images/mug_on_table.jpeg"]
    assert list(first.tags) == ["A", "A on"]
    assert [one.cluster for one in work.examples] == (
        ["A/mug/table"] * 4 + ["A/beer-bottle/table"] * 4 + ["B/mug/table"] * 4
    )
    assert not work.notes


def test_one_wrong_picture_spoils_its_pair_and_its_set(both):
    by_example, found = judged(both, wrong=["A/mug_left_of_table"])
    assert by_example["A/mug_right_of_table"] == {"accuracy": True, "pair": False, "set": False}
    assert by_example["A/mug_on_table"] == {"accuracy": True, "pair": True, "set": False}
    assert by_example["A/beer-bottle_left_of_table"] == {"accuracy": True, "pair": True, "set": True}
    assert by_example["B/mug_left_of_table"]["set"]
    assert found["pair"].mean() == 5 / 6  # five of six pairs
    assert found["set"].mean() == 2 / 3


def test_in_front_and_behind_are_a_pair(both):
    by_example, _ = judged(both, wrong=["B/mug_behind_table"])
    assert not by_example["B/mug_in-front_of_table"]["pair"]
    assert by_example["B/mug_left_of_table"]["pair"]


def test_a_set_that_lacks_a_picture_is_wrong_and_said(tmp_path):
    options = write(tmp_path, A=[photograph("A", "mug", p) for p in A[:3]])
    by_example, _ = judged(options)
    assert by_example["A/mug_on_table"] == {"accuracy": True, "pair": True, "set": False}
    assert not by_example["A/mug_left_of_table"]["pair"]
    notes = WHATSUP.open(options).notes
    assert "without the parts B" in notes[0]
    assert "1 of 1 sets are not of four pictures" in notes[1]


def test_the_first_examples_are_whole_sets(both):
    work = WHATSUP.open(Options(data=both.data, n=4))
    assert {one.cluster for one in work.examples} == {"A/mug/table"}
    assert not any("not of four" in note for note in work.notes)


def test_a_split_is_a_part(both):
    work = WHATSUP.open(Options(data=both.data, split="B"))
    assert {one.tags[0] for one in work.examples} == {"B"}
    with pytest.raises(ValueError, match="unknown part of whatsup 'C'"):
        WHATSUP.open(Options(data=both.data, split="C"))


@pytest.mark.parametrize(
    "items, named",
    [
        (
            [photograph("A", "mug", "on") | {"image_path": "a/mug_over_table.jpeg"}],
            "item 0: .*mug_over_table",
        ),
        ([{"image_path": "mug_on_table.jpeg", "caption_options": ["a"]}], "item 0: caption_options"),
        ([photograph("A", "mug", "on") | {"image_path": None}], "item 0: image_path"),
        ([photograph("A", "mug", "on")] * 2, "A/mug_on_table comes twice"),
        (["mug"], "item 0 is 'mug'"),
        ({"a": 1}, "expected a list"),
        ([], "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, items, named):
    with pytest.raises(ValueError, match=named):
        WHATSUP.open(write(tmp_path, A=items))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    options = write(tmp_path, A=[photograph("A", "mug", p) for p in A])
    (tmp_path / "controlled_images").mkdir()
    for p in A[:2]:
        Image.new("RGB", (4, 4)).save(tmp_path / "controlled_images" / f"mug_{p}_table.jpeg")
    with pytest.raises(FileNotFoundError, match=r"2 of 4 pictures.*mug_left_of_table.jpeg"):
        WHATSUP.open(options)
    work = WHATSUP.open(Options(data=tmp_path, missing="skip"))
    assert len(work.examples) == 2
    assert any("2 of 4 examples left out" in note for note in work.notes)
    assert any("1 of 1 sets are not of four" in note for note in work.notes)


def test_a_constant_scorer_scores_nothing_and_a_random_one_lands_on_chance(tmp_path):
    options = write(tmp_path, A=[photograph("A", f"thing{i}", p) for i in range(800) for p in A], B=[
        photograph("B", f"thing{i}", p) for i in range(800) for p in B
    ])  # fmt: skip
    constant = right(WHATSUP.measure(ConstantScorer(), options))
    assert not any(values.any() for values in constant.values())
    records = WHATSUP.measure(RandomScorer(), options)
    for metric, outcome in right(records).items():
        estimate = proportion(outcome, [one["cluster"] for one in records], level=0.999)
        assert estimate.low < WHATSUP.chance(records[0])[metric] < estimate.high, metric
    assert {row.group for row in table(WHATSUP, records)} >= {"all", "A", "B", "A on", "B behind"}


def one_set(*prepositions):
    """Records of a set that has these pictures, as they are after opening."""
    examples = [
        Example(p, ["a"], ["a.jpg"], cluster="A/mug/table", keeps={"preposition": p}) for p in prepositions
    ]
    return [{"cluster": one.cluster, **one.keeps} for one in mark_whole(examples)]


@pytest.mark.parametrize(
    "there",
    [
        ("on", "under", "left", "right"),
        ("on", "under", "left"),
        ("on", "under"),
        ("on", "left"),
        ("right",),
        ("left", "left", "right"),
    ],
)
def test_chance_is_what_guessing_gets_whether_or_not_a_set_is_whole(there):
    records, found = one_set(*there), []
    for best in product(range(4), repeat=len(there)):  # every way to prefer one caption for each picture
        for record, winner in zip(records, best, strict=True):
            record["match"] = [[float(caption == winner)] for caption in range(4)]
        found.append({metric: values.mean() for metric, values in right(records).items()})
    for metric in ("accuracy", "pair", "set"):
        assert np.mean([one[metric] for one in found]) == chance_of(WHATSUP, records, metric)


def test_a_random_scorer_lands_on_chance_where_sets_lack_pictures(tmp_path):
    items = [photograph("A", f"thing{i}", p) for i in range(1600) for p in A[: 4 if i % 4 == 0 else 3]]
    records = WHATSUP.measure(RandomScorer(), write(tmp_path, A=items))
    whole = {record["example"]: (record["whole_pair"], record["whole_set"]) for record in records}
    assert whole["A/thing0_left_of_table"] == (True, True)
    assert whole["A/thing1_on_table"] == (True, False)
    assert whole["A/thing1_left_of_table"] == (False, False)
    for metric, outcome in right(records).items():
        estimate = proportion(outcome, [one["cluster"] for one in records], level=0.999)
        assert estimate.low < chance_of(WHATSUP, records, metric) < estimate.high, metric


def test_a_set_is_whole_only_if_all_of_it_is_asked(both, tmp_path):
    work = WHATSUP.open(Options(data=both.data, n=6))
    assert [one.keeps["whole_set"] for one in work.examples] == [True] * 4 + [False] * 2
    assert [one.keeps["whole_pair"] for one in work.examples] == [True] * 6
    (tmp_path / "controlled_images").mkdir()
    for p in ("on", "under", "left_of"):
        Image.new("RGB", (4, 4)).save(tmp_path / "controlled_images" / f"mug_{p}_table.jpeg")
    work = WHATSUP.open(Options(data=both.data, split="A", missing="skip"))
    assert [one.keeps["whole_pair"] for one in work.examples] == [True, True, False]
    assert not any(one.keeps["whole_set"] for one in work.examples)


def test_questions_of_coco_and_visual_genome_name_their_pictures_by_number(tmp_path):
    coco = [[397133, "A photo of a mug to the left of a cup", "A photo of a mug to the right of a cup"]]
    work = WHATSUP_QA.open(write(tmp_path, coco_two=coco, vg_one=[["2343728", "A dog on the left", "right"]]))
    first, second = work.examples
    assert (first.example, list(first.pictures)) == ("coco-two/0", ["val2017/000000397133.jpg"])
    assert list(first.captions) == coco[0][1:]
    assert list(first.tags) == ["coco-two", "coco"]
    assert (second.example, list(second.pictures)) == ("vg-one/0", ["vg_images/2343728.jpg"])
    assert "without the parts coco-one, vg-two" in work.notes[0]


@pytest.mark.parametrize(
    "item", [[1, "a"], ["x.jpg", "a", "b"], [1, "a", ""], [None, "a", "b"], {"a": 1}, [True, "a", "b"]]
)
def test_a_broken_question_is_named(tmp_path, item):
    with pytest.raises(ValueError, match="coco_qa_one_obj.json, item 1"):
        WHATSUP_QA.open(write(tmp_path, coco_one=[[1, "a", "b"], item]))


def test_questions_give_constant_scorers_nothing_and_random_ones_half(tmp_path):
    options = write(tmp_path, coco_one=[[i, f"a {i}", f"b {i}"] for i in range(800)])
    assert not WHATSUP_QA.right(WHATSUP_QA.measure(ConstantScorer(), options))["accuracy"].any()
    records = WHATSUP_QA.measure(RandomScorer(), options)
    estimate = proportion(WHATSUP_QA.right(records)["accuracy"], level=0.999)
    assert estimate.low < WHATSUP_QA.chance(records[0])["accuracy"] < estimate.high


def test_missing_pictures_of_questions_are_left_out_with_a_note(tmp_path):
    options = write(tmp_path, vg_two=[[1, "a", "b"], [2, "a", "b"]])
    (tmp_path / "vg_images").mkdir()
    Image.fromarray(np.zeros((4, 4, 3), dtype=np.uint8)).save(tmp_path / "vg_images" / "2.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*vg_images/1.jpg"):
        WHATSUP_QA.open(options)
    work = WHATSUP_QA.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["vg-two/1"]
