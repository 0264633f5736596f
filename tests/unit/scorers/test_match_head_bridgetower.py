"""BridgeTower's towers run once a caption and once a picture, and every kind of bridge scores as in transformers."""

from collections import Counter

import pytest
import torch
import transformers as T
from tests.unit.scorers.match_head_cases import CASES
from torch.testing import assert_close

from cacr.data.pairs import Picture
from cacr.data.scenes import scene
from cacr.scorers.match_heads.bridgetower import BridgeTowerScorer
from cacr.tiny_models import processors, two_stream
from cacr.tiny_models._batches import seeded, tiny

VARIANTS = {
    "a projection for each layer": {"share_cross_modal_transformer_layers": False},
    "scaled bridges": {"link_tower_type": "scaled_add"},
    "bridges that interpolate": {"link_tower_type": "interpolate"},
    "one cross-modal layer": {"num_hidden_layers": 1},
    "every layer bridged": {"num_hidden_layers": 3},
    "more picture layers than text layers": {"vision": {"num_hidden_layers": 5}},
    "fewer picture layers by its option": {"vision": {"num_hidden_layers": 4, "remove_last_layer": True}},
    "norms of their own": {"vision": {"share_layernorm": False}},
}


def built(model_class=T.BridgeTowerForImageAndTextRetrieval, vision=(), **options):
    """The tiny model with other options."""

    @seeded
    def build():
        config = two_stream.bridge_tower().model.config.to_dict() | options
        config["vision_config"] |= dict(vision)
        return tiny(model_class(T.BridgeTowerConfig(**config)))

    return build().model


def scorer_of(model, **options):
    return BridgeTowerScorer(model, processors.bridge_tower(), **options)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_kind_of_bridge_scores_as_in_transformers(variant, captions, pictures, every_pair_equals):
    scorer, alone = scorer_of(built(**VARIANTS[variant])), CASES["bridgetower"].alone
    every_pair_equals(scorer, lambda *pair: alone(scorer.model, scorer.processor, *pair), captions, pictures)


def test_the_cosine_reads_as_many_picture_layers_as_there_are_text_layers(
    captions, pictures, every_pair_equals
):
    sizes = {"contrastive_hidden_size": 16, "logit_scale_init_value": 2.6592}
    model = built(T.BridgeTowerForContrastiveLearning, {"num_hidden_layers": 5}, **sizes)
    scorer, alone = scorer_of(model, score="itc"), CASES["bridgetower-itc"].alone
    every_pair_equals(scorer, lambda *pair: alone(model, scorer.processor, *pair), captions, pictures)


def test_bridges_shared_by_all_layers_are_refused():
    model = built(share_link_tower_layers=True)
    with pytest.raises(
        ValueError, match="share_link_tower_layers, with which transformers' BridgeTowerModel fails"
    ):
        scorer_of(model)


@pytest.fixture
def counted():
    """The tiny scorer, and how many rows went through a layer of each tower."""
    model, rows = two_stream.bridge_tower().model, Counter()
    text, picture = (
        model.bridgetower.text_model.encoder.layer,
        model.bridgetower.vision_model.visual.transformer,
    )

    def count(side, axis):
        return lambda module, inputs, output: rows.update({side: output.shape[axis]})

    for layer in text:
        layer.register_forward_hook(count("text", 0))
    for block in picture.resblocks:
        block.register_forward_hook(count("picture", 1))
    return scorer_of(model), rows, len(text)


@pytest.fixture(scope="module")
def ten():
    """Ten captions of different lengths."""
    return ["a dog runs" + " on the grass" * i for i in range(10)]


@pytest.fixture(scope="module")
def five():
    """Five pictures."""
    found = [scene(0, i).image for i in range(5)]
    return [Picture(f"{i}.png", None, lambda image=image: image) for i, image in enumerate(found)]


def test_each_side_goes_through_its_tower_once(counted, ten, five):
    scorer, rows, layers = counted
    scorer.grid(ten, five)
    assert rows == {"text": 10 * layers, "picture": 5 * layers}


def test_pictures_go_through_their_tower_once_where_few_states_are_kept(counted, ten, five):
    scorer, rows, layers = counted
    plenty = scorer.grid(ten, five)
    rows.clear()
    scorer.kept = (
        2.5 * 17 * 2 * 64 * 4 / 2**30
    )  # two pictures of 17 tokens, 2 cross-modal layers, 64 numbers of 4 B
    kept = []
    scorer.model.itm_score.register_forward_hook(lambda *_: kept.append(scorer._seen[1]["tokens"].shape[0]))
    little = scorer.grid(ten, five)
    assert rows["picture"] == 5 * layers and rows["text"] == 3 * 10 * layers
    assert max(kept) == 2
    assert scorer._seen is None
    assert_close(little, plenty, rtol=0, atol=1e-5)


def test_pairs_in_any_order_score_the_same_where_few_states_are_kept(counted, ten, five):
    scorer, _, _ = counted
    grid = scorer.grid(ten, five)
    scorer.kept = 1e-9
    order = torch.randperm(50, generator=torch.Generator().manual_seed(0))[:31].tolist()
    match = scorer.match([ten[k // 5] for k in order], [five[k % 5] for k in order])
    assert_close(match, torch.stack([grid[k // 5, k % 5] for k in order]), rtol=0, atol=1e-5)


def test_how_many_captions_are_cut_counts_the_whole_request(counted, ten, five, caplog):
    scorer, _, _ = counted
    scorer.kept = 1e-9
    long = [" ".join(["dog"] * (60 + i)) for i in range(3)]
    scorer.grid([*ten, *long], five)
    assert [record.getMessage().split(": ")[1] for record in caplog.records] == [
        "3 of 13 captions are longer and cut (first"
    ]


def test_the_memory_of_a_pair_counts_what_the_patches_look_at_among_themselves():
    scorer = scorer_of(two_stream.bridge_tower().model)
    assert scorer.pair_bytes(10, 1200) > 3 * scorer.pair_bytes(10, 600)
