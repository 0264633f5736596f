"""Files of Karpathy's splits are read as published, and restval is trained on."""

import json

import pytest

from cacr.data import open_captions


def image(number, split, **more):
    return {
        "filepath": "val2014",
        "filename": f"COCO_val2014_{number:012d}.jpg",
        "cocoid": number,
        "imgid": number,
        "sentids": [2 * number, 2 * number + 1],
        "split": split,
        "sentences": [
            {
                "raw": f"A dog {number}. ",
                "tokens": ["a", "dog", str(number)],
                "imgid": number,
                "sentid": 2 * number,
            },
            {
                "raw": f"Grass {number}",
                "tokens": ["grass", str(number)],
                "imgid": number,
                "sentid": 2 * number + 1,
            },
        ],
    } | more


@pytest.fixture
def coco(tmp_path):
    path = tmp_path / "dataset_coco.json"
    images = [image(1, "train"), image(2, "restval"), image(3, "val"), image(4, "test"), image(5, "test")]
    path.write_text(json.dumps({"images": images, "dataset": "coco"}))
    return path


def test_captions_and_pictures_are_those_of_the_file(coco):
    pairs = open_captions(coco, split="test")
    assert list(pairs.image_ids) == [f"val2014/COCO_val2014_{n:012d}.jpg" for n in (4, 5)]
    assert list(pairs.captions) == ["A dog 4.", "Grass 4", "A dog 5.", "Grass 5"]
    assert list(pairs.image_of_caption) == [0, 0, 1, 1]


def test_training_takes_restval_too_and_train_only_does_not(coco):
    assert len(open_captions(coco, split="train").image_ids) == 2
    assert len(open_captions(coco, split="train-only").image_ids) == 1
    assert len(open_captions(coco, split="restval").image_ids) == 1
    assert len(open_captions(coco).image_ids) == 5


def test_an_unknown_split_names_the_splits_and_their_sizes(coco):
    with pytest.raises(ValueError, match=r"no split 'dev'.*test \(2 pictures\), train \(2 pictures\)"):
        open_captions(coco, split="dev")


def test_flickr30k_has_no_folders(tmp_path):
    path = tmp_path / "dataset_flickr30k.json"
    one = image(1, "train", filename="1000092795.jpg")
    del one["filepath"]
    path.write_text(json.dumps({"images": [one], "dataset": "flickr30k"}))
    assert list(open_captions(path, split="train").image_ids) == ["1000092795.jpg"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"filename": "../../secret.jpg"}, r"image 2: the picture .* lies outside of the folder"),
        ({"filename": None}, "image 2 names no picture"),
        ({"filepath": 7}, 'image 2: "filepath" is 7'),
        ({"filepath": "/etc"}, "image 2: the picture '/etc/.* lies outside"),
        ({"sentences": []}, "image 2 has no captions"),
        ({"sentences": "a dog"}, 'image 2 has no list of "sentences"'),
        ({"sentences": [{"sentid": 3}]}, 'image 2: a sentence has neither "raw"'),
        ({"sentences": [{"raw": 3}]}, "image 2 has no captions for .* but 3"),
        ({"sentences": [{"raw": " "}]}, "image 2 has no captions for .* empty one"),
        ({"split": ["train"]}, "image 2: split is"),
        ({"filename": "COCO_val2014_000000000001.jpg"}, "image 2: .* was there before"),
    ],
)
def test_a_broken_picture_is_named_by_its_number(tmp_path, change, message):
    path = tmp_path / "dataset_coco.json"
    path.write_text(json.dumps({"images": [image(1, "train"), image(2, "train") | change]}))
    with pytest.raises(ValueError, match=message):
        open_captions(path)


@pytest.mark.parametrize("content", ["", '{"images": [', "[" * 100_000, "\x00"])
def test_what_is_no_json_is_named(tmp_path, content):
    path = tmp_path / "dataset_coco.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"dataset_coco\.json is not JSON"):
        open_captions(path)
