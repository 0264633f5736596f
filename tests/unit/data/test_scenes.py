"""The embedded world is the same everywhere, its captions are true, and its swaps use the same words."""

import hashlib
from collections import Counter

import pytest
import torch

from cacr.data.scenes import RELATIONS, SceneCaptions, scene, tokenizer, winoground_like
from cacr.data.scenes.grammar import LONGEST, Claim
from cacr.data.scenes.world import holds


def test_a_scene_is_a_function_of_seed_and_index():
    assert scene(5, 7) == scene(5, 7)
    assert scene(5, 7) != scene(5, 8)
    assert scene(5, 7) != scene(6, 7)


def test_scenes_are_the_same_on_every_platform():
    digest = hashlib.sha256()
    for index in range(50):
        one = scene(0, index)
        digest.update(one.caption.encode())
        digest.update(repr([[round(edge, 6) for edge in box] for box in one.boxes]).encode())
        digest.update(one.image.tobytes())
    assert digest.hexdigest() == "827c2decaf74690bcd872005333ee4aefae3d9b32bddc04ee400ffca2ccf26e2"


def test_features_are_the_same_on_every_platform():
    features = torch.cat([scene(0, index).regions.features for index in range(20)])
    assert features.shape[1] == 40
    torch.testing.assert_close(features.mean().item(), -0.007645, atol=1e-5, rtol=0)
    torch.testing.assert_close(features[3, :3], torch.tensor([-1.33794, 0.20731, 0.00743]), atol=1e-4, rtol=0)


@pytest.mark.parametrize("places", [0.0, 1.0])
def test_every_caption_is_true_of_its_scene(places):
    scenes = SceneCaptions(3, 200, places=places)
    assert all(scenes.describes(i, i) for i in range(200))


def test_a_caption_is_rarely_true_of_another_scene():
    scenes = SceneCaptions(3, 150)
    true = sum(scenes.describes(c, i) for c in range(150) for i in range(150) if c != i)
    assert true <= 5


@pytest.mark.parametrize("relation", RELATIONS)
def test_opposites_never_hold_together(relation):
    from cacr.data.scenes.world import OPPOSITE

    for index in range(100):
        a, b = scene(1, index).things[:2]
        assert not (holds(relation, a, b) and holds(OPPOSITE[relation], a, b))
        assert holds(relation, a, b) == holds(OPPOSITE[relation], b, a)


def test_each_winoground_caption_is_true_of_its_own_scene_only():
    for example in winoground_like(9, 120):
        truth = [[claim.is_true_of(s.things) for s in example.scenes] for claim in example.claims]
        assert truth == [[True, False], [False, True]], example


def test_the_two_captions_use_the_same_words():
    def bag(caption):
        return Counter("a" if word == "an" else word for word in caption.split())

    for example in winoground_like(9, 120):
        assert bag(example.captions[0]) == bag(example.captions[1])
        assert example.captions[0] != example.captions[1]


def test_half_of_the_examples_swap_a_relation_and_half_an_attribute():
    tags = Counter(example.tag for example in winoground_like(9, 600))
    assert tags["attribute"] == 300
    assert all(tags[relation] > 25 for relation in RELATIONS)


def test_alike_scenes_are_made_of_the_same_shapes_and_colors():
    scenes = SceneCaptions(4, 40, alike=4)
    for index in range(40):
        for other in scenes.alike(index):
            mine, theirs = scenes.scenes[index].things, scenes.scenes[other].things
            assert sorted(t.shape for t in mine) == sorted(t.shape for t in theirs)
            assert sorted(t.color for t in mine) == sorted(t.color for t in theirs)


def test_the_alignment_says_which_word_means_which_region():
    one = scene(0, 0)
    alignment = one.alignment()
    words = one.caption.split()
    assert alignment.shape == (len(words), len(one.regions))
    for word, row in zip(words, alignment, strict=True):
        owners = {one.owners[i] for i in row.nonzero()[:, 0].tolist()}
        named = {i for i, t in enumerate(one.things) if word in (t.shape, t.color)}
        assert owners == named


def test_every_region_lies_in_the_picture_and_a_box_covers_its_thing():
    for index in range(50):
        one = scene(2, index)
        assert one.regions.boxes01.min() >= 0
        assert one.regions.boxes01.max() <= 1
        for owner, thing in enumerate(one.things):
            x1, y1, x2, y2 = max(
                (b for b, o in zip(one.boxes, one.owners, strict=True) if o == owner), key=area
            )
            assert x1 < thing.x < x2
            assert y1 < thing.y < y2


def area(box):
    return (box[2] - box[0]) * (box[3] - box[1])


def test_the_tokenizer_knows_every_word():
    tokens = tokenizer()
    captions = [scene(0, i).caption for i in range(300)] + [
        c for e in winoground_like(0, 100) for c in e.captions
    ]
    ids = tokens(captions, padding=True, return_tensors="pt")["input_ids"]
    assert ids.shape[1] <= LONGEST
    assert tokens.unk_token_id not in ids


def test_a_claim_states_one_thing():
    with pytest.raises(ValueError, match="either a relation or a place"):
        Claim(("star", "red"), ("ring", "blue"))


def test_no_scenes_are_refused():
    with pytest.raises(ValueError, match="n=0 scenes"):
        SceneCaptions(0, 0)
