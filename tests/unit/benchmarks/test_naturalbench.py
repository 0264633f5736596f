"""NaturalBench's groups are scored as its authors score them, from the better matched of two answers."""

import json
from itertools import product

import pytest
from PIL import Image

from cacr.benchmarks import Options
from cacr.benchmarks.naturalbench import NATURALBENCH, chance, right
from cacr.data import Answered
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


@pytest.fixture
def excerpt(data):
    return data / "benchmarks" / "naturalbench"


def group(answers=("Yes", "No", "No", "Yes"), kinds=("yes_no",) * 4, pictures=("a.jpg", "b.jpg") * 2):
    questions = ["Is it up?Please answer Yes or No."] * 2 + ["Is it down?Please answer Yes or No."] * 2
    return [list(entry) for entry in zip(questions, pictures, answers, kinds, strict=True)]


def write(folder, entries):
    (folder / "naturalbench.json").write_text(json.dumps(entries))
    return Options(data=folder)


def record(answered):
    """Of a group with the answers Yes, No, No, Yes, of which these four are answered rightly."""
    answers = [[0, 1], [1, 0]]
    match = [[0.0, 0.0] for _ in range(4)]
    for (question, picture), is_right in zip(product((0, 1), (0, 1)), answered, strict=True):
        true = answers[question][picture]
        match[2 * question + (true if is_right else 1 - true)][picture] = 1.0
    return {"match": match, "answers": answers}


def test_a_group_is_two_questions_with_two_answers_and_two_pictures(excerpt):
    first, second = NATURALBENCH.open(Options(data=excerpt)).examples
    assert list(first.pictures) == ["test_04956.jpg", "train_06458.jpg"]
    assert [str(caption) for caption in first.captions] == [
        "Is the squirrel climbing up the fence? Yes",
        "Is the squirrel climbing up the fence? No",
        "Is the squirrel climbing down the fence? Yes",
        "Is the squirrel climbing down the fence? No",
    ]
    assert first.keeps == {"answers": [[0, 1], [1, 0]]}
    assert (list(first.tags), list(second.tags)) == (["yes_no"], ["mcq"])


def test_a_model_that_writes_is_asked_the_published_prompt(excerpt):
    first, second = NATURALBENCH.open(Options(data=excerpt)).examples
    assert all(isinstance(caption, Answered) for caption in first.captions)
    assert first.captions[1].question == "Is the squirrel climbing up the fence?Please answer Yes or No."
    assert first.captions[1].answer == "No"
    assert second.captions[0].question.endswith(
        "Please output the letter corresponding to the correct option."
    )
    assert str(second.captions[0]) == "What type of headgear is being worn?\nOption: A:Knit cap; B:Helmet; A"


def test_groups_that_share_any_picture_are_one_cluster(tmp_path):
    pictures = [
        ("a.jpg", "b.jpg"),
        ("c.jpg", "d.jpg"),
        ("e.jpg", "b.jpg"),
        ("d.jpg", "f.jpg"),
        ("g.jpg", "h.jpg"),
    ]
    entries = [entry for pair in pictures for entry in group(pictures=pair * 2)]
    clusters = [one.cluster for one in NATURALBENCH.open(write(tmp_path, entries)).examples]
    assert clusters[0] == clusters[2]
    assert clusters[1] == clusters[3]
    assert len(set(clusters)) == 3


@pytest.mark.parametrize("answered", list(product((True, False), repeat=4)))
def test_scores_are_those_of_the_authors_definition(answered):
    (q0i0, q0i1, q1i0, q1i1) = answered
    found = {metric: values[0] for metric, values in right([record(answered)]).items()}
    assert found["accuracy"] == sum(answered) / 4
    assert found["question"] == ((q0i0 and q0i1) + (q1i0 and q1i1)) / 2
    assert found["image"] == ((q0i0 and q1i0) + (q0i1 and q1i1)) / 2
    assert found["group"] == all(answered)


def test_a_constant_scorer_and_nan_score_nothing(excerpt):
    records = NATURALBENCH.measure(ConstantScorer(), Options(data=excerpt))
    assert not any(values.any() for values in right(records).values())
    records[0]["match"] = [[float("nan")] * 2] * 4
    assert not any(values.any() for values in right(records).values())


def test_one_answer_for_everything_gets_half_of_accuracy_and_no_question(excerpt):
    records = NATURALBENCH.measure(ConstantScorer(), Options(data=excerpt))
    for one in records:
        one["match"] = [[1.0, 1.0], [0.0, 0.0]] * 2
    assert right(records)["accuracy"].tolist() == [0.5, 0.5]
    assert not right(records)["question"].any()


def test_a_split_is_a_kind_of_question(excerpt):
    work = NATURALBENCH.open(Options(data=excerpt, split="mcq"))
    assert [one.example for one in work.examples] == ["1"]
    with pytest.raises(ValueError, match="unknown part of naturalbench 'yesno'. Did you mean 'yes_no'"):
        NATURALBENCH.open(Options(data=excerpt, split="yesno"))


def test_the_kind_may_be_named_as_in_the_authors_script(tmp_path):
    entries = group(("A", "B", "B", "A"), ("multiple_choice",) * 4)
    (only,) = NATURALBENCH.open(write(tmp_path, entries)).examples
    assert list(only.tags) == ["mcq"]


@pytest.mark.parametrize(
    "entries, named",
    [
        (group()[:3], "a list of 3"),
        ({"a": 1}, "holds dict"),
        (group() + group()[:3] + [["a", "b"]], r"group 1 has the entry \['a', 'b'\]"),
        (group(kinds=("open",) * 4), r"group 0 has kinds \['open'\]"),
        (group(answers=("Yes", "Yes", "No", "Yes")), "group 0 has the answers Yes, Yes, No, Yes"),
        (group(answers=("Yes", "No", "Yes", "No")), "group 0 has the answers Yes, No, Yes, No"),
        (group(answers=("A", "B", "B", "A")), "expected Yes and No"),
        (group(pictures=("a.jpg", "b.jpg", "b.jpg", "a.jpg")), "group 0 is not two questions of two"),
        (group(pictures=("a.jpg",) * 4), "group 0 is not two questions of two"),
        ([], "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, entries, named):
    with pytest.raises(ValueError, match=named):
        NATURALBENCH.open(write(tmp_path, entries))


def test_a_folder_without_the_file_says_what_is_expected(tmp_path):
    with pytest.raises(FileNotFoundError, match="naturalbench.json, naturalbench_test_set.json"):
        NATURALBENCH.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    write(tmp_path, group() + group(pictures=("a.jpg", "c.jpg") * 2))
    (tmp_path / "images").mkdir()
    for name in "ac":
        Image.new("RGB", (4, 4)).save(tmp_path / "images" / f"{name}.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 3 pictures.*b.jpg"):
        NATURALBENCH.open(Options(data=tmp_path))
    work = NATURALBENCH.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_the_published_test_set_has_its_size_and_random_lands_on_chance(reference_data):
    path = reference_data / "annotations" / "naturalbench_test_set.json"
    work = NATURALBENCH.open(Options(data=path))
    assert NATURALBENCH.versions[work.version].startswith("naturalbench_test_set.json, 950 groups")
    records = work.records([work.ask(RandomScorer(), part) for part in range(work.parts)])
    assert len(records) == 950
    assert len({one["cluster"] for one in records}) == 949  # two groups have the same two pictures
    assert [sum(kind in one["tags"] for one in records) for kind in ("yes_no", "mcq")] == [843, 107]
    for metric, outcome in right(records).items():
        estimate = proportion(outcome, [one["cluster"] for one in records], level=0.999)
        assert estimate.low < chance(records[0])[metric] < estimate.high, metric
