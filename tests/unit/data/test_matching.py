"""Pictures find their features under the names that the published stores use, and never under a neighbor's."""

import pytest

from cacr.data.matching import NameIndex, same_photograph


@pytest.mark.parametrize(
    ("picture", "known"),
    [
        ("val2014/COCO_val2014_000000058350.jpg", "val2014/COCO_val2014_000000058350.jpg"),
        ("val2014/COCO_val2014_000000058350.jpg", "val2014/COCO_val2014_000000058350"),
        ("val2014/COCO_val2014_000000058350.jpg", "COCO_val2014_000000058350.jpg"),
        ("val2014/COCO_val2014_000000058350.jpg", "COCO_val2014_000000058350"),
        ("val2014/COCO_val2014_000000058350.jpg", "COCO_val2014_000000058350.npz"),
        ("val2014/COCO_val2014_000000058350.jpg", "coco_val2014_000000058350.npz"),
        ("val2014/COCO_val2014_000000058350.jpg", "coco_val2014_000000058350"),
        ("COCO_val2014_000000058350.jpg", "58350"),
        ("COCO_val2014_000000058350.jpg", "000000058350"),
        ("000000058350.jpg", "58350"),
        ("000000058350.jpg", "coco_train2014_000000058350.npz"),
        ("coco_val2014_000000058350.npz", "COCO_val2014_000000058350.jpg"),
        ("1000092795.jpg", "flickr30k_001000092795.npz"),
        ("36979.jpg", "flickr30k_000000036979.npz"),
        ("flickr30k_000000036979.npz", "36979.jpg"),
        ("a.jpg", "a"),
    ],
)
def test_published_names_are_recognized(picture, known):
    assert NameIndex(["7", "another", known]).find(picture) == known


@pytest.mark.parametrize(
    ("picture", "known"),
    [
        ("dog_1.jpg", ["cat_1"]),
        ("dog_1.jpg", ["1"]),
        ("58350.jpg", ["058350", "000058350"]),
        ("COCO_val2014_000000058350.jpg", ["coco_train2014_000000058350.npz"]),
        ("a.jpg", ["b.jpg"]),
        ("1" * 30 + ".jpg", ["1" * 29]),
        ("1" * 5000 + ".jpg", ["1"]),
        ("", ["a"]),
    ],
)
def test_what_only_looks_alike_is_not_taken(picture, known):
    assert NameIndex(known).find(picture) is None


def test_the_nearer_name_wins():
    names = ["a/b.jpg", "a/b", "b.jpg", "b", "b.npz"]
    for first in range(len(names)):
        assert NameIndex(names[first:]).find("a/b.jpg") == names[first]


@pytest.mark.parametrize(
    "one, other, same",
    [
        ("COCO_val2014_000000058350.jpg", "000000058350.jpg", True),
        ("train2014/COCO_train2014_000000000009.jpg", "val2017/000000000009.jpg", True),
        ("COCO_val2014_000000058350.jpg", "COCO_val2014_000000058351.jpg", False),
        ("x/1.jpg", "y/1.jpg", False),
        ("COCO_val2014_000000000001.jpg", "v7w_1.jpg", False),
    ],
)
def test_coco_numbers_a_photograph_once(one, other, same):
    assert same_photograph(one, other) is same
