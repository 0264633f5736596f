"""What `cacr explore` looks at: captions of a file, of a benchmark, with regions that are found on the fly."""

import json

import pytest
import torch
from PIL import Image

from cacr.benchmarks import Options
from cacr.cli.asked import asked
from cacr.data.scenes import SEEDS, SceneCaptions
from cacr.regions import Regions, write_features


@pytest.fixture
def photos(tmp_path):
    """A picture with two captions, and one with one."""
    lines = []
    for name, captions in (("dog", ["a dog stands", "one dog"]), ("cat", ["a cat stands"])):
        Image.new("RGB", (60, 40), "red").save(tmp_path / f"{name}.png")
        lines.append(json.dumps({"image": f"{name}.png", "captions": captions}))
    (tmp_path / "captions.jsonl").write_text("\n".join(lines))
    return tmp_path


def said_of(found):
    return [(one.name, list(one.captions), [picture.image_id for picture in one.pictures]) for one in found]


def test_a_file_of_captions_is_read_as_captions_of_its_pictures(photos):
    found = said_of(asked(str(photos / "captions.jsonl"), Options(), 9))
    assert found == said_of(asked(str(photos), Options(), 9))
    assert found[0] == ("dog.png", ["a dog stands"], ["dog.png"])


def test_a_picture_with_fewer_captions_is_left_out_of_the_later_rounds(photos):
    names = [(name, captions[0]) for name, captions, _ in said_of(asked(str(photos), Options(), 9))]
    assert names == [("dog.png", "a dog stands"), ("cat.png", "a cat stands"), ("dog.png", "one dog")]


def test_captions_and_pictures_of_a_retrieval_benchmark_are_looked_at():
    seed = SEEDS["dev"]
    own = SceneCaptions(seed, 3)
    found = asked("scenes-retrieval", Options(n=3, seed=seed), 9)
    assert [one.captions[0] for one in found[:3]] == [
        own.captions[own.image_of_caption.index(i)] for i in range(3)
    ]
    assert all(len(one.pictures[0].regions) > 0 for one in found)


def some_regions(first):
    boxes = torch.tensor([[0.0, 0.0, 0.5, 0.5], [0.25, 0.25, 1.0, 1.0]])
    return Regions(torch.full((2, 4), float(first)), boxes)


def test_regions_are_found_on_the_fly_where_the_pictures_have_none(photos):
    class Found:
        def detect(self, pictures):
            assert [picture.size for picture in pictures] == [(60, 40)]
            return [some_regions(7)]

    first, *_ = asked(str(photos), Options(detector=Found()), 1)
    assert torch.equal(first.pictures[0].regions.features, some_regions(7).features)
    write_features(photos / "f.safetensors", {"dog.png": some_regions(1), "cat.png": some_regions(2)})
    stored, *_ = asked(str(photos), Options(detector=Found(), features=photos / "f.safetensors"), 1)
    assert stored.pictures[0].regions.features.flatten()[0] == 1
