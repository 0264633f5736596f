"""A folder of photographs is read as documented, and whatever is wrong with it is named by file and line."""

import json

import numpy as np
import pytest
import torch
from PIL import Image

from cacr.data import open_captions
from cacr.regions import Regions, open_features, write_features


def some_boxes(n, most, generator):
    corners = torch.rand(n, 2, 2, generator=generator) * most
    return corners.sort(1).values.flatten(1)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    lines = [
        {"image": "a.jpg", "captions": ["a dog runs", "a brown dog"], "split": "train"},
        {"image": "b.jpg", "captions": ["a cat sleeps"], "split": "dev"},
    ]
    (folder / "captions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    g = torch.Generator().manual_seed(0)
    regions = {
        name: Regions.from_pixels(torch.randn(3, 5, generator=g), some_boxes(3, 30, g), (40, 30))
        for name in ("a.jpg", "b.jpg")
    }
    write_features(folder / "features.safetensors", regions)
    for name in regions:
        Image.new("RGB", (40, 30), "red").save(folder / name)
    return folder


def test_captions_belong_to_their_pictures(photos):
    pairs = open_captions(photos)
    assert list(pairs.captions) == ["a dog runs", "a brown dog", "a cat sleeps"]
    assert list(pairs.image_of_caption) == [0, 0, 1]
    assert pairs.describes(1, 0)
    assert not pairs.describes(1, 1)
    assert pairs.picture(1).image.size == (40, 30)
    assert pairs.picture(1).regions.features.shape == (3, 5)
    assert pairs.region_dim == 5


def test_a_split_is_a_part(photos):
    assert list(open_captions(photos, split="dev").captions) == ["a cat sleeps"]
    with pytest.raises(
        ValueError, match=r"no split 'test'; its splits are: dev \(1 picture\), train \(1 picture\)"
    ):
        open_captions(photos, split="test")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"image": "a.jpg", "captions": [', r"captions\.jsonl, line 3 is not JSON"),
        ('{"captions": ["x"]}', r"captions\.jsonl, line 3 names no picture"),
        ('{"image": "a.jpg", "captions": []}', r"line 3 has no captions for a\.jpg"),
        ('{"image": "a.jpg", "captions": [" "]}', r"line 3 has no captions for a\.jpg"),
        (
            '{"image": "../a.jpg", "captions": ["x"]}',
            r"line 3: the picture '\.\./a\.jpg' lies outside of the folder",
        ),
    ],
)
def test_a_broken_line_is_named_by_file_and_number(photos, line, message):
    with (photos / "captions.jsonl").open("a") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        open_captions(photos)


def test_a_line_that_is_no_text_is_named(photos):
    with (photos / "captions.jsonl").open("ab") as file:
        file.write(b"\xff\xfe\n")
    with pytest.raises(ValueError, match="line 3 is not JSON"):
        open_captions(photos)


def test_pictures_without_features_are_counted(photos):
    with (photos / "captions.jsonl").open("a") as file:
        file.write('{"image": "c.jpg", "captions": ["a tree"]}\n')
    with pytest.raises(
        FileNotFoundError, match=r"no region features for 1 of 3 pictures .* First missing: c\.jpg"
    ):
        open_captions(photos)


def test_missing_files_are_named(photos, tmp_path):
    with pytest.raises(FileNotFoundError, match="no captions at .*nowhere"):
        open_captions(tmp_path / "nowhere")
    (photos / "features.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"no features at .*make them with `cacr features"):
        open_captions(photos, features=photos / "features.safetensors")
    (photos / "captions.jsonl").unlink()
    with pytest.raises(FileNotFoundError, match="no captions at"):
        open_captions(photos)


def test_features_survive_the_file(tmp_path):
    g = torch.Generator().manual_seed(1)
    written = {
        f"{n}": Regions.from_pixels(torch.randn(n, 6, generator=g), some_boxes(n, 9, g), (12, 10))
        for n in (1, 4, 2)
    }
    write_features(tmp_path / "f.safetensors", written)
    store = open_features(tmp_path / "f.safetensors")
    assert list(store) == ["1", "4", "2"]
    for name, regions in written.items():
        assert torch.equal(store[name].features, regions.features)
        torch.testing.assert_close(store[name].boxes, regions.boxes)
        assert store[name].size == (12, 10)


def test_a_features_file_is_not_overwritten(photos):
    with pytest.raises(FileExistsError, match="not overwritten"):
        write_features(photos / "features.safetensors", open_features(photos / "features.safetensors"))


def test_a_truncated_features_file_is_named(photos):
    path = photos / "features.safetensors"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"features\.safetensors is not a readable safetensors file"):
        open_features(path)


def test_another_safetensors_file_is_named(data):
    with pytest.raises(ValueError, match="expected a features file"):
        open_features(data / "uniter_tiny.safetensors")


def test_a_folder_of_npz_opens_the_same_way(tmp_path):
    x = np.random.default_rng(0).random((3, 7), dtype=np.float32)
    boxes = np.array([[0, 0, 10, 10], [5, 5, 20, 20], [0, 0, 40, 30]], dtype=np.float32)
    np.savez(tmp_path / "a.jpg.npz", x=x, boxes=boxes, image_w=40, image_h=30)
    store = open_features(tmp_path)
    assert list(store) == ["a.jpg"]
    assert store["a.jpg"].boxes01[2].tolist() == [0, 0, 1, 1]
    (tmp_path / "b.npz").write_bytes(b"PK\x03\x04 no")
    with pytest.raises(ValueError, match=r"b\.npz is not a readable npz file"):
        open_features(tmp_path)["b"]


def test_features_with_nan_are_refused():
    with pytest.raises(ValueError, match="NaN or infinite"):
        Regions(torch.full((1, 2), torch.nan), torch.rand(1, 4))


def test_boxes_in_pixels_are_recognized():
    with pytest.raises(ValueError, match=r"expected fractions of the picture, 0-1.*from_pixels"):
        Regions(torch.zeros(1, 2), torch.tensor([[0.0, 0.0, 100.0, 50.0]]))
