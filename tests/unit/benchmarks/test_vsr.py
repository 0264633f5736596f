"""VSR's matches are judged by a threshold of other pictures, so that nothing is fitted on what it judges."""

import json

import numpy as np
import pytest
from PIL import Image

from cacr.benchmarks import Options, table
from cacr.benchmarks.statistics import proportion
from cacr.benchmarks.vsr import CATEGORY_OF, OWN, VSR, _half, best_threshold, chance, right
from cacr.scorers import ConstantScorer, RandomScorer


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
    assert first.tags == ["true", "projective", "behind"]
    assert first.keeps == {"label": 1}
    assert work.examples[1].tags[0] == "false"


def test_a_split_is_its_file(excerpt):
    work = VSR.open(Options(data=excerpt, split="zeroshot/dev"))
    assert [one.example for one in work.examples] == ["zeroshot/dev/0", "zeroshot/dev/1"]
    assert len(VSR.open(Options(data=excerpt / "zeroshot" / "test.jsonl")).examples) == 6
    with pytest.raises(FileNotFoundError, match="random/test.jsonl"):
        VSR.open(Options(data=excerpt, split="random/test"))
    with pytest.raises(ValueError, match="unknown part of vsr 'test'"):
        VSR.open(Options(data=excerpt, split="test"))


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
    (tmp_path / "test.jsonl").write_text("".join(line(i, label=i % 2) for i in range(40)))
    assert not VSR.open(Options(data=tmp_path / "test.jsonl")).notes
    assert any(
        "too few pictures" in note for note in VSR.open(Options(data=tmp_path / "test.jsonl", n=3)).notes
    )


def test_a_models_own_threshold_is_another_metric():
    judged = right(records([0.4, 0.6, 0.5, 0.2], [0, 1, 1, 1], threshold=0.5))
    assert judged[OWN].tolist() == [True, True, False, False]
    assert OWN not in right(records([0.4, 0.6], [0, 1]))
    assert OWN not in right(records([0.4], [1], threshold=0.5) + records([0.6], [1]))


def test_the_table_has_rows_for_labels_categories_and_relations(excerpt):
    groups = {row.group for row in table(VSR, VSR.measure(RandomScorer(), Options(data=excerpt)))}
    assert {"all", "true", "false", "projective", "behind", "under"} <= groups


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
