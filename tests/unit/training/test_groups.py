"""Groups hold one true pair and only false ones beside it, and depend on (seed, item) alone."""

import pytest
import torch

from cacr.data.scenes import SceneCaptions, tokenizer
from cacr.models.uniter import UniterProcessor
from cacr.training import GroupCollator, GroupDataset


@pytest.fixture
def scenes():
    return SceneCaptions(1, 24, alike=4, places=0.1)


def test_an_item_is_a_function_of_seed_and_number(scenes):
    one, two = GroupDataset(scenes, 50, 6, seed=3), GroupDataset(scenes, 50, 6, seed=3)
    assert one[31] == two[31]  # although `one` was not asked for the items before
    assert [one[i] for i in (49, 2)] == [two[i] for i in (49, 2)]
    assert one[0] != GroupDataset(scenes, 50, 6, seed=4)[0]


def test_the_first_pair_is_true_and_all_others_are_false(scenes):
    for item in GroupDataset(scenes, 48, 10):
        truth = [scenes.describes(caption, item.image) for caption in item.captions]
        assert truth == [True] + [False] * 10
        truth = [scenes.describes(item.caption, image) for image in item.images]
        assert truth == [True] + [False] * 10


def test_scenes_of_the_same_things_come_first(scenes):
    dataset = GroupDataset(scenes, 24, 10)
    for item in dataset:
        mates = [c for c in scenes.alike(item.image) if not scenes.describes(c, item.image)]
        assert list(item.captions[1 : 1 + len(mates)]) == mates


def test_each_picture_is_an_anchor_once_an_epoch(scenes):
    dataset = GroupDataset(scenes, 72, 4)
    for epoch in range(3):
        anchors = [dataset[24 * epoch + i].image for i in range(24)]
        assert sorted(anchors) == list(range(24))
    assert [dataset[i].image for i in range(24)] != [dataset[24 + i].image for i in range(24)]


def test_few_pictures_give_repeated_negatives():
    scenes = SceneCaptions(1, 3)
    item = GroupDataset(scenes, 3, 7)[0]
    assert len(item.images) == 8
    assert item.image not in item.images[1:]


def test_one_picture_is_refused():
    with pytest.raises(ValueError, match="1 picture with captions; expected two at least"):
        GroupDataset(SceneCaptions(1, 1), 3, 7)


def test_a_batch_encodes_each_caption_and_picture_once(scenes):
    processor = UniterProcessor(tokenizer(), max_text_length=12)
    items = [GroupDataset(scenes, 8, 5)[i] for i in range(2)]
    batch = GroupCollator(scenes, processor)(items)
    assert batch["captions"].shape == batch["images"].shape == (4, 6)
    wanted = [scenes.captions[c] for c in items[1].captions]
    got = processor.tokenizer.batch_decode(
        batch["text"]["input_ids"][batch["captions"][1]], skip_special_tokens=True
    )
    assert got == wanted
    first = scenes.picture(items[1].image).regions.features
    assert torch.equal(batch["regions"]["region_features"][batch["images"][1, 3]][: len(first)], first)
    different = {c for item in items for c in (*item.captions, item.caption)}
    assert len(batch["text"]["input_ids"]) == len(different)
