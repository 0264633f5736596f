"""Flickr30k Entities: the published layout is read to the pixel, and broken files are named."""

import pytest
import torch
from PIL import Image

from cacr.data.grounding import open_entities, truth
from cacr.data.grounding.entities import read_boxes, read_sentences

FIVE = (
    "[/EN#283585/people Five people] wearing [/EN#283586/clothing winter jackets] and [/EN#283587/clothing helmets] "
    "stand in [/EN#283588/scene the snow] , with [/EN#0/notvisual the background] ."
)
TWO = "[/EN#283585/people/other People] ] stand ."
NONE = "Nobody is here ."


def thing(names, *edges, extra=""):
    named = "".join(f"<name>{name}</name>" for name in names)
    corners = zip(("xmin", "ymin", "xmax", "ymax"), edges, strict=False)
    inner = "".join(f"<{edge}>{value}</{edge}>" for edge, value in corners)
    return f"<object>{named}{f'<bndbox>{inner}</bndbox>' if edges else ''}{extra}</object>"


def annotation(*objects, size=(500, 250)):
    width, height = size
    return (
        "<annotation><filename>10.jpg</filename>"
        f"<size><width>{width}</width><height>{height}</height><depth>3</depth></size>{''.join(objects)}</annotation>"
    )


OBJECTS = (
    thing([283585], 1, 1, 250, 125),
    thing([283585, 283586], 251, 126, 500, 250),
    thing([283588], extra="<scene>1</scene><nobndbox>0</nobndbox>"),
    thing([283587], extra="<scene>0</scene><nobndbox>1</nobndbox>"),
)


@pytest.fixture
def folder(tmp_path):
    for name in ("Sentences", "Annotations", "images"):
        (tmp_path / name).mkdir()
    for number in ("10", "9"):
        (tmp_path / "Sentences" / f"{number}.txt").write_text(f"{FIVE}\n{TWO}\n{NONE}\n", encoding="utf-8")
        (tmp_path / "Annotations" / f"{number}.xml").write_text(annotation(*OBJECTS), encoding="utf-8")
        Image.new("RGB", (500, 250)).save(tmp_path / "images" / f"{number}.jpg")
    (tmp_path / "test.txt").write_text("10\n")
    return tmp_path


def test_a_caption_is_its_words_and_phrases_are_where_they_stand(folder):
    (caption, marked), (other, again), (none, nothing) = read_sentences(folder / "Sentences" / "10.txt")
    assert caption == (
        "Five people wearing winter jackets and helmets stand in the snow , with the background ."
    )
    assert [(caption[start:end], chain, kind) for start, end, chain, kind in marked] == [
        ("Five people", "283585", "people"),
        ("winter jackets", "283586", "clothing"),
        ("helmets", "283587", "clothing"),
        ("the snow", "283588", "scene"),
        ("the background", "0", "notvisual"),
    ]
    assert (other, again) == ("People ] stand .", [(0, 6, "283585", "people/other")])
    assert (none, nothing) == (NONE, [])


def test_boxes_are_fractions_of_pixels_counted_from_one(folder):
    found = read_boxes(folder / "Annotations" / "10.xml")
    assert found.keys() == {"283585", "283586"}
    assert found["283585"].tolist() == [[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]
    assert found["283586"].tolist() == [[0.5, 0.5, 1, 1]]


def test_captions_come_with_their_boxes_and_pictures(folder):
    pairs = open_entities(folder, images=folder / "images")
    assert [one.example for one in pairs] == ["9#0", "9#1", "10#0", "10#1"]  # no box: left out
    assert [one.cluster for one in pairs] == ["9", "9", "10", "10"]
    assert pairs[0].picture.image.size == (500, 250)
    one = pairs[2]
    assert [phrase.name for phrase in one.phrases] == [
        "people 283585", "clothing 283586", "clothing 283587", "scene 283588",
    ]  # fmt: skip
    regions = torch.tensor([[0, 0, 0.5, 0.5], [0.5, 0.5, 1.0, 1.0]])
    spans = [(0, 4), (5, 11), (12, 19), (20, 26), (27, 34), (39, 46)]
    found = truth(one, spans, regions)
    assert found.tolist() == [
        [True, True],
        [True, True],
        [False] * 2,
        [False, True],
        [False, True],
        [False] * 2,
    ]


def test_splits_and_first_pictures_are_chosen(folder):
    assert {one.cluster for one in open_entities(folder, "test", images=folder / "images")} == {"10"}
    assert {one.cluster for one in open_entities(folder, images=folder / "images", n=1)} == {"9"}
    with pytest.raises(ValueError, match="no split 'val'"):
        open_entities(folder, "val", images=folder / "images")
    with pytest.raises(ValueError, match="expected 1 picture or more"):
        open_entities(folder, images=folder / "images", n=0)


def test_missing_pictures_are_refused_or_skipped(folder, caplog):
    (folder / "images" / "9.jpg").unlink()
    with pytest.raises(FileNotFoundError, match="9.jpg"):
        open_entities(folder, images=folder / "images")
    skipped = open_entities(folder, images=folder / "images", missing="skip", n=1)
    assert {one.cluster for one in skipped} == {"10"} and "left out 1 of 2" in caplog.text


def test_other_folders_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected the folders Sentences and Annotations"):
        open_entities(tmp_path)
    (tmp_path / "Sentences").mkdir()
    (tmp_path / "Annotations").mkdir()
    with pytest.raises(FileNotFoundError, match="has no file such as"):
        open_entities(tmp_path)


def test_an_annotation_that_is_not_there_is_named(folder):
    (folder / "Annotations" / "10.xml").unlink()
    with pytest.raises(FileNotFoundError, match=r"10\.xml"):
        open_entities(folder, images=folder / "images")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("[/EN#1/people Five people", "has no end"),
        ("[/EN#1/people Five [/EN#2/people people]", "opens no phrase"),
        ("[/EN#x/people Five people]", "opens no phrase"),
        ("[/EN#1 Five people]", "opens no phrase"),
        ("[/EN#1/people ] stand", "has no word"),
    ],
)
def test_broken_sentences_are_named_by_their_line(tmp_path, line, said):
    file = tmp_path / "1.txt"
    file.write_text(f"{NONE}\n{line}\n")
    with pytest.raises(ValueError, match=f"line 2.*{said}"):
        read_sentences(file)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"\xff\xfe<", "is not UTF-8 text"),
        (b"no xml", "is not XML"),
        (b"<annotation>" * 100_000, "is larger than"),
        (b"<annotation>" * 50_000, "is not XML"),
        (b'<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>', "declares a document type"),
        (b'<?xml version="1.0"?><!doctype a><annotation/>', "declares a document type"),
        (b"<annotation/>", "width is ''"),
        (annotation(size=(0, 5)).encode(), "0 x 5 pixels"),
        (annotation(size=("1e3", 5)).encode(), "width is '1e3'"),
        (annotation(thing(["x"], 1, 1, 2, 2)).encode(), "expected numbers"),
        (annotation(thing([], 1, 1, 2, 2)).encode(), "expected numbers"),
        (annotation(thing([1], 1, 1, 2)).encode(), "object 1: ymax is ''"),
        (annotation(thing([1], 9, 1, 2, 2)).encode(), "object 1: a box from 9, 1 to 2, 2"),
        (annotation(thing([1], 600, 1, 700, 2)).encode(), "expected corners inside"),
        (annotation(thing([1], "nan", 1, 2, 2)).encode(), "xmin is 'nan'"),
        (annotation(thing([1], "9" * 5000, 1, 2, 2)).encode(), "whole number of pixels"),
    ],
)
def test_broken_and_hostile_annotations_are_refused_with_a_sentence(tmp_path, content, said):
    file = tmp_path / "1.xml"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=said):
        read_boxes(file)


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-16"])
def test_an_entity_in_another_encoding_is_not_read(tmp_path, encoding):
    file = tmp_path / "1.xml"
    file.write_bytes('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>'.encode(encoding))
    with pytest.raises(ValueError, match="is not UTF-8"):
        read_boxes(file)


def test_a_box_that_reaches_over_the_edge_by_a_pixel_is_cut(tmp_path):
    file = tmp_path / "1.xml"
    file.write_text(annotation(thing([1], 0, 1, 501, 250)))
    assert read_boxes(file)["1"].tolist() == [[0, 0, 1, 1]]


def test_no_phrase_with_a_box_anywhere_is_said(folder):
    for number in ("9", "10"):
        (folder / "Annotations" / f"{number}.xml").write_text(annotation(*OBJECTS[2:]))
    with pytest.raises(ValueError, match="has a phrase with a box"):
        open_entities(folder, images=folder / "images")


def test_a_bracket_that_stands_alone_ends_the_word_before_it(tmp_path):
    file = tmp_path / "1.txt"
    file.write_text("[/EN#5/people Two teams ] compete\nThey see [/EN#6/other a ball ]\n")
    assert read_sentences(file) == [
        ("Two teams compete", [(0, 9, "5", "people")]),
        ("They see a ball", [(9, 15, "6", "other")]),
    ]


def test_files_that_are_not_named_by_a_number_are_no_pictures(folder):
    wanted = [one.example for one in open_entities(folder, images=folder / "images")]
    (folder / "Sentences" / "._9.txt").write_bytes(b"\0\5junk")
    (folder / "Sentences" / "README.txt").write_text("What this is.\n")
    (folder / "Sentences" / "²³.txt").write_text("No number.\n", encoding="utf-8")
    assert [one.example for one in open_entities(folder, images=folder / "images")] == wanted
