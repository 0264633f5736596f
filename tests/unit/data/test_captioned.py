"""Captioned pictures open without touching a picture, say once what is missing, and never leave their folder."""

import json
import logging
import os
import warnings

import numpy as np
import pytest
from PIL import Image

from cacr.data import CaptionedPictures, open_captions
from cacr.data.entries import Entry
from cacr.regions.picture_files import open_image


@pytest.fixture
def pictures(tmp_path):
    folder = tmp_path / "pictures"
    (folder / "inner").mkdir(parents=True)
    for name, color in (("a.jpg", "red"), ("inner/COCO_val2014_000000000007.jpg", "blue")):
        Image.new("RGB", (40, 30), color).save(folder / name)
    return folder


def test_one_sentence_says_what_has_no_features_and_what_to_do(entries, features):
    with pytest.raises(
        FileNotFoundError,
        match=r"no region features for 2 of 3 pictures of set\. First missing: b\.jpg\. .*features\.safetensors knows "
        r"1 pictures, e\.g\. a\. Make them with `cacr features FOLDER -o features\.safetensors`, or .*skip",
    ):
        CaptionedPictures(entries("a.jpg", "b.jpg", "c.jpg"), "set", features("a"))


def test_pictures_without_features_may_be_skipped_and_are_counted(entries, features, caplog):
    with caplog.at_level(logging.WARNING, logger="cacr"):
        pairs = CaptionedPictures(entries("a.jpg", "b.jpg", "c.jpg"), "set", features("c"), missing="skip")
    assert list(pairs.image_ids) == ["c.jpg"]
    assert list(pairs.captions) == ["a picture of c.jpg"]
    assert list(pairs.image_of_caption) == [0]
    assert pairs.describes(0, 0)
    assert "left out 2 of 3 pictures" in caplog.text


def test_a_set_that_becomes_empty_is_refused(entries, features):
    with pytest.raises(FileNotFoundError, match="With them left out, nothing is left"):
        CaptionedPictures(entries("a.jpg"), "set", features("b"), missing="skip")


def test_an_unknown_choice_is_named(entries):
    with pytest.raises(ValueError, match="unknown choice for missing pictures 'drop'"):
        CaptionedPictures(entries("a.jpg"), "set", missing="drop")


def test_two_pictures_with_the_same_features_are_refused(entries, features):
    with pytest.raises(
        ValueError, match=r"the pictures x/a\.jpg and y/a\.jpg both mean the features named 'a' in"
    ):
        CaptionedPictures(entries("x/a.jpg", "y/a.jpg"), "set", features("a"))


def test_missing_picture_files_are_counted(entries, pictures):
    with pytest.raises(
        FileNotFoundError, match=r"no picture files in .* for 1 of 2 .* First missing: b\.jpg"
    ):
        CaptionedPictures(entries("a.jpg", "b.jpg"), "set", images=pictures)
    pairs = CaptionedPictures(entries("b.jpg", "a.jpg"), "set", images=pictures, missing="skip")
    assert list(pairs.image_ids) == ["a.jpg"]
    with pytest.raises(FileNotFoundError, match="no folder of pictures"):
        CaptionedPictures(entries("a.jpg"), "set", images=pictures / "nowhere")


def test_pictures_are_found_in_inner_folders_and_under_other_names(entries, pictures):
    for name in ("inner/COCO_val2014_000000000007.jpg", "inner/coco_val2014_000000000007.npz"):
        pairs = CaptionedPictures(entries(name), "set", images=pictures)
        assert pairs.picture(0).image.getpixel((0, 0))[2] > 200
    flat = CaptionedPictures(entries("train2014/a.jpg"), "set", images=pictures)
    assert flat.picture(0).image.size == (40, 30)


def test_a_name_too_long_for_any_file_is_a_missing_picture(entries, pictures):
    pairs = CaptionedPictures(entries("x" * 300 + "/a" * 300), "set", images=pictures, check_images=False)
    with pytest.raises(FileNotFoundError, match="no picture xxx"):
        pairs.picture(0).image  # noqa: B018


def test_what_was_not_given_is_said_when_asked_for(entries):
    pairs = CaptionedPictures(entries("a.jpg"), "set")
    with pytest.raises(ValueError, match="no region features for the pictures of set"):
        pairs.region_dim  # noqa: B018
    with pytest.raises(ValueError, match=r"no region features for picture a\.jpg.*cacr features"):
        pairs.picture(0).regions  # noqa: B018
    with pytest.raises(ValueError, match=r"no pixels for picture a\.jpg"):
        pairs.picture(0).image  # noqa: B018


def test_the_same_sentence_elsewhere_is_no_negative():
    pairs = CaptionedPictures([Entry("a", ["x", "y"]), Entry("b", ["y"]), Entry("a", ["z"])], "set")
    assert list(pairs.captions) == ["x", "y", "z", "y"]
    assert [[pairs.describes(c, i) for i in (0, 1)] for c in range(4)] == [[1, 0], [1, 1], [1, 0], [1, 1]]


def test_a_folder_without_features_serves_pixels(pictures):
    (pictures / "captions.jsonl").write_text('{"image": "a.jpg", "captions": ["red"]}\n')
    assert open_captions(pictures).picture(0).image.size == (40, 30)
    (pictures / "captions.jsonl").write_text('{"image": "b.jpg", "captions": ["red"]}\n')
    with pytest.raises(FileNotFoundError, match="no picture files in"):
        open_captions(pictures)


def test_what_is_not_recognized_is_listed(tmp_path):
    with pytest.raises(FileNotFoundError, match="no captions at .*nowhere; expected one of: a folder with"):
        open_captions(tmp_path / "nowhere")
    (tmp_path / "notes.doc").write_text("x")
    with pytest.raises(
        FileNotFoundError, match=r"the folder holds notes\.doc; expected one of: a folder with"
    ):
        open_captions(tmp_path)
    with pytest.raises(ValueError, match=r"notes\.doc is of no known kind"):
        open_captions(tmp_path / "notes.doc")


def test_a_large_set_opens_with_each_picture_its_own(tmp_path):
    class Store(dict):
        path, width = "store", 5

    n = 20_000
    images = [
        {"filename": f"COCO_val2014_{i:012d}.jpg", "split": "test", "sentences": [{"raw": f"thing {i}"}] * 5}
        for i in range(n)
    ]
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
    store = Store({str(i): i for i in reversed(range(n))})
    pairs = open_captions(tmp_path / "dataset_coco.json", features=store)
    assert (len(pairs.image_ids), len(pairs.captions)) == (n, 5 * n)
    assert all(pairs.picture(i).regions == i for i in range(n))
    assert all(pairs.describes(c, i) for c, i in enumerate(pairs.image_of_caption))


def test_the_real_photographs_come_with_their_features(tmp_path, reference_data):
    source = reference_data / "real"
    names = sorted(file.name for file in source.glob("*.jpg"))
    images = []
    for name in names:
        with np.load(source / f"{name}.npz", allow_pickle=False) as arrays:
            captions = [{"raw": str(text)} for text in arrays["text"]]
        images.append({"filepath": "val2014", "filename": name, "split": "test", "sentences": captions})
    (tmp_path / "dataset_coco.json").write_text(json.dumps({"images": images}))
    pairs = open_captions(tmp_path / "dataset_coco.json", "test", features=source, images=source)
    assert (len(pairs.image_ids), len(pairs.captions), pairs.region_dim) == (8, 40, 2048)
    for image in range(8):
        picture = pairs.picture(image)
        assert picture.regions.size == picture.image.size
        assert picture.regions.features.shape == (36, 2048)


@pytest.mark.parametrize(
    "store",
    [
        "uniter/coco_val2014/feat_numbb36",
        "npz",
        "tsv/butd.tsv",
        "tsv/lxmert.tsv",
        "vinvl_retrieval/features.tsv",
    ],
)
def test_published_captions_find_the_features_of_published_stores(data, reference_data, store):
    for package in ("lmdb", "lz4", "msgpack"):
        pytest.importorskip(package)
    stores = reference_data / "golden" / "feature_stores"
    pairs = open_captions(data / "text_db", features=stores / store, images=reference_data / "real")
    for image in range(2):
        picture = pairs.picture(image)
        assert picture.regions.size in (None, picture.image.size)


def test_an_orientation_note_is_not_applied(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (40, 30)).save(tmp_path / "a.jpg", exif=exif)
    assert open_image(tmp_path / "a.jpg").size == (40, 30)


def test_every_picture_becomes_rgb(tmp_path):
    Image.new("LA", (4, 3)).save(tmp_path / "a.png")
    assert open_image(tmp_path / "a.png").mode == "RGB"


@pytest.mark.parametrize("side", [11, 16])
def test_a_picture_of_too_many_pixels_is_refused(tmp_path, monkeypatch, side):
    Image.new("RGB", (side, side)).save(tmp_path / "a.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)  # Pillow warns above it and raises above twice of it
    with warnings.catch_warnings(), pytest.raises(ValueError, match=r"a\.png is too large a picture"):
        warnings.simplefilter("ignore")  # as in a program that does not care
        open_image(tmp_path / "a.png")


def test_a_broken_or_missing_picture_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no picture at"):
        open_image(tmp_path / "a.png")
    Image.effect_noise((60, 60), 50).save(tmp_path / "a.png")
    os.truncate(tmp_path / "a.png", 500)
    with pytest.raises(ValueError, match=r"a\.png is not a readable picture"):
        open_image(tmp_path / "a.png")
    (tmp_path / "b.jpg").write_text("no")
    with pytest.raises(ValueError, match=r"b\.jpg is not a readable picture"):
        open_image(tmp_path / "b.jpg")
