"""COCO's own caption files are read as published."""

import json
import logging

import pytest

from cacr.data import open_captions

IMAGES = [{"id": 139, "file_name": "000000000139.jpg"}, {"id": 285, "file_name": "000000000285.jpg"}]
ANNOTATIONS = [
    {"image_id": 285, "id": 1, "caption": "A big bear.\n"},
    {"image_id": 139, "id": 2, "caption": "A woman stands in a room."},
    {"image_id": 285, "id": 3, "caption": "A bear in grass."},
]


def written(tmp_path, images=IMAGES, annotations=ANNOTATIONS):
    path = tmp_path / "captions_val2017.json"
    path.write_text(json.dumps({"info": {}, "licenses": [], "images": images, "annotations": annotations}))
    return path


def test_captions_find_their_pictures_by_id(tmp_path):
    pairs = open_captions(written(tmp_path), split="val2017")
    assert list(pairs.image_ids) == ["000000000139.jpg", "000000000285.jpg"]
    assert list(pairs.captions) == ["A woman stands in a room.", "A big bear.", "A bear in grass."]
    assert list(pairs.image_of_caption) == [0, 1, 1]


def test_features_may_be_named_by_the_bare_number(tmp_path, features):
    pairs = open_captions(written(tmp_path), features=features("285", "139"))
    assert pairs.picture(0).regions.features[0, 0] == 1
    assert pairs.picture(1).regions.features[0, 0] == 0


def test_pictures_without_captions_are_left_out_and_counted(tmp_path, caplog):
    with caplog.at_level(logging.WARNING, logger="cacr"):
        pairs = open_captions(written(tmp_path, annotations=ANNOTATIONS[:1]))
    assert list(pairs.image_ids) == ["000000000285.jpg"]
    assert "no captions for 1 pictures (first: 000000000139.jpg)" in caplog.text


@pytest.mark.parametrize(
    ("images", "annotations", "message"),
    [
        ([*IMAGES, {"id": 139, "file_name": "x.jpg"}], ANNOTATIONS, "image 3: the id 139 was there before"),
        ([*IMAGES, {"id": 1, "file_name": "000000000139.jpg"}], ANNOTATIONS, "image 3: .* was there before"),
        ([{"id": "1", "file_name": "x"}], [], 'image 1 has no "id"'),
        ([3], [], 'image 1 has no "id"'),
        (IMAGES, [{"image_id": 1, "caption": "x"}], "annotation 1 is of picture 1, which is not among"),
        (IMAGES, [{"image_id": 139, "caption": None}], "annotation 1 has no captions for .* but None"),
        (IMAGES, [{"image_id": 139, "caption": "\n"}], "annotation 1 has no captions for .* empty"),
        (IMAGES, [{"image_id": 139}], 'annotation 1 has no "image_id".* with "caption"'),
        (IMAGES, [], "is empty"),
        ([{"id": 1, "file_name": "/a.jpg"}], [{"image_id": 1, "caption": "x"}], "picture 1.* lies outside"),
        ([{"id": 1, "file_name": 7}], [{"image_id": 1, "caption": "x"}], "picture 1 names no picture"),
    ],
)
def test_what_is_broken_is_named_by_its_number(tmp_path, images, annotations, message):
    with pytest.raises(ValueError, match=message):
        open_captions(written(tmp_path, images, annotations))
