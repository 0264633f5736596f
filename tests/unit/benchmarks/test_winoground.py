"""Winoground's scores are what its paper defines, ties are wrong, and chance is what a random ranker gets.

Its files are read as published: lines beside a folder of pictures, or the hub's table with the pictures inside.
"""

import json
import logging
from collections import Counter
from itertools import permutations

import pytest
import torch
from PIL import Image
from tests.unit.benchmarks.test_picture_tables import png, write_table

from cacr.benchmarks import Options, table
from cacr.benchmarks.outcomes import CHANCE, group_match, score
from cacr.benchmarks.winoground import WINOGROUND
from cacr.regions import Regions, write_features
from cacr.scorers import ConstantScorer, RandomScorer
from cacr.statistics import proportion


def test_a_perfect_model_scores_all():
    match = torch.eye(2).expand(3, 2, 2)
    assert all(values.all() for values in score(match).values())
    assert group_match(match).all()


def test_a_constant_scorer_scores_nothing():
    match = torch.ones(5, 2, 2)
    assert not any(values.any() for values in score(match).values())
    assert not group_match(match).any()


def test_text_asks_whether_each_image_finds_its_caption():
    prefers_image_0 = torch.tensor([[[3.0, 1.0], [2.0, 2.0]]])
    assert score(prefers_image_0)["text"].item()
    assert not score(prefers_image_0)["image"].item()


def test_image_asks_whether_each_caption_finds_its_image():
    prefers_caption_0 = torch.tensor([[[3.0, 2.0], [1.0, 2.0]]])
    assert score(prefers_caption_0)["image"].item()
    assert not score(prefers_caption_0)["text"].item()


def test_nan_is_wrong():
    match = torch.tensor([[[1.0, float("nan")], [0.0, 1.0]]])
    assert not score(match)["group"].item()
    assert not group_match(match).item()


def test_chance_is_what_a_random_ranker_gets():
    orders = torch.tensor(list(permutations([1.0, 2.0, 3.0, 4.0]))).view(-1, 2, 2)
    for metric, right in score(orders).items():
        assert right.double().mean().item() == pytest.approx(CHANCE[metric])
    random = torch.rand(20_000, 2, 2, generator=torch.Generator().manual_seed(0))
    assert group_match(random).double().mean().item() == pytest.approx(CHANCE["group match"], abs=0.015)


def test_group_match_asks_for_the_best_of_all_matchings():
    match = torch.tensor([[[5.0, 0, 0], [0, 1, 2], [0, 1.5, 1]], [[5.0, 0, 0], [0, 2, 1], [0, 1, 2]]])
    assert group_match(match).tolist() == [False, True]


@pytest.mark.parametrize("shape", [(4, 2), (4, 3, 2), (4, 3, 3)])
def test_other_shapes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \[example, caption=2, image=2\]"):
        score(torch.zeros(shape))


@pytest.mark.parametrize("tied", [(0, 1), (1, 0)])
@pytest.mark.parametrize("own", [(0, 0), (1, 1)])
def test_a_single_tie_is_wrong(tied, own):
    match = torch.tensor([[[2.0, 1.0], [1.0, 3.0]]])
    match[0][tied] = match[0][own]
    metric = "text" if tied[1] == own[1] else "image"
    assert not score(match)[metric].item()
    assert not score(match)["group"].item()


def row(number, **changed):
    return {
        "id": number,
        "image_0": f"ex_{number}_img_0",
        "image_1": f"ex_{number}_img_1",
        "caption_0": f"a dog bites man {number}",
        "caption_1": f"a man bites dog {number}",
        "tag": "Noun-Animal, Verb-Action",
        "secondary_tag": "Series",
        "num_main_preds": 1,
        "collapsed_tag": "Object",
    } | changed


def write_lines(folder, rows):
    (folder / "images").mkdir(parents=True)
    (folder / "examples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in rows))
    for one in rows:
        for i in (0, 1):
            color = (one["id"] % 256, i, 0)
            Image.new("RGB", (5, 4), color).save(folder / "images" / f"ex_{one['id']}_img_{i}.png")
    return folder


@pytest.mark.parametrize("inner", ["", "data", "winoground/data"])
def test_the_first_release_is_read_with_its_pictures(tmp_path, inner):
    write_lines(tmp_path / inner, [row(0), row(16)])
    work = WINOGROUND.open(Options(data=tmp_path))
    one = work.examples[1]
    assert (one.example, list(one.captions)) == ("16", ["a dog bites man 16", "a man bites dog 16"])
    assert list(one.pictures) == ["ex_16_img_0.png", "ex_16_img_1.png"]
    assert work.picture("ex_16_img_1.png").image.getpixel((0, 0)) == (16, 1, 0)
    assert not work.notes


@pytest.mark.parametrize("name", ["data/test-00000-of-00001.parquet", "default/test/0000.parquet"])
def test_the_table_of_the_hub_gives_the_same_examples_and_its_own_pictures(tmp_path, name):
    rows = [row(0), row(16), row(399)]
    columns = {key: [one[key] for one in rows] for key in rows[0]}
    for i in (0, 1):
        columns[f"image_{i}"] = [{"bytes": png((one["id"] % 256, i, 0)), "path": None} for one in rows]
    write_table(tmp_path / "hub" / name, columns, ["image_0", "image_1"])
    work = WINOGROUND.open(Options(data=tmp_path / "hub"))
    lines = WINOGROUND.open(Options(data=write_lines(tmp_path / "lines", rows)))
    assert work.examples == lines.examples
    assert work.picture("ex_16_img_1.png").image.getpixel((0, 0)) == (16, 1, 0)


@pytest.mark.parametrize("ending", ["", ".png", ".npz"])
def test_regions_come_from_a_store_by_name_where_one_is_given(tmp_path, ending):
    rows = [row(1), row(11)]
    columns = {key: [one[key] for one in rows] for key in rows[0]}
    for i in (0, 1):
        columns[f"image_{i}"] = [{"bytes": png((0, 0, 0)), "path": None} for _ in rows]
    write_table(tmp_path / "test-00000-of-00001.parquet", columns, ["image_0", "image_1"])
    boxes = torch.tensor([[0.0, 0.0, 1.0, 1.0]])
    regions = {
        f"ex_{number}_img_{i}{ending}": Regions(torch.tensor([[float(number), float(i)]]), boxes)
        for number in (1, 11)
        for i in (0, 1)
    }
    write_features(tmp_path / "regions.safetensors", regions)
    work = WINOGROUND.open(Options(data=tmp_path, features=tmp_path / "regions.safetensors"))
    name = work.examples[1].pictures[1]
    assert work.picture(name).regions.features.tolist() == [[11.0, 1.0]]


def test_tags_say_what_is_swapped_what_is_tested_and_why_it_is_hard(tmp_path):
    rows = [row(0, secondary_tag=None), row(16), row(36, collapsed_tag="Relation", num_main_preds=2)]
    work = WINOGROUND.open(Options(data=write_lines(tmp_path, rows)))
    assert [list(one.tags) for one in work.examples] == [
        ["object", "1 main predicate", "swap: noun", "swap: verb", "why hard: no tag"],
        [
            "object",
            "1 main predicate",
            "swap: noun",
            "swap: verb",
            "also: series",
            "why hard: complex reasoning",
        ],
        [
            *["relation", "2 main predicates", "swap: noun", "swap: verb", "also: series"],
            *["why hard: unusual image", "why hard: ambiguously correct", "why hard: visually difficult"],
        ],
    ]
    assert work.examples[1].keeps == {"tag": "Noun-Animal, Verb-Action", "secondary_tag": "Series"}


def test_why_examples_are_hard_is_told_of_all_400(tmp_path):
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(row(i)) + "\n" for i in range(401)))
    work = WINOGROUND.open(Options(data=tmp_path))
    counts = Counter(
        tag.removeprefix("why hard: ") for one in work.examples for tag in one.tags if "why" in tag
    )
    assert counts == {
        "no tag": 172,
        "complex reasoning": 78,
        "unusual image": 56,
        "unusual text": 50,
        "ambiguously correct": 46,
        "visually difficult": 38,
        "non-minimal": 30,
    }


@pytest.mark.parametrize(
    "line, named",
    [
        ('{"id": 3, "caption_0": "a"', "line 2"),
        ("[1]", "line 2 is no example"),
        (json.dumps(row(3, caption_1=" ")), "line 2: caption_1"),
        (json.dumps(row(3, image_0=None)), "line 2: image_0"),
        (json.dumps(row("3")), "line 2: id is '3'"),
        (json.dumps(row(True)), "line 2: id is True"),
        (json.dumps(row(3, num_main_preds=[1])), r"line 2: num_main_preds is \[1\]; expected a number"),
        (json.dumps(row(3, num_main_preds="1")), "line 2: num_main_preds is '1'; expected a number"),
        (json.dumps(row(3, num_main_preds=True)), "line 2: num_main_preds is True"),
        (json.dumps(row(3, tag=["Noun"])), r"line 2: tag is \['Noun'\]; expected a text"),
        (json.dumps(row(3, collapsed_tag=1)), "line 2: collapsed_tag is 1; expected a text"),
        (json.dumps(row(1)), "the example 1 comes twice"),
    ],
)
def test_a_broken_line_is_named(tmp_path, line, named):
    (tmp_path / "examples.jsonl").write_text(f"{json.dumps(row(1))}\n{line}\n")
    with pytest.raises(ValueError, match=named):
        WINOGROUND.open(Options(data=tmp_path))


def test_pictures_that_are_still_packed_are_named(tmp_path):
    (tmp_path / "examples.jsonl").write_text(json.dumps(row(1)))
    (tmp_path / "images.zip").touch()
    with pytest.raises(FileNotFoundError, match="images.zip is not unpacked"):
        WINOGROUND.open(Options(data=tmp_path))


def test_missing_pictures_are_refused_or_left_out_with_a_note(tmp_path, caplog):
    write_lines(tmp_path, [row(0), row(1)])
    (tmp_path / "images" / "ex_1_img_0.png").unlink()
    with pytest.raises(FileNotFoundError, match=r"1 of 4 pictures.*ex_1_img_0.png"):
        WINOGROUND.open(Options(data=tmp_path))
    with caplog.at_level(logging.WARNING):
        work = WINOGROUND.open(Options(data=tmp_path, missing="skip"))
    assert [one.example for one in work.examples] == ["0"]
    assert any("1 of 2 examples left out" in note for note in work.notes)


def test_without_files_the_way_to_get_them_is_said(tmp_path):
    with pytest.raises(ValueError, match="--data FOLDER.*Accept the terms"):
        WINOGROUND.open(Options())
    with pytest.raises(FileNotFoundError, match=r"none of the files of winoground.*Accept the terms"):
        WINOGROUND.open(Options(data=tmp_path))
    (tmp_path / "examples.jsonl").write_text(json.dumps(row(1)))
    (tmp_path / "test.parquet").touch()
    for split in ("train", ""):
        with pytest.raises(ValueError, match=f"unknown part of winoground '{split}'"):
            WINOGROUND.open(Options(data=tmp_path, split=split))
        with pytest.raises(ValueError, match=f"unknown part of winoground '{split}'"):
            WINOGROUND.open(Options(data=tmp_path / "test.parquet", split=split))


def test_scorers_that_know_nothing_get_nothing_or_chance(tmp_path):
    (tmp_path / "examples.jsonl").write_text("".join(json.dumps(row(i)) + "\n" for i in range(3000)))
    records = WINOGROUND.measure(ConstantScorer(), Options(data=tmp_path))
    assert not any(right.any() for right in WINOGROUND.right(records).values())
    records = WINOGROUND.measure(RandomScorer(), Options(data=tmp_path))
    for metric, right in WINOGROUND.right(records).items():
        found = proportion(right, [record["cluster"] for record in records], level=0.999)
        assert found.low < WINOGROUND.chance(records[0])[metric] < found.high
    assert {"all", "object", "why hard: no tag"} <= {one.group for one in table(WINOGROUND, records)}


def test_the_file_of_lines_itself_may_be_given_and_empty_lines_are_none(tmp_path):
    write_lines(tmp_path, [row(0), row(16)])
    text = (tmp_path / "examples.jsonl").read_text().replace("\n", "\n\n")
    (tmp_path / "examples.jsonl").write_text(text)
    for given in (tmp_path, tmp_path / "examples.jsonl"):
        work = WINOGROUND.open(Options(data=given, split="test"))
        assert [one.example for one in work.examples] == ["0", "16"]


def test_it_is_known_by_its_name_and_what_it_measures():
    assert (WINOGROUND.name, WINOGROUND.kind, WINOGROUND.needs) == ("winoground", "two by two", {"match"})
    assert WINOGROUND.chance({}) == {"text": 1 / 4, "image": 1 / 4, "group": 1 / 6, "group match": 1 / 2}


def test_the_lines_of_a_folder_go_before_those_of_its_inner_one(tmp_path):
    write_lines(tmp_path, [row(0)])
    write_lines(tmp_path / "data", [row(16)])
    assert [one.example for one in WINOGROUND.open(Options(data=tmp_path)).examples] == ["0"]


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("ex_3_img_0", "ex_3_img_0.png"),
        ("images/ex_3_img_0.jpg", "ex_3_img_0.jpg"),
        ("data\\images\\ex_3_img_0.JPEG", "ex_3_img_0.JPEG"),
        ("ex.3", "ex.3.png"),
    ],
)
def test_a_picture_is_known_by_its_file_name_with_an_ending(tmp_path, written, read):
    (tmp_path / "examples.jsonl").write_text(json.dumps(row(3, image_0=written)))
    assert WINOGROUND.open(Options(data=tmp_path)).examples[0].pictures[0] == read


def test_tags_that_are_missing_or_unknown_are_left_out(tmp_path):
    bare = {name: row(500)[name] for name in ("id", "image_0", "image_1", "caption_0", "caption_1")}
    many = row(
        501, tag=" Verb-Action,Noun, ,Noun-Animal", secondary_tag="A-B, c", num_main_preds=3, collapsed_tag=""
    )
    (tmp_path / "examples.jsonl").write_text(json.dumps(bare) + "\n" + json.dumps(many))
    one, other = WINOGROUND.open(Options(data=tmp_path)).examples
    assert (list(one.tags), one.keeps) == ([], {})
    assert list(other.tags) == ["swap: verb", "swap: noun", "also: a-b", "also: c"]
    assert other.keeps == {"tag": " Verb-Action,Noun, ,Noun-Animal", "secondary_tag": "A-B, c"}


def test_a_broken_row_of_the_table_is_named_by_its_number(tmp_path):
    rows = [row(0), row(16, caption_1=" ")]
    columns = {key: [one[key] for one in rows] for key in rows[0]}
    for i in (0, 1):
        columns[f"image_{i}"] = [{"bytes": png((0, i, 0)), "path": None} for _ in rows]
    write_table(tmp_path / "test.parquet", columns, ["image_0", "image_1"])
    with pytest.raises(ValueError, match=r"row 2: caption_1"):
        WINOGROUND.open(Options(data=tmp_path))
