"""VSR's matches are judged by a threshold of other pictures, so that nothing is fitted on what it judges."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.vsr import CATEGORY_OF, OWN, VSR, _half, best_threshold, chance, right
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


@pytest.fixture
def excerpt(data):
    return data / "benchmarks" / "vsr"


def records(matches, labels, **more):
    return [
        {"example": str(i), "cluster": f"{i}.jpg", "match": [[float(m)]], "label": int(y)} | more
        for i, (m, y) in enumerate(zip(matches, labels, strict=True))
    ]


def line(number, **more):
    item = {"image": f"{number}.jpg", "caption": "The dog is on the bed.", "label": 1, "relation": "on"}
    return json.dumps(item | more) + "\n"


def test_examples_are_the_lines_of_the_files(excerpt):
    work = VSR.open(Options(data=excerpt))
    first = work.examples[0]
    assert first.example == "zeroshot/test/0"
    assert list(first.captions) == ["The car is behind the suitcase."]
    assert list(first.pictures) == ["000000017697.jpg"]
    assert first.tags == ["projective", "behind"]
    assert first.keeps == {"label": 1}
    assert work.examples[1].keeps == {"label": 0}


def test_a_split_is_its_file(excerpt):
    work = VSR.open(Options(data=excerpt, split="zeroshot/dev"))
    assert [one.example for one in work.examples] == ["zeroshot/dev/0", "zeroshot/dev/1"]
    with pytest.raises(FileNotFoundError, match="random/test.jsonl"):
        VSR.open(Options(data=excerpt, split="random/test"))
    for unknown in ("test", ""):
        with pytest.raises(ValueError, match=f"unknown part of vsr '{unknown}'"):
            VSR.open(Options(data=excerpt, split=unknown))
        with pytest.raises(ValueError, match=f"unknown part of vsr '{unknown}'"):
            VSR.open(Options(data=excerpt / "zeroshot" / "test.jsonl", split=unknown))


def test_a_file_tells_its_split_by_its_path(excerpt, monkeypatch):
    for split, size in (("zeroshot/test", 6), ("zeroshot/dev", 2)):
        examples = VSR.open(Options(data=excerpt / f"{split}.jsonl")).examples
        assert [one.example for one in examples] == [f"{split}/{i}" for i in range(size)]
    monkeypatch.chdir(excerpt / "zeroshot")
    assert VSR.open(Options(data=Path("dev.jsonl"))).examples[0].example == "zeroshot/dev/0"


@pytest.mark.parametrize("name", ["test.jsonl", "mine.jsonl", "zeroshot/train.jsonl"])
def test_a_file_whose_path_does_not_tell_its_split_needs_it_said(tmp_path, name):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(line(1))
    with pytest.raises(ValueError, match="does not say of which split it is.*--split"):
        VSR.open(Options(data=file))


def test_a_split_that_is_said_is_that_of_a_file_of_any_name(tmp_path):
    for name in ("mine.jsonl", "test.jsonl"):
        (tmp_path / name).write_text(line(1))
        (one,) = VSR.open(Options(data=tmp_path / name, split="random/test")).examples
        assert one.example == "random/test/0"


@pytest.mark.parametrize(
    "name, split",
    [
        ("zeroshot/dev.jsonl", "zeroshot/test"),
        ("random/test.jsonl", "zeroshot/test"),
        ("random/mine.jsonl", "zeroshot/test"),
        ("zeroshot/train.jsonl", "zeroshot/dev"),
        ("dev.jsonl", "random/test"),
    ],
)
def test_a_file_of_another_split_than_the_one_that_is_said_is_refused(tmp_path, name, split):
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_text(line(1))
    with pytest.raises(ValueError, match=f"{file.name} is by its name of .*and the split is {split}"):
        VSR.open(Options(data=file, split=split))


@pytest.mark.parametrize(
    "content, named",
    [
        (line(1) + line(2, label=2), "line 2: label is 2"),
        (line(1, label=None), "line 1: label is None"),
        (line(1, caption=""), "line 1: caption"),
        (line(1) + "{", "line 2"),
        ("5\n", "line 1 is 5"),
        ("", "no examples"),
    ],
)
def test_a_broken_file_is_named(tmp_path, content, named):
    (tmp_path / "zeroshot").mkdir()
    (tmp_path / "zeroshot" / "test.jsonl").write_text(content)
    with pytest.raises(ValueError, match=named):
        VSR.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path):
    (tmp_path / "zeroshot").mkdir()
    (tmp_path / "zeroshot" / "test.jsonl").write_text(line(1) + line(2))
    (tmp_path / "val2017").mkdir()
    Image.new("RGB", (4, 4)).save(tmp_path / "val2017" / "2.jpg")
    with pytest.raises(FileNotFoundError, match=r"1 of 2 pictures.*1.jpg"):
        VSR.open(Options(data=tmp_path))
    work = VSR.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["zeroshot/test/1"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_the_best_threshold_is_that_of_trying_all():
    rng = np.random.default_rng(0)
    for _ in range(20):
        match, label = rng.integers(0, 9, 25).astype(float), rng.random(25) < 0.4
        values = np.unique(match)
        middles = (values[1:] + values[:-1]) / 2
        shares = [(match[label] > t).mean() + (match[~label] < t).mean() for t in middles]
        best = max(shares)
        assert best_threshold(match, label) == next(
            t for t, s in zip(middles, shares, strict=True) if s > best - 1e-9
        )


def test_nothing_is_fitted_on_the_half_that_it_judges():
    labels = np.random.default_rng(0).random(400) < 0.5
    matches = np.random.default_rng(1).random(400)
    before = right(records(matches, labels))["accuracy"]
    for index in range(
        0, 400, 40
    ):  # whether an example is right does not depend on the others of its own half
        changed = matches.copy()
        changed[index] = -9.0
        after = right(records(changed, labels))["accuracy"]
        moved = np.flatnonzero(before != after)
        assert after[index] == (not labels[index])
        halves = {_half(f"{i}.jpg") for i in moved if i != index}
        assert _half(f"{index}.jpg") not in halves


def test_a_scorer_that_tells_true_from_false_gets_all():
    labels = np.arange(60) % 2
    assert right(records(labels + np.linspace(0, 0.5, 60), labels))["accuracy"].all()
    assert not right(records(-labels.astype(float), labels))["accuracy"].any()


def test_a_constant_scorer_and_nan_score_nothing(excerpt):
    constant = VSR.measure(ConstantScorer(), Options(data=excerpt))
    assert not right(constant)["accuracy"].any()
    assert not right(records([float("nan")] * 40, np.arange(40) % 2))["accuracy"].any()
    two = right(records([0.0, 1.0] * 20 + [float("nan")], [0, 1] * 20 + [1]))["accuracy"]
    assert two[:-1].all() and not two[-1]


def test_too_few_pictures_to_fit_a_threshold_are_wrong_and_said(tmp_path):
    assert not right(records([1.0], [1]))["accuracy"].any()
    (tmp_path / "mine.jsonl").write_text("".join(line(i, label=i % 2) for i in range(40)))
    options = Options(data=tmp_path / "mine.jsonl", split="zeroshot/test")
    assert not VSR.open(options).notes
    assert any("too few pictures" in note for note in VSR.open(replace(options, n=3)).notes)


def test_pictures_may_be_named_by_numbers():
    named = records([0.4, 0.6] * 20, [0, 1] * 20)
    numbered = [record | {"cluster": i} for i, record in enumerate(named)]
    texts = [record | {"cluster": str(i)} for i, record in enumerate(named)]
    assert right(numbered)["accuracy"].tolist() == right(texts)["accuracy"].tolist()


def test_a_models_own_threshold_is_another_metric():
    judged = right(records([0.4, 0.6, 0.5, 0.2], [0, 1, 1, 1], threshold=0.5))
    assert judged[OWN].tolist() == [True, True, False, False]
    assert OWN not in right(records([0.4, 0.6], [0, 1]))
    assert OWN not in right(records([0.4], [1], threshold=0.5) + records([0.6], [1]))


def test_the_table_has_rows_for_categories_and_relations_and_none_for_labels(excerpt):
    records = VSR.measure(RandomScorer(), Options(data=excerpt))
    groups = {row.group for row in table(VSR, records)}
    assert {"all", "projective", "behind", "under"} <= groups
    assert not {"true", "false"} & groups  # the threshold trades one against the other
    assert {record["label"] for record in records} == {0, 1}


def test_that_the_interval_knows_nothing_of_the_fit_is_a_caution():
    assert any("threshold was fitted" in caution for caution in VSR.cautions)


def test_the_published_split_has_its_published_size(reference_data):
    folder = reference_data / "annotations" / "vsr"
    work = VSR.open(Options(data=folder))
    assert len(work.examples) == 1222
    assert sum(one.keeps["label"] for one in work.examples) == 629
    assert len({one.pictures[0] for one in work.examples}) == 715
    assert {one.tags[-1] for one in work.examples} <= CATEGORY_OF.keys()
    assert VSR.versions[work.version] == "zeroshot/test, 1,222 examples"
    dev = VSR.open(Options(data=folder, split="zeroshot/dev"))
    assert VSR.versions[dev.version] == f"zeroshot/dev, {len(dev.examples)} examples"


def test_a_random_scorer_lands_on_chance_for_true_and_false_captions_alike(reference_data):
    found = VSR.measure(RandomScorer(), Options(data=reference_data / "annotations" / "vsr"))
    estimate = proportion(right(found)["accuracy"], [one["cluster"] for one in found], level=0.999)
    assert estimate.low < chance(found[0])["accuracy"] < estimate.high
    rng, by_label = np.random.default_rng(2), []
    label = np.array([one["label"] for one in found], dtype=bool)
    for _ in range(200):
        for one, match in zip(found, rng.random(len(found)), strict=True):
            one["match"] = [[match]]
        outcome = right(found)["accuracy"]
        by_label.append((outcome[label].mean(), outcome[~label].mean(), outcome.mean()))
    true, false, both = np.mean(by_label, axis=0)
    assert both == pytest.approx(0.5, abs=0.004)  # four standard errors
    assert (true, false) == pytest.approx((0.5, 0.5), abs=0.06)
